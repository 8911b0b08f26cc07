// set_key, diff_definitions, validate_definition and the list of keys.
#include <gtest/gtest.h>

#include <set>

#include "definition_sample.h"
#include "specs/vps/definition_yaml.h"

namespace vps {
namespace {

using test::full_definition;
using test::small_definition;

std::string set_message(std::string_view assignment) {
  Definition definition = full_definition();
  auto result = set_key(definition, assignment);
  if (!result) {
    EXPECT_EQ(definition, full_definition()) << "changed by a refused " << assignment;
    EXPECT_EQ(result.error().code(), Code::kUsage);
    return result.error().to_string();
  }
  return "ok";
}

Definition after(const std::vector<std::string>& assignments, Definition definition = small_definition()) {
  for (const auto& assignment : assignments) {
    auto result = set_key(definition, assignment);
    EXPECT_TRUE(result) << assignment << ": " << (result ? "" : result.error().to_string());
  }
  return definition;
}

TEST(SetKey, EveryKeyOfTheSample) {
  // What diff says of a definition, set_key builds again.
  auto full = full_definition();
  Definition built;
  built.id = full.id;
  built.uuid = full.uuid;
  built.template_name = full.template_name;
  for (const auto& change : diff_definitions(built, full)) {
    auto result = set_key(built, change.key + "=" + change.to);
    ASSERT_TRUE(result) << change.key << ": " << result.error().to_string();
  }
  EXPECT_EQ(built, full);
}

TEST(SetKey, ShortNames) {
  auto d = after({"ram=512M", "swap=1G", "cpus=1.5", "disk=10G", "hostname=h", "onboot=yes", "pids=99", "name=n",
                  "cpuset=0-3", "guarantee=64M", "features=[tun]"});
  EXPECT_EQ(d.resources.memory.limit, Bytes{512u << 20});
  EXPECT_EQ(d.resources.memory.swap, Bytes{1u << 30});
  EXPECT_EQ(d.resources.cpu.limit, 1.5);
  EXPECT_EQ(d.disk.size, Bytes{10ull << 30});
  EXPECT_EQ(d.hostname, "h");
  EXPECT_TRUE(d.onboot);
  EXPECT_EQ(d.resources.pids_limit, 99u);
  EXPECT_EQ(d.name, "n");
  EXPECT_EQ(d.resources.cpu.set, "0-3");
  EXPECT_EQ(d.resources.memory.guarantee, Bytes{64u << 20});
  EXPECT_EQ(d.security.features, std::vector<std::string>{"tun"});
}

TEST(SetKey, EmptyUnsets) {
  auto full = full_definition();
  std::vector<std::string> all;
  for (const auto& info : definition_keys())
    if (info.settable) all.push_back(info.key + "=");
  auto d = after(all, full);
  Definition bare;
  bare.id = full.id;
  bare.uuid = full.uuid;
  bare.template_name = full.template_name;
  EXPECT_EQ(d, bare);
}

TEST(SetKey, Entries) {
  auto d = after({"labels.customer=42", "labels.example.org/tier=a: [b", "environment.LANG=C", "hooks.poststart=[/a, /b]"});
  EXPECT_EQ(d.labels, (std::map<std::string, std::string>{{"customer", "42"}, {"example.org/tier", "a: [b"}}));
  EXPECT_EQ(d.environment.at("LANG"), "C");
  EXPECT_EQ(d.hooks.programs.at("poststart"), (std::vector<std::string>{"/a", "/b"}));
  d = after({"labels.customer=", "labels.absent=", "environment.LANG=D"}, d);
  EXPECT_EQ(d.labels.size(), 1u);
  EXPECT_EQ(d.environment.at("LANG"), "D");
}

TEST(SetKey, WholeMappingsAndLists) {
  auto d = after({"labels={a: b, c: d}", "mounts=[{source: /a, target: /b}]", "network.nameservers=[9.9.9.9]"});
  EXPECT_EQ(d.labels.size(), 2u);
  EXPECT_EQ(d.mounts.at(0).target, "/b");
  d = after({"network=none"}, full_definition());
  EXPECT_EQ(d.network, VpsNetwork{});
  d = after({"network.interfaces=[{name: e, network: n}]"});
  EXPECT_FALSE(d.network.none);
  d = after({"network.interfaces="}, d);
  EXPECT_TRUE(d.network.none);
}

TEST(SetKey, ValuesStandAsTheyAre) {
  auto d = after({"environment.A=x=y: {z", "environment.B=\"q\"", "environment.C= #"});
  EXPECT_EQ(d.environment.at("A"), "x=y: {z");
  EXPECT_EQ(d.environment.at("B"), "\"q\"");
  EXPECT_EQ(d.environment.at("C"), " #");
}

TEST(SetKey, Errors) {
  EXPECT_EQ(set_message("ram"), "expected KEY=VALUE, found 'ram'");
  EXPECT_EQ(set_message(""), "expected KEY=VALUE, found ''");
  EXPECT_EQ(set_message("=5"), "expected KEY=VALUE, found '=5'");
  EXPECT_EQ(set_message("ram=lots"), "resources.memory.limit: expected a size like 512M, found 'lots'");
  EXPECT_EQ(set_message("id=7"), "id: cannot be set");
  EXPECT_EQ(set_message("uuid="), "uuid: cannot be set");
  EXPECT_EQ(set_message("template=x"), "template: cannot be set");
  EXPECT_EQ(set_message("rma=1G"), "rma: unknown key, did you mean ram?");
  EXPECT_EQ(set_message("resources.memory.limt=1G"), "resources.memory.limt: unknown key, did you mean resources.memory.limit?");
  EXPECT_EQ(set_message("zzz=1"), "zzz: unknown key");
  EXPECT_EQ(set_message("resources.memory=1G"),
            "resources.memory: is a group, set one of resources.memory.limit, resources.memory.swap, "
            "resources.memory.guarantee");
  EXPECT_EQ(set_message("security.features=tun"), "security.features: expected a list like [a, b], found 'tun'");
  EXPECT_EQ(set_message("security.features=[tun"), "security.features: not valid YAML: end of sequence flow not found");
  EXPECT_EQ(set_message("security.features=[*x]"),
            "security.features: not valid YAML: the referenced anchor is not defined");
  EXPECT_EQ(set_message("labels.a b=c"),
            "labels.a b: expected a label of at most 63 letters, digits, '.', '_', '/' and '-', found 'a b'");
  EXPECT_EQ(set_message("hooks.never=[/a]"), "hooks.never: unknown hook (prestart, poststart and poststop are known)");
  EXPECT_EQ(set_message("name=\xff"), "name: not UTF-8 text");
  EXPECT_EQ(set_message("network=default"), "network: expected none or a mapping of keys, found 'default'");
}

std::string describe(const std::vector<Change>& changes) {
  std::string text;
  for (const auto& change : changes)
    text += fmt::format("{}: '{}' -> '{}' {}\n", change.key, change.from, change.to,
                        change.effect == ChangeEffect::kLive ? "live" : "next start");
  return text;
}

TEST(Diff, NothingChanged) {
  EXPECT_EQ(describe(diff_definitions(full_definition(), full_definition())), "");
  EXPECT_EQ(describe(diff_definitions(Definition{}, Definition{})), "");
}

TEST(Diff, EveryKeyWithItsEffectGolden) {
  EXPECT_EQ(describe(diff_definitions(Definition{}, full_definition())),
            R"(bootOrder: '0' -> '10' live
disk.inodes: '' -> '655360' next start
disk.layout: 'auto' -> 'overlay' next start
disk.size: '' -> '10G' next start
environment.LANG: '' -> 'C.UTF-8' next start
environment.NOTE: '' -> 'two
lines: "x"' next start
hooks.poststart: '' -> '[/usr/local/bin/announce]' next start
hooks.prestart: '' -> '[/usr/local/bin/a, /usr/local/bin/b]' next start
hostname: '' -> 'web.example.org' next start
id: '' -> '101' live
init: '' -> '[/sbin/init, "--show-status", "a b"]' next start
labels.customer: '' -> '42' live
labels.example.org/tier: '' -> 'gold' live
mounts: '' -> '[{source: /srv/data, target: /data, readonly: true}, {source: /srv/more, target: /srv/more}]' next start
name: '' -> 'web' live
network.configure: 'true' -> 'false' next start
network.connectionRate: '0' -> '100' live
network.connections: '65536' -> '1000' live
network.firewall.forwards: '' -> '[{number: 2, protocol: udp, listen: "192.0.2.1", port: 53, guestPort: 5353, guest: "10.0.0.2"}]' live
network.firewall.in: 'accept' -> 'drop' live
network.firewall.lastNumber: '0' -> '2' live
network.firewall.out: 'accept' -> 'reject' live
network.firewall.rules: '' -> '[{number: 1, direction: in, action: accept, protocol: tcp, ports: [22, "8000-8080"], peers: [10.0.0.0/8], log: true, comment: office}]' live
network.interfaces: '' -> '[{name: eth0, network: default, addresses: [auto, 10.0.0.2/24, "fd00::2/64"], mac: "02:00:0a:c8:00:05", rateIn: 100M, rateOut: 1G}, {name: eth1, network: back}]' next start
network.nameservers: '' -> '[inherit, "9.9.9.9"]' next start
network.search: '' -> '[example.org]' next start
network.smtp: 'allow' -> '20/min' live
onboot: 'false' -> 'true' live
resources.cpu.count: '' -> '2' live
resources.cpu.limit: '' -> '1.5' live
resources.cpu.set: '' -> '0-1' live
resources.cpu.weight: '' -> '100' live
resources.io.read: '' -> '50M' live
resources.io.readIops: '' -> '2000' live
resources.io.weight: '' -> '100' live
resources.io.write: '' -> '1000' live
resources.io.writeIops: '' -> '3000' live
resources.memory.guarantee: '' -> '128M' live
resources.memory.limit: '' -> '512M' live
resources.memory.swap: '' -> '0' live
resources.pids.limit: '' -> '4096' live
restart: 'on-failure' -> 'always' live
security.capabilities: '' -> '[+sys_nice, -net_raw]' next start
security.features: '' -> '[tun, fuse, nesting]' next start
security.idmap: 'auto' -> '100000:65536' next start
security.noNewPrivileges: 'false' -> 'true' next start
security.seccomp: 'default' -> 'unconfined' next start
security.timeNamespace: 'false' -> 'true' next start
stopTimeout: '90s' -> '30s' live
template: '' -> 'debian-12' next start
uuid: '' -> '0f8fad5b-d9cb-469f-a165-70867728950e' live
)");
}

TEST(Diff, EntriesOneByOne) {
  Definition from = small_definition(), to = small_definition();
  from.labels = {{"a", "1"}, {"b", "2"}, {"c", "3"}};
  to.labels = {{"b", "2"}, {"c", "4"}, {"d", "5"}};
  EXPECT_EQ(describe(diff_definitions(from, to)),
            "labels.a: '1' -> '' live\nlabels.c: '3' -> '4' live\nlabels.d: '' -> '5' live\n");
}

std::string validate_message(const Definition& definition) {
  auto result = validate_definition(definition);
  return result ? "ok" : result.error().to_string();
}

TEST(Validate, WhatIsComplete) {
  EXPECT_EQ(validate_message(small_definition()), "ok");
  auto full = full_definition();
  full.network.interfaces.clear();
  full.network.none = true;
  EXPECT_EQ(validate_message(full), "ok");
}

TEST(Validate, Missing) {
  auto d = small_definition();
  d.id.clear();
  EXPECT_EQ(validate_message(d), "id: missing");
  d = small_definition();
  d.template_name.clear();
  EXPECT_EQ(validate_message(d), "template: missing");
}

TEST(Validate, NetworksAreTaken) { EXPECT_EQ(validate_message(full_definition()), "ok"); }

TEST(Diff, InterfacesKeyByKey) {
  auto from = full_definition(), to = from;
  to.network.interfaces[0].rate_in = BitRate{5'000'000};
  to.network.interfaces[0].guards.mac = false;
  to.network.interfaces[1].mtu = 1400;
  EXPECT_EQ(describe(diff_definitions(from, to)),
            "network.interfaces.eth0.guards.mac: 'true' -> 'false' live\n"
            "network.interfaces.eth0.rateIn: '100M' -> '5M' live\n"
            "network.interfaces.eth1.mtu: '' -> '1400' next start\n");
  auto live = with_live_keys(from, to);
  EXPECT_EQ(live.network.interfaces[0], to.network.interfaces[0]);
  EXPECT_EQ(live.network.interfaces[1], from.network.interfaces[1]);
}

TEST(SetKey, KeysOfInterfaces) {
  auto d = after({"ip=auto,10.0.0.2"});
  ASSERT_EQ(d.network.interfaces.size(), 1u);
  EXPECT_FALSE(d.network.none);
  EXPECT_EQ(d.network.interfaces[0].network, "default");
  EXPECT_EQ(d.network.interfaces[0].addresses, (std::vector<std::string>{"auto", "10.0.0.2"}));
  d = after({"rateOut=50M", "network.interfaces.eth0.mtu=1400", "network.interfaces.eth0.guards.mac=off"}, d);
  EXPECT_EQ(d.network.interfaces[0].rate_out, BitRate{50'000'000});
  EXPECT_EQ(d.network.interfaces[0].mtu, 1400u);
  EXPECT_FALSE(d.network.interfaces[0].guards.mac);
  d = after({"rateOut="}, d);
  EXPECT_FALSE(d.network.interfaces[0].rate_out);
  Definition bare;
  EXPECT_EQ(set_key(bare, "rateIn=5M").error().to_string(), "rateIn: it has no interface");
  EXPECT_EQ(set_message("network.interfaces.eth9.mtu=1400"), "network.interfaces.eth9.mtu: it has no such interface");
  d = after({"ip=none"}, d);
  EXPECT_TRUE(d.network.none);
}

Forward forward(std::uint32_t number, std::uint16_t port, std::uint16_t guest_port) {
  Forward out;
  out.number = number;
  out.port = port;
  out.guest_port = guest_port;
  return out;
}

TEST(Firewall, NumbersAreNeverGivenTwice) {
  auto d = small_definition();
  d.network.firewall.rules.resize(2);
  number_firewall(d);
  EXPECT_EQ(d.network.firewall.rules[1].number, 2u);
  d.network.firewall.rules.pop_back();
  d.network.firewall.forwards.push_back(forward(0, 80, 80));
  number_firewall(d);
  EXPECT_EQ(d.network.firewall.forwards[0].number, 3u);
  EXPECT_EQ(validate_message(d), "ok");
  d.network.firewall.rules[0].ports = {{80, 80}};
  EXPECT_EQ(validate_message(d), "network.firewall.rules: ports are those of tcp or udp: a rule with ports needs one of these as protocol");
  d.network.firewall.rules[0].ports.clear();
  d.network.firewall.rules[0].protocol = net::Protocol::kIcmp;
  d.network.firewall.rules[0].peers = {*parse_prefix("192.0.2.1"), *parse_prefix("fe80::1")};
  EXPECT_EQ(validate_message(d), "network.firewall.rules: nobody at fe80::1/128 speaks icmp");
  d.network.firewall.rules[0].protocol = net::Protocol::kTcp;
  d.network.firewall.forwards.push_back(forward(9, 80, 81));
  EXPECT_EQ(validate_message(d), "network.firewall.forwards: port 80 is forwarded twice");
}

// Values that did not come through the parser meet the same checks.
TEST(Validate, BadValuesOfEveryKind) {
  auto with = [](auto&& change) {
    auto d = small_definition();
    change(d);
    auto result = validate_definition(d);
    if (result) return std::string("ok");
    EXPECT_EQ(result.error().code(), Code::kUsage);
    return result.error().to_string();
  };
  EXPECT_EQ(with([](auto& d) { d.id = "A"; }), "id: 'A' is not an id (a-z, 0-9 and -, not starting with -)");
  EXPECT_EQ(with([](auto& d) { d.boot_order = 1'000'001; }),
            "bootOrder: expected a whole number from -1000000 to 1000000, found '1000001'");
  EXPECT_EQ(with([](auto& d) { d.stop_timeout = Milliseconds(-5); }), "stopTimeout: expected a time from 1s to 24h, found '-5ms'");
  EXPECT_EQ(with([](auto& d) { d.restart = static_cast<RestartPolicy>(9); }),
            "restart: expected never, on-failure or always");
  EXPECT_EQ(with([](auto& d) { d.resources.cpu.limit = 0.0 / 1.0; }),
            "resources.cpu.limit: expected a number of CPUs from 0.01 to 8192, like 1.5, found '0'");
  EXPECT_EQ(with([](auto& d) { d.resources.cpu.limit = __builtin_nan(""); }),
            "resources.cpu.limit: expected a number of CPUs from 0.01 to 8192, like 1.5, found 'nan'");
  EXPECT_EQ(with([](auto& d) { d.resources.memory.limit = Bytes{1}; }),
            "resources.memory.limit: expected a size from 4M to 1024P, found '1'");
  EXPECT_EQ(with([](auto& d) { d.resources.memory = {.limit = Bytes{8u << 20}, .swap = {}, .guarantee = Bytes{9u << 20}}; }),
            "resources.memory.guarantee: 9M is more than the limit of 8M");
  EXPECT_EQ(with([](auto& d) { d.init = {"init"}; }), "init: expected an absolute path as program, found 'init'");
  EXPECT_EQ(with([](auto& d) { d.init = {std::string("/a\0b", 4)}; }), "init[0]: not UTF-8 text");
  EXPECT_EQ(with([](auto& d) { d.environment = {{"A=B", "c"}}; }),
            "environment.A=B: expected the name of a variable (letters, digits and _), found 'A=B'");
  EXPECT_EQ(with([](auto& d) { d.mounts = {{"/a", "", false}}; }), "mounts[0].target: missing");
  EXPECT_EQ(with([](auto& d) { d.mounts = {{"/a", "/dev/x", false}}; }),
            "mounts[0].target: /dev is mounted by the system itself, '/dev/x' cannot be a mount target");
  EXPECT_EQ(with([](auto& d) { d.hooks.programs["stop"] = {"/a"}; }),
            "hooks.stop: unknown hook (prestart, poststart and poststop are known)");
  EXPECT_EQ(with([](auto& d) { d.security.features = {"kvm"}; }), "security.features[0]: expected tun, fuse or nesting");
  EXPECT_EQ(with([](auto& d) { d.security.idmap = ""; }),
            "security.idmap: expected auto, host or BASE:SIZE like 100000:65536, found ''");
  EXPECT_EQ(with([](auto& d) { d.security.capabilities = {"+chown", "+chown"}; }),
            "security.capabilities[1]: the same entry twice");
  EXPECT_EQ(with([](auto& d) { d.network.none = false; }), "network: no interfaces and not none");
  EXPECT_EQ(with([](auto& d) { d.labels[""] = "x"; }),
            "labels.: expected a label of at most 63 letters, digits, '.', '_', '/' and '-', found ''");
}

TEST(Validate, PathsAndSetsAtTheEdge) {
  auto d = small_definition();
  d.mounts = {{"/", "/data", false}, {"/srv", "/procession", false}, {"/srv", "/device/dev", false}};
  d.resources.cpu.set = "0,2-4,8191";
  d.resources.cpu.count = 5;
  d.security.idmap = "65536:4294901759";
  EXPECT_EQ(validate_message(d), "ok");
  d.security.idmap = "65536:4294901760";
  EXPECT_NE(validate_message(d), "ok");
  d = small_definition();
  for (std::string set : {"8192", "0,0", "1,0", "0-", "-1", ",", "0,", "a", "0-1-2", "0--1"}) {
    d.resources.cpu.set = set;
    EXPECT_NE(validate_message(d), "ok") << set;
  }
}

TEST(Keys, AreListedInOrderWithShortNames) {
  auto keys = definition_keys();
  ASSERT_GT(keys.size(), 30u);
  EXPECT_EQ(keys.front().key, "id");
  EXPECT_FALSE(keys.front().settable);
  EXPECT_EQ(keys.back().key, "labels");
  std::set<std::string> seen;
  for (const auto& info : keys) {
    EXPECT_TRUE(seen.insert(info.key).second) << info.key;
    for (const auto& name : info.short_names) EXPECT_TRUE(seen.insert(name).second) << name;
  }
}

}  // namespace
}  // namespace vps
