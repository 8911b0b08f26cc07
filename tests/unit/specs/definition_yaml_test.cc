// Reading and printing: the whole example, its JSON form, what is printed for what, and that reading and printing agree.
#include "specs/vps/definition_yaml.h"

#include <gtest/gtest.h>

#include <random>

#include "definition_sample.h"
#include "specs/vps/tree.h"

namespace vps {
namespace {

using test::full_definition;
using test::kFullYaml;
using test::small_definition;

std::string parse_message(std::string_view yaml, std::string_view file = "vps.yaml") {
  auto result = parse_definition(yaml, file);
  return result ? "ok" : result.error().to_string();
}

TEST(DefinitionYaml, EveryKeyIsRead) {
  auto parsed = parse_definition(kFullYaml, "vps.yaml");
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(*parsed, full_definition());
}

TEST(DefinitionYaml, EveryKeyIsPrinted) { EXPECT_EQ(format_definition(full_definition()), kFullYaml); }

TEST(DefinitionYaml, TheSampleSetsEveryKey) {
  auto changes = diff_definitions(Definition{}, full_definition());
  std::string missing;
  for (const auto& info : definition_keys()) {
    if (info.key == "network") continue;  // the short form of the keys below it
    bool found = false;
    for (const auto& change : changes) found |= change.key == info.key || change.key.starts_with(info.key + ".");
    if (!found) missing += info.key + " ";
  }
  EXPECT_EQ(missing, "");
}

TEST(DefinitionYaml, PrintsNoMoreThanIsSet) {
  EXPECT_EQ(format_definition(small_definition()), "id: \"101\"\ntemplate: busybox\nnetwork: none\n");
  auto parsed = parse_definition(format_definition(small_definition()), "x");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, small_definition());
}

TEST(DefinitionYaml, TheExampleOfTheManualPage) {
  EXPECT_EQ(parse_message(R"(
id: "101"
name: web
template: debian-12
hostname: web.example.org
onboot: true
bootOrder: 10
restart: on-failure            # never | on-failure | always
stopTimeout: 90s
resources:
  cpu:    {limit: 1.5, weight: 100, count: 2, set: "0-1"}
  memory: {limit: 512M, swap: 512M, guarantee: 128M}
  pids:   {limit: 4096}
  io:     {weight: 100, read: 50M, write: 50M, readIops: 2000, writeIops: 2000}   # bytes/s
disk: {size: 10G, inodes: 655360, layout: auto}   # overlay | image | btrfs | dir
network:
  interfaces:
    - {name: eth0, network: default, addresses: [auto], mac: auto, rateIn: 100M, rateOut: 100M}   # bit/s
  nameservers: [inherit]
security:
  idmap: auto
  capabilities: [+sys_nice, -net_raw]
  seccomp: default
  features: [tun, fuse, nesting]
mounts: [{source: /srv/data, target: /data, readonly: true}]
hooks: {poststart: [/usr/local/bin/announce]}
labels: {customer: "42"}
)"),
            "ok");
}

TEST(DefinitionYaml, NetworkForms) {
  auto none = parse_definition("network: none", "x");
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->network.none);
  auto mapping = parse_definition("network: {interfaces: [{name: eth0, network: n}]}", "x");
  ASSERT_TRUE(mapping);
  EXPECT_FALSE(mapping->network.none);
  EXPECT_EQ(mapping->network.interfaces.at(0).mac, "auto");
  auto empty = parse_definition("network: {interfaces: []}", "x");
  ASSERT_TRUE(empty);
  EXPECT_TRUE(empty->network.none);
  auto names = parse_definition("network: {nameservers: [9.9.9.9]}", "x");
  ASSERT_TRUE(names);
  EXPECT_TRUE(names->network.none);
  EXPECT_EQ(format_definition(*names), "network:\n  nameservers: [\"9.9.9.9\"]\n");
}

TEST(DefinitionYaml, BooleansInBothSpellings) {
  for (std::string word : {"true", "yes", "on"}) EXPECT_TRUE(parse_definition("onboot: " + word, "x")->onboot) << word;
  for (std::string word : {"false", "no", "off"}) EXPECT_FALSE(parse_definition("onboot: " + word, "x")->onboot) << word;
}

