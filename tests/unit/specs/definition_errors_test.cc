// Every message of the parser, with its line and key, as the operator sees it.
#include <gtest/gtest.h>

#include "specs/vps/definition_yaml.h"
#include "specs/vps/tree.h"

namespace vps {
namespace {

struct Case {
  std::string yaml, message;
};

void expect_all(const std::vector<Case>& cases) {
  for (const auto& [yaml, message] : cases) {
    auto result = parse_definition(yaml, "vps.yaml");
    if (result) {
      ADD_FAILURE() << "accepted: " << yaml;
      continue;
    }
    EXPECT_EQ(result.error().to_string(), message) << yaml;
    EXPECT_EQ(result.error().code(), Code::kUsage);
    EXPECT_EQ(result.error().to_string().find('\n'), std::string::npos);
  }
}

TEST(DefinitionErrors, NotYaml) {
  expect_all({
      {"", "vps.yaml: expected a mapping of keys, found nothing"},
      {"# nothing\n", "vps.yaml: expected a mapping of keys, found nothing"},
      {"\n\nnull\n", "vps.yaml:3: expected a mapping of keys, found nothing"},
      {"hello", "vps.yaml:1: expected a mapping of keys, found 'hello'"},
      {"- a\n- b\n", "vps.yaml:1: expected a mapping of keys, found a list"},
      {"id: [a\n", "vps.yaml:2: not valid YAML: end of sequence flow not found"},
      {"id: a\n  name: b\n", "vps.yaml:2: not valid YAML: illegal map value"},
      {"id: \"a\n", "vps.yaml:2: not valid YAML: a quoted text has no end"},
      {"id: \"a", "vps.yaml:2: not valid YAML: a quoted text has no end"},
      {"id: a\nname: 'b\n\nonboot: true\n", "vps.yaml:5: not valid YAML: a quoted text has no end"},
      {"id: \"\\q\"\n", "vps.yaml:1: not valid YAML: unknown escape character: q"},
      {std::string("id: a\nname: \xff\n"), "vps.yaml:2: not UTF-8 text"},
      {std::string("id: a\n\n\nname: \0\n", 16), "vps.yaml:4: not UTF-8 text"},
      {std::string("\xff\xfei\0", 4), "vps.yaml:1: not UTF-8 text"},
      {"id: a\n" + std::string(kMaxYamlSize, '#'), "vps.yaml: larger than 256 KiB"},
  });
}

TEST(DefinitionErrors, YamlThatIsNotAllowed) {
  expect_all({
      {"id: a\nid: b\n", "vps.yaml:2: id: duplicate key, first on line 1"},
      {"resources:\n  cpu: {limit: 1,\n    limit: 2}\n",
       "vps.yaml:3: resources.cpu.limit: duplicate key, first on line 2"},
      {"mounts:\n  - {source: /a, source: /b}\n", "vps.yaml:2: mounts[0].source: duplicate key, first on line 2"},
      {"labels: {a: b, \"a\": c}", "vps.yaml:1: labels.a: duplicate key, first on line 1"},
      {"id: &x a\n", "vps.yaml:1: anchors (&name) are not allowed"},
      {"labels: &x\n  a: b\n", "vps.yaml:1: anchors (&name) are not allowed"},
      {"id: a\nname: *x\n", "vps.yaml:2: not valid YAML: the referenced anchor is not defined"},
      {"id: !!str a\n", "vps.yaml:1: tags (!name) are not allowed"},
      {"labels: !mine {a: b}\n", "vps.yaml:1: tags (!name) are not allowed"},
      {"init: !!seq [a]\n", "vps.yaml:1: tags (!name) are not allowed"},
      {"id: a\n---\nid: b\n", "vps.yaml:2: nothing may follow the first document"},
      {"id: a\n...\nid: b\n", "vps.yaml:3: nothing may follow the first document"},
      {"{id: a}}\n", "vps.yaml:1: not valid YAML: illegal flow end"},
      {"? [a]\n: b\n", "vps.yaml:1: a key must be a plain word"},
      {"~: b\n", "vps.yaml:1: a key must be a plain word"},
      {"labels: " + std::string(16, '[') + std::string(16, ']'), "vps.yaml:1: more than 16 nested levels"},
  });
  std::string many = "labels:\n";
  for (int i = 0; i < 1001; ++i) many += "  k" + std::to_string(i) + ": v\n";
  expect_all({{many, "vps.yaml:1002: more than 1000 keys in one mapping"}});
}

TEST(DefinitionErrors, UnknownKeys) {
  expect_all({
      {"id: a\nresuorces: {}\n", "vps.yaml:2: resuorces: unknown key, did you mean resources?"},
      {"resources:\n  memroy: {limit: 1G}\n", "vps.yaml:2: resources.memroy: unknown key, did you mean resources.memory?"},
      {"boot_order: 3\n", "vps.yaml:1: boot_order: unknown key, did you mean bootOrder?"},
      {"memory: 512M\n", "vps.yaml:1: memory: unknown key, did you mean resources.memory?"},
      {"resources: {io: {readiops: 5}}\n",
       "vps.yaml:1: resources.io.readiops: unknown key, did you mean resources.io.readIops?"},
      {"mounts: [{source: /a, destination: /b}]\n", "vps.yaml:1: mounts[0].destination: unknown key"},
      {"mounts:\n- source: /a\n  traget: /b\n", "vps.yaml:3: mounts[0].traget: unknown key, did you mean target?"},
      {"flavour: sweet\n", "vps.yaml:1: flavour: unknown key"},
      {"\"\": x\n", "vps.yaml:1: unknown key"},
      {"resources.cpu.limit: 1\n", "vps.yaml:1: resources.cpu.limit: unknown key, did you mean resources.cpu.limit?"},
      {"\"a\\nb\": x\n", "vps.yaml:1: a?b: unknown key"},
      {"hooks: {prestrat: [/a]}\n",
       "vps.yaml:1: hooks.prestrat: unknown hook (prestart, poststart and poststop are known)"},
  });
}

TEST(DefinitionErrors, WrongTypes) {
  expect_all({
      {"id: [a]\n", "vps.yaml:1: id: expected a word, found a list"},
      {"id:\n", "vps.yaml:1: id: expected a word, found nothing"},
      {"id: null\n", "vps.yaml:1: id: expected a word, found nothing"},
      {"name: \"\"\n", "vps.yaml:1: name: expected a word, found ''"},
      {"resources: 5\n", "vps.yaml:1: resources: expected a mapping of keys, found '5'"},
      {"resources:\n  cpu: [1]\n", "vps.yaml:2: resources.cpu: expected a mapping of keys, found a list"},
      {"resources:\n", "vps.yaml:1: resources: expected a mapping of keys, found nothing"},
      {"onboot: maybe\n", "vps.yaml:1: onboot: expected true or false, found 'maybe'"},
      {"onboot: {}\n", "vps.yaml:1: onboot: expected true or false, found a mapping"},
      {"init: /sbin/init\n", "vps.yaml:1: init: expected a list like [a, b], found '/sbin/init'"},
      {"init:\n- /sbin/init\n- {a: b}\n", "vps.yaml:3: init[1]: expected a word, found a mapping"},
      {"labels: [a]\n", "vps.yaml:1: labels: expected a mapping like {key: value}, found a list"},
      {"mounts:\n- /a\n", "vps.yaml:2: mounts[0]: expected a mapping of keys, found '/a'"},
      {"network: all\n", "vps.yaml:1: network: expected none or a mapping of keys, found 'all'"},
      {"network: [none]\n", "vps.yaml:1: network: expected none or a mapping of keys, found a list"},
      {"hooks: {poststart: /a}\n", "vps.yaml:1: hooks.poststart: expected a list like [a, b], found '/a'"},
  });
}

TEST(DefinitionErrors, Numbers) {
  expect_all({
      {"id: a\nresources:\n  memory:\n    limit: 12 apples\n",
       "vps.yaml:4: resources.memory.limit: expected a size like 512M, found '12 apples'"},
      {"resources: {memory: {limit: 99999999999999999999}}",
       "vps.yaml:1: resources.memory.limit: expected a size like 512M, found '99999999999999999999'"},
      {"resources: {memory: {limit: 3M}}", "vps.yaml:1: resources.memory.limit: expected a size from 4M to 1024P, found '3M'"},
      {"resources: {memory: {limit: -1}}", "vps.yaml:1: resources.memory.limit: expected a size like 512M, found '-1'"},
      {"resources: {memory: {swap: 1025P}}", "vps.yaml:1: resources.memory.swap: expected a size from 0 to 1024P, found '1025P'"},
      {"resources: {io: {read: 0}}", "vps.yaml:1: resources.io.read: expected a size from 1 to 1024P, found '0'"},
      {"resources: {cpu: {limit: 0}}",
       "vps.yaml:1: resources.cpu.limit: expected a number of CPUs from 0.01 to 8192, like 1.5, found '0'"},
      {"resources: {cpu: {limit: 8192.5}}",
       "vps.yaml:1: resources.cpu.limit: expected a number of CPUs from 0.01 to 8192, like 1.5, found '8192.5'"},
      {"resources: {cpu: {limit: two}}",
       "vps.yaml:1: resources.cpu.limit: expected a number of CPUs from 0.01 to 8192, like 1.5, found 'two'"},
      {"resources: {cpu: {weight: 0}}",
       "vps.yaml:1: resources.cpu.weight: expected a whole number from 1 to 10000, found '0'"},
      {"resources: {io: {weight: 10001}}",
       "vps.yaml:1: resources.io.weight: expected a whole number from 1 to 10000, found '10001'"},
      {"resources: {cpu: {count: 1.5}}",
       "vps.yaml:1: resources.cpu.count: expected a whole number from 1 to 8192, found '1.5'"},
      {"resources: {pids: {limit: 0}}",
       "vps.yaml:1: resources.pids.limit: expected a whole number from 1 to 4194304, found '0'"},
      {"resources: {io: {readIops: 0}}",
       "vps.yaml:1: resources.io.readIops: expected a whole number from 1 to 1000000000000, found '0'"},
      {"bootOrder: 1000001", "vps.yaml:1: bootOrder: expected a whole number from -1000000 to 1000000, found '1000001'"},
      {"bootOrder: 0x10", "vps.yaml:1: bootOrder: expected a whole number from -1000000 to 1000000, found '0x10'"},
      {"stopTimeout: 500ms", "vps.yaml:1: stopTimeout: expected a time from 1s to 24h, found '500ms'"},
      {"stopTimeout: 2d", "vps.yaml:1: stopTimeout: expected a time from 1s to 24h, found '2d'"},
      {"stopTimeout: soon", "vps.yaml:1: stopTimeout: expected a time like 90s, found 'soon'"},
      {"disk: {size: 0}", "vps.yaml:1: disk.size: expected a size from 1M to 1024P, found '0'"},
      {"network: {interfaces: [{name: a, network: b, rateIn: 1}]}",
       "vps.yaml:1: network.interfaces[0].rateIn: expected a rate in bit/s from 1K to 1P, found '1'"},
      {"network: {interfaces: [{name: a, network: b, rateOut: fast}]}",
       "vps.yaml:1: network.interfaces[0].rateOut: expected a rate in bit/s like 100M, found 'fast'"},
      {"restart: sometimes", "vps.yaml:1: restart: expected never, on-failure or always, found 'sometimes'"},
      {"disk: {layout: zfs}", "vps.yaml:1: disk.layout: expected auto, overlay, image, btrfs or dir, found 'zfs'"},
      {"security: {seccomp: off}", "vps.yaml:1: security.seccomp: expected default or unconfined, found 'off'"},
      {"security: {features: [tun, kvm]}",
       "vps.yaml:1: security.features[1]: expected tun, fuse or nesting, found 'kvm'"},
  });
}

TEST(DefinitionErrors, Words) {
  const std::string path = "expected an absolute path without '.', '..', '//' or a '/' at its end, found ";
  expect_all({
      {"id: Web", "vps.yaml:1: id: 'Web' is not an id (a-z, 0-9 and -, not starting with -)"},
      {"name: a/b",
       "vps.yaml:1: name: 'a/b' is not a name (letters, digits, '.', '_' and '-', starting with a letter or digit)"},
      {"uuid: 12", "vps.yaml:1: uuid: expected a uuid in lower case, found '12'"},
      {"template: ../x",
       "vps.yaml:1: template: expected a template name (letters, digits, '.', '_' and '-'), found '../x'"},
      {"hostname: a_b",
       "vps.yaml:1: hostname: 'a_b' is not a host name (labels of at most 63 letters, digits and inner '-', joined by '.')"},
      {"environment: {1A: b}",
       "vps.yaml:1: environment.1A: expected the name of a variable (letters, digits and _), found '1A'"},
      {"resources: {cpu: {set: 3-1}}",
       "vps.yaml:1: resources.cpu.set: expected CPU numbers in ascending order like 0-1,3, found '3-1'"},
      {"security: {idmap: some}",
       "vps.yaml:1: security.idmap: expected auto, host or BASE:SIZE like 100000:65536, found 'some'"},
      {"security: {idmap: \"0:65536\"}",
       "vps.yaml:1: security.idmap: expected BASE:SIZE of at least 65536 each, ending below 2^32 - 1, found '0:65536'"},
      {"security:\n  capabilities:\n  - sys_nice",
       "vps.yaml:3: security.capabilities[0]: expected + or - and a capability, like +sys_nice or -net_raw, found 'sys_nice'"},
      {"security: {capabilities: [+CAP_SYS_NICE]}",
       "vps.yaml:1: security.capabilities[0]: no capability 'CAP_SYS_NICE' (they are written like sys_nice, see "
       "capabilities(7))"},
      {"security: {features: [tun, tun]}", "vps.yaml:1: security.features[1]: the same entry twice"},
      {"mounts: [{source: srv, target: /a}]", "vps.yaml:1: mounts[0].source: " + path + "'srv'"},
      {"mounts: [{source: /srv/../etc, target: /a}]", "vps.yaml:1: mounts[0].source: " + path + "'/srv/../etc'"},
      {"mounts: [{source: /srv, target: /a/}]", "vps.yaml:1: mounts[0].target: " + path + "'/a/'"},
      {"mounts: [{source: /srv, target: /}]", "vps.yaml:1: mounts[0].target: the root itself cannot be a mount target"},
      {"mounts: [{source: /srv, target: /proc/x}]",
       "vps.yaml:1: mounts[0].target: /proc is mounted by the system itself, '/proc/x' cannot be a mount target"},
      {"mounts: [{source: /srv, target: /sys}]",
       "vps.yaml:1: mounts[0].target: /sys is mounted by the system itself, '/sys' cannot be a mount target"},
      {"mounts: [{source: /srv, target: /dev}]",
       "vps.yaml:1: mounts[0].target: /dev is mounted by the system itself, '/dev' cannot be a mount target"},
      {"mounts:\n- {target: /a}", "vps.yaml:2: mounts[0].source: missing"},
      {"mounts:\n- {source: /a}", "vps.yaml:2: mounts[0].target: missing"},
      {"hooks: {poststart: [announce]}", "vps.yaml:1: hooks.poststart[0]: " + path + "'announce'"},
      {"labels: {\"a b\": c}",
       "vps.yaml:1: labels.a b: expected a label of at most 63 letters, digits, '.', '_', '/' and '-', found 'a b'"},
      {"labels: {a: \"\\n\"}", "vps.yaml:1: labels.a: expected at most 255 printable characters, found '?'"},
      {"network: {interfaces: [{name: lo, network: b}]}",
       "vps.yaml:1: network.interfaces[0].name: expected an interface name of at most 15 letters, digits, '.', '_' and '-' "
       "(not lo), found 'lo'"},
      {"network: {interfaces: [{name: a}]}", "vps.yaml:1: network.interfaces[0].network: missing"},
      {"network: {interfaces: [{name: a, network: b, mac: 01:00:00:00:00:01}]}",
       "vps.yaml:1: network.interfaces[0].mac: expected auto or a MAC address like 02:00:0a:c8:00:05, found "
       "'01:00:00:00:00:01'"},
      {"network: {interfaces: [{name: a, network: b, addresses: [10.0.0.1/33]}]}",
       "vps.yaml:1: network.interfaces[0].addresses[0]: expected auto or an address like 10.0.0.2/24 or fd00::2/64, found "
       "'10.0.0.1/33'"},
      {"network: {nameservers: [dns.example.org]}",
       "vps.yaml:1: network.nameservers[0]: expected inherit or an address, found 'dns.example.org'"},
  });
}

TEST(DefinitionErrors, BetweenKeys) {
  expect_all({
      {"resources:\n  memory:\n    guarantee: 1G\n    limit: 512M\n",
       "vps.yaml:3: resources.memory.guarantee: 1G is more than the limit of 512M"},
      {"resources: {cpu: {count: 4, set: \"0-1\"}}",
       "vps.yaml:1: resources.cpu.count: 4 is more than the 2 CPUs of resources.cpu.set '0-1'"},
      {"security: {capabilities: [+net_raw, -net_raw]}",
       "vps.yaml:1: security.capabilities: net_raw is both added and removed"},
      {"id: a\nmounts: [{source: /a, target: /b}, {source: /c, target: /b}]", "vps.yaml:2: mounts: two mounts on /b"},
      {"network: {interfaces: [{name: a, network: b}, {name: a, network: c}]}",
       "vps.yaml:1: network.interfaces: two interfaces named a"},
      {"init: [sleep, \"1\"]", "vps.yaml:1: init: expected an absolute path as program, found 'sleep'"},
  });
}

TEST(DefinitionErrors, Limits) {
  std::string mounts = "mounts:\n", labels = "labels:\n";
  for (int i = 0; i < 129; ++i) mounts += fmt::format("- {{source: /a, target: /t{}}}\n", i);
  for (int i = 0; i < 65; ++i) labels += fmt::format("  k{}: v\n", i);
  expect_all({
      {mounts, "vps.yaml:1: mounts: more than 128 entries"},
      {labels, "vps.yaml:1: labels: more than 64 entries"},
      {"init: [/a, " + std::string(131072, 'x') + "]", "vps.yaml:1: init[1]: longer than 131071 bytes"},
      {"labels: {a: " + std::string(256, 'x') + "}",
       "vps.yaml:1: labels.a: expected at most 255 printable characters, found '" + std::string(60, 'x') + "...'"},
  });
}

}  // namespace
}  // namespace vps
