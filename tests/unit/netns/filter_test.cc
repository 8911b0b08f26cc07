// The pure half of the filter: layout, contents, bytes and parsers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netfilter/nfnetlink.h>

#include <set>

#include "base/files.h"
#include "netns/filter_kernel.h"

namespace vps::netns::filter {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Prefix prefix(const std::string& text) { return *parse_prefix(text); }

net::VpsPlan plan() {
  net::VpsPlan vps;
  vps.id = "101";
  net::PortPlan port;
  port.host_link = "v101.0";
  port.mac = *parse_mac("02:00:00:00:00:65");
  port.allowed = {prefix("10.0.0.2/32"), prefix("fd00::2/128"), prefix("192.0.2.0/29"), host_prefix(link_local(port.mac))};
  vps.ports = {port};
  return vps;
}

std::size_t count(const Contents& contents) {
  std::size_t sum = 0;
  for (const auto& [set, elements] : contents) sum += elements.size();
  return sum;
}

// The rules as text: whoever changes what a packet meets sees it here. To renew: VPS_UPDATE_GOLDEN=1.
TEST(FilterLayout, RulesAreThoseOfTheGoldenFile) {
  std::string text;
  for (const auto& each : layouts()) {
    text += fmt::format("table {}\n", table_word(each.table));
    for (const auto& set : each.sets) text += fmt::format("  set {} key {} data {}{}\n", set.name, set.key_length, set.data_length, set.counted ? " counted" : "");
    for (const auto& chain : each.chains)
      if (!chain.type.empty()) text += fmt::format("  base {} {} hook {} priority {}\n", chain.name, chain.type, chain.hook, chain.priority);
    for (const auto& rule : each.rules) text += "  " + rule.text() + "\n";
  }
  std::string file = "golden/filter.txt";
  if (std::getenv("VPS_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(write_file_atomic(file, text));
  }
  auto golden = read_file(file);
  ASSERT_TRUE(golden) << golden.error().to_string();
  EXPECT_EQ(text, *golden);
}

TEST(FilterLayout, EveryNameThatARuleUsesIsThere) {
  for (const auto& each : layouts()) {
    std::set<std::string> chains;
    for (const auto& chain : each.chains) EXPECT_TRUE(chains.insert(chain.name).second) << chain.name;
    for (const auto& rule : each.rules) {
      EXPECT_TRUE(chains.contains(rule.chain)) << rule.text();
      for (const auto& expr : rule.exprs) {
        if (auto at = expr.text.find('@'); at != std::string::npos) {
          std::string set = expr.text.substr(at + 1, expr.text.find(' ', at) - at - 1);
          EXPECT_NE(find_set(each.table, set), nullptr) << rule.text();
        }
        for (std::string word : {"goto ", "jump "})
          if (expr.text.starts_with(word)) {
            EXPECT_TRUE(chains.contains(expr.text.substr(5))) << rule.text();
          }
      }
    }
  }
}

TEST(FilterContents, AVpsIsElementsOnly) {
  Contents contents = vps_contents(plan(), 3, 7);
  for (const auto& [set, elements] : contents) {
    const auto* spec = find_set(set.first, set.second);
    ASSERT_NE(spec, nullptr) << set.second;
    for (const auto& [key, element] : elements) {
      EXPECT_EQ(element.key.size(), spec->key_length) << set.second;
      EXPECT_EQ(element.data.size(), element.end || !element.chain.empty() ? 0 : spec->data_length) << set.second;
      if (!element.end) {
        EXPECT_EQ(parse_element_data(element.user_data).id, "101");
      }
    }
  }
  // 192.0.2.0/29 is two pieces of /28 length or less: eight single addresses.
  EXPECT_EQ((contents[{Table::kBridge, "src4"}].size()), 9u);
  EXPECT_EQ((contents[{Table::kInet, "owner_wide4"}].size()), 2u);
  EXPECT_EQ((contents[{Table::kBridge, "src6"}].size()), 2u);
  EXPECT_EQ((contents[{Table::kInet, "owner6"}].size()), 1u);  // not the link-local one
  EXPECT_TRUE(firewall_chains(plan()).empty());
}

TEST(FilterContents, PortsWithoutAHostEndHaveNothing) {
  auto vps = plan();
  vps.ports[0].mode = net::Mode::kMacvlan;
  EXPECT_THAT(vps_contents(vps, 3, 7), IsEmpty());
}

TEST(FilterContents, ADifferenceTouchesOnlyWhatDiffers) {
  auto before = plan(), after = plan();
  EXPECT_TRUE(difference(vps_contents(before, 3, 7), vps_contents(after, 3, 8)).empty());  // the epoch is no difference
  after.ports[0].guard.connections_per_second = 5;
  auto changes = difference(vps_contents(before, 3, 7), vps_contents(after, 3, 8));
  EXPECT_THAT(changes.gone, IsEmpty());
  EXPECT_EQ(count(changes.fresh), 1u);
  before = after;
  after.ports[0].guard.connections_per_second = 6;
  changes = difference(vps_contents(before, 3, 7), vps_contents(after, 3, 8));
  EXPECT_EQ(count(changes.gone), 1u);
  EXPECT_EQ(count(changes.fresh), 1u);
}

TEST(FilterContents, KeysOfPrefixesAreUnlike) {
  std::set<IpAddress> keys;
  for (const char* text : {"10.0.0.0/8", "10.0.0.0/12", "10.0.0.0/24", "10.0.0.0/28", "10.0.0.128/28", "0.0.0.0/0"})
    EXPECT_TRUE(keys.insert(wide_key(prefix(text))).second) << text;
  EXPECT_EQ(format_ip(wide_key(prefix("10.0.0.0/24"))), "10.0.0.128");
}

TEST(FilterElements, UserDataIsReadWithoutTrust) {
  EXPECT_EQ(parse_element_data(element_data("101", 9)).id, "101");
  EXPECT_EQ(parse_element_data(element_data("101", 9)).epoch, 9u);
  for (const char* bad : {"", "short", "8 bytes."}) EXPECT_EQ(parse_element_data(bad).id, "");
  EXPECT_EQ(rule_number(std::string(8, 'x') + "rule 12"), 12u);
  for (const std::string bad : {"rule 12", "xxxxxxxxrule ", "xxxxxxxxrule x", "xxxxxxxxrule 12x", "xxxxxxxxrule 99999999999"}) EXPECT_FALSE(rule_number(bad)) << bad;
}

// What is written is read back by the parser of dumps.
TEST(FilterElements, TheBytesAreReadBack) {
  nft::Batch batch;
  nft::Element counter{.key = nft::link_key("v1.0"), .expr = nft::counter(123, 4), .user_data = element_data("1", 77)};
  nft::Element limit{.key = nft::native32(5), .expr = nft::limit(10, 60, 10, true)};
  nft::Element jump{.key = "\1\2\3\4", .chain = "in-1"};
  batch.add_elements({1, "t"}, *find_set(Table::kInet, "in4_class0"), std::vector{counter, limit, jump});
  std::string_view data = batch.bytes();
  ASSERT_TRUE(next_message(data));  // begin
  auto message = next_message(data);
  ASSERT_TRUE(message);
  auto read = nft::parse_elements(*message);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->table, "t");
  EXPECT_EQ(read->set, "in4_class0");
  ASSERT_EQ(read->elements.size(), 3u);
  auto sample = sample_of(*traffic_set(read->set), read->elements[0]);
  ASSERT_TRUE(sample);
  EXPECT_EQ(*sample, (TrafficSample{"1", "v1.0", net::Direction::kIn, Family::kV4, 0, 77, 123, 4}));
  EXPECT_EQ(read->elements[1].limit, limit.expr->text);
  EXPECT_EQ(read->elements[2].chain, "in-1");
  EXPECT_FALSE(sample_of(*traffic_set("in4_class0"), read->elements[1]));
  EXPECT_FALSE(traffic_set("in4_class16"));
}

TEST(FilterFirewall, RulesOfAllShapes) {
  auto vps = plan();
  vps.firewall.default_in = net::Verdict::kReject;
  net::FirewallRule rule;
  rule.number = 3;
  rule.ports = {{22, 22}, {80, 90}, {91, 99}, {65535, 65535}};
  rule.peers = {prefix("10.0.0.0/8"), prefix("fd00::/8")};
  rule.log = true;
  vps.firewall.rules = {rule};
  std::vector<RuleStart> before{{net::Direction::kIn, 3, 5, 500}};
  std::uint32_t id = 0;
  auto chains = firewall_chains(vps, before, id);
  ASSERT_EQ(chains.size(), 1u);
  EXPECT_EQ(chains[0].name, "in-101");
  // Two families, TCP and UDP, each a log rule and an accept rule; established, two of ND, two of the default.
  EXPECT_EQ(chains[0].rules.size(), 3u + 2 * 2 * 2 + 2);
  EXPECT_EQ(chains[0].sets.size(), 2u * 8);
  EXPECT_EQ(id, 16u);
  // The merged ports 80-99 are one interval, and the last port needs no end.
  EXPECT_EQ(chains[0].set_elements[1].size(), 2u + 2 + 1);
  int carried = 0;
  for (const auto& each : chains[0].rules)
    for (const auto& expr : each.exprs) carried += expr.name == "counter" && expr.data == nft::counter(500, 5).data;
  EXPECT_EQ(carried, 1);
}

TEST(Filter, RefusesNamesAndPlansThatCannotBe) {
  for (const char* bad : {"", "1a", "A", "a b", "a;b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}) EXPECT_EQ(Filter::create(bad).error().code(), Code::kUsage) << bad;
  auto filter = *Filter::create("vpsd-unit");
  auto vps = plan();
  vps.firewall.forwards = {{1, std::nullopt, net::Protocol::kTcp, 80, 80, *parse_ip("10.0.0.3")}};
  EXPECT_THAT(filter.add(vps).error().to_string(), HasSubstr("10.0.0.3 is none of its addresses"));
  vps.firewall.forwards = {{1, parse_ip("fd00::1").value(), net::Protocol::kTcp, 80, 80, *parse_ip("10.0.0.2")}};
  EXPECT_EQ(filter.add(vps).error().code(), Code::kUsage);
}

}  // namespace
}  // namespace vps::netns::filter