TEST(DefinitionJson, Golden) {
  EXPECT_EQ(format_definition_json(small_definition()), R"({"id":"101","template":"busybox","network":"none"})");
  auto d = small_definition();
  d.onboot = true;
  d.resources.cpu.limit = 0.3;
  d.resources.memory.limit = Bytes{512u << 20};
  d.resources.memory.swap = Bytes{0};
  d.labels = {{"note", "a \"b\"\t\x01\\"}};
  d.mounts = {{"/a", "/b", true}};
  EXPECT_EQ(format_definition_json(d),
            R"({"id":"101","template":"busybox","onboot":true,"resources":{"cpu":{"limit":0.3},)"
            R"("memory":{"limit":"512M","swap":0}},"network":"none","mounts":[{"source":"/a","target":"/b","readonly":true}],)"
            R"("labels":{"note":"a \"b\"\t\u0001\\"}})");
}

TEST(DefinitionJson, IsReadBackByTheSameParser) {
  auto full = full_definition();
  auto parsed = parse_definition(format_definition_json(full), "");
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(*parsed, full);
  // As other programs print JSON: spaces, line breaks, escaped slashes.
  EXPECT_EQ(parse_message("{\n  \"id\" : \"a\",\n  \"mounts\" : [ { \"source\":\"\\/a\", \"target\" :\"\\/b\" } ]\n}", ""), "ok");
  EXPECT_EQ(parse_message(R"({"resources":{"memory":{"limit":"12 apples"}}})", ""),
            "resources.memory.limit: expected a size like 512M, found '12 apples'");
}

// Printed, read, printed: the same, for definitions of random content. The seed is fixed and printed on failure.
TEST(DefinitionYaml, RandomDefinitionsRoundTrip) {
  std::mt19937 random(20240607);
  auto number = [&](std::uint64_t least, std::uint64_t most) {
    return std::uniform_int_distribution<std::uint64_t>(least, most)(random);
  };
  auto chance = [&] { return number(0, 1) == 1; };
  auto text = [&] {
    static const std::vector<std::string> kPieces = {"a",  "Z",  "0",  "-", ".",  " ",  ":",      "#",      "'",       "\"",
                                                     "\\", "\n", "\t", "{", "]",  ",",  "&",      "*",      "!",       "|",
                                                     ">",  "%",  "@",  "`", "\r", "~",  "\u00e4", "\u2028", "\u0085",  "\U0001f600",
                                                     "?",  "true", "null", "0x1f", "1e3", "\x7f", "\x01", "\ufeff", "= ", "<<"};
    std::string out;
    for (auto left = number(0, 6); left > 0; --left) out += kPieces[number(0, kPieces.size() - 1)];
    return out;
  };
  for (int i = 0; i < 300; ++i) {
    Definition d = chance() ? full_definition() : small_definition();
    d.environment.clear();
    for (auto left = number(0, 3); left > 0; --left) d.environment["V" + std::to_string(left)] = text();
    d.init = {"/sbin/init"};
    for (auto left = number(0, 3); left > 0; --left) d.init.push_back(text());
    if (chance()) d.resources.cpu.limit = static_cast<double>(number(1, 819'200)) / 100.0;
    if (chance()) d.resources.memory.limit = Bytes{number(1ull << 29, 1ull << 60)};
    if (chance()) d.resources.memory.swap = Bytes{number(0, 1ull << 60)};
    if (chance()) d.stop_timeout = Milliseconds(static_cast<std::int64_t>(number(1000, 86'400'000)));
    if (chance()) d.boot_order = static_cast<std::int32_t>(number(0, 2'000'000)) - 1'000'000;
    if (chance()) d.resources.pids_limit = number(1, 4'194'304);
    if (chance()) d.onboot = !d.onboot;
    if (chance()) d.network = VpsNetwork{};
    auto yaml = format_definition(d);
    auto parsed = parse_definition(yaml, "x");
    ASSERT_TRUE(parsed) << "round " << i << ": " << parsed.error().to_string() << "\n" << yaml;
    ASSERT_EQ(*parsed, d) << "round " << i << "\n" << yaml;
    ASSERT_EQ(format_definition(*parsed), yaml);
    auto json = parse_definition(format_definition_json(d), "");
    ASSERT_TRUE(json) << "round " << i << ": " << json.error().to_string() << "\n" << format_definition_json(d);
    ASSERT_EQ(*json, d) << "round " << i;
  }
}

}  // namespace
}  // namespace vps
