// Routed networks from the uplink's side: prefixes that lead to a VPS, and addresses that somebody else answers for.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include <thread>

#include "base/files.h"
#include "tests/system/network_fixture.h"

namespace vps::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class RoutedTest : public NetworkTest {
 protected:
  void SetUp() override {
    NetworkTest::SetUp();
    if (IsSkipped()) return;
    ctl({"network", "create", "public", "--mode", "routed", "--subnet", "198.51.100.64/28", "--subnet", "2001:db8:1:0:64::/80", "--uplink", "up0"});
  }
  void create(const std::string& id, const std::string& keys) {
    ctl({"create", id, "-t", "busybox", "--set", on_public(keys)});
  }
  static std::string on_public(const std::string& keys) {
    return fmt::format("network.interfaces=[{{name: venet0, network: public, {}}}]", keys);
  }
  void internet(const Argv& argv) const {
    auto done = scene_->internet(argv);
    ASSERT_EQ(done.code, 0) << done.describe();
  }
  // From the other side of the uplink.
  int ping_from_outside(const std::string& target, bool patient = true) const {
    const char* program = target.find(':') == std::string::npos ? "ping" : "ping6";
    return scene_->internet({"busybox", program, "-c", patient ? "5" : "1", "-A", "-W", patient ? "5" : "1", target}).code;
  }
  int ping_with_source(const std::string& id, const std::string& source, const std::string& target) {
    const char* program = target.find(':') == std::string::npos ? "ping" : "ping6";
    return vpsd_->ctl({"exec", id, "--", program, "-c", "2", "-A", "-W", "1", "-I", source, target}).code;
  }
  std::int64_t dropped(const std::string& id, const std::string& kind) {
    for (const auto& drop : json({"show", id}).items("/usage/dropped"))
      if (drop.string("/kind") == kind) return drop.number("/packets");
    return 0;
  }
  // What the host has for addresses that begin like this: routes and proxy entries.
  static std::string host_has(const std::string& beginning) {
    std::string found;
    for (const Argv& look : {Argv{"ip", "route", "show", "table", "all"}, {"ip", "-6", "route", "show", "table", "all"},
                             {"ip", "neighbour", "show", "proxy"}, {"ip", "-6", "neighbour", "show", "proxy"}}) {
      const auto text = NetworkScene::host(look).value_or("?");
      for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        if (auto line = text.substr(at, end - at); line.starts_with(beginning)) found += line + "\n";
        at = end + 1;
      }
    }
    return found;
  }
  // A station of the wire that has these addresses already.
  void somebody_has(const std::string& v4, const std::string& v6) const {
    internet({"ip", "address", "add", v4 + "/24", "dev", "up1"});
    internet({"ip", "address", "add", v6 + "/64", "dev", "up1", "nodad"});
  }
  void nobody_has(const std::string& v4, const std::string& v6) const {
    internet({"ip", "address", "delete", v4 + "/24", "dev", "up1"});
    internet({"ip", "address", "delete", v6 + "/64", "dev", "up1"});
  }
};

TEST_F(RoutedTest, ExtraPrefixesLeadToTheVps) {
  // The router upstream sends them to this host.
  internet({"ip", "route", "add", "192.0.2.64/28", "via", "198.51.100.2"});
  internet({"ip", "-6", "route", "add", "2001:db8:76::/47", "via", "2001:db8:1::2"});
  create("101", "addresses: [auto], routed: [192.0.2.64/29, '2001:db8:77::/64']");
  EXPECT_EQ(host_has("192.0.2."), "");
  ctl({"start", "--wait", "101"});
  EXPECT_THAT(host_has("192.0.2.64/29"), HasSubstr("dev v101.venet0"));
  EXPECT_THAT(host_has("2001:db8:77::/64"), HasSubstr("dev v101.venet0"));
  // The tenant takes addresses of them as he likes, and one of each that is not his.
  for (const char* address : {"192.0.2.66/32", "2001:db8:77::66/128", "192.0.2.73/32", "2001:db8:76::66/128"})
    ctl({"exec", "101", "--", "ip", "address", "add", address, "dev", "lo"});
  for (const char* address : {"192.0.2.66", "2001:db8:77::66"}) {
    EXPECT_EQ(ping_from_outside(address), 0) << address;
    EXPECT_EQ(ping_with_source("101", address, std::string_view(address).find(':') == std::string_view::npos ? "203.0.113.1" : "2001:db8:2::1"), 0) << address;
  }
  EXPECT_EQ(dropped("101", "ipv4") + dropped("101", "ipv6"), 0);
  EXPECT_NE(ping_from_outside("192.0.2.73", false), 0);
  EXPECT_NE(ping_with_source("101", "192.0.2.73", "203.0.113.1"), 0);
  EXPECT_NE(ping_with_source("101", "2001:db8:76::66", "2001:db8:2::1"), 0);
  EXPECT_GE(dropped("101", "ipv4"), 2);
  EXPECT_GE(dropped("101", "ipv6"), 2);
  // Its own addresses go on beside them; a new vpsd and a restart change nothing.
  for (const auto& mine : addresses("101")) EXPECT_EQ(ping_from_outside(mine), 0) << mine;
  ASSERT_TRUE(vpsd_->kill());
  restart_vpsd();
  EXPECT_EQ(ping_from_outside("192.0.2.66"), 0);
  ctl({"restart", "101"});
  ctl({"exec", "101", "--", "ip", "address", "add", "192.0.2.66/32", "dev", "lo"});
  EXPECT_EQ(ping_from_outside("192.0.2.66"), 0);

  ctl({"stop", "--force", "101"});
  auto gone = [&] { return host_has("192.0.2.") + host_has("2001:db8:77:") + host_has("198.51.100.6") + host_has("2001:db8:1:0:64:"); };
  EXPECT_TRUE(eventually([&] { return gone().empty(); })) << gone();
  EXPECT_NE(ping_from_outside("192.0.2.66", false), 0);
  // No more than what the definition names.
  ctl({"set", "101", on_public("addresses: [auto], routed: ['2001:db8:77::/64']")});
  ctl({"start", "--wait", "101"});
  EXPECT_EQ(host_has("192.0.2."), "");
  EXPECT_THAT(host_has("2001:db8:77::/64"), HasSubstr("dev v101.venet0"));
}

// A prefix can lead to one VPS only.
TEST_F(RoutedTest, APrefixOfAnotherIsRefused) {
  create("101", "addresses: [auto], routed: [192.0.2.64/29]");
  ctl({"start", "--wait", "101"});
  const auto one = addresses("101").at(0);
  for (const std::string prefix : {"192.0.2.64/29", "192.0.2.66/32", one.c_str()}) {
    SCOPED_TRACE(prefix);
    auto refused = vpsd_->ctl({"create", "102", "-t", "busybox", "--start", "--set", on_public(fmt::format("addresses: [auto], routed: [{}]", prefix))});
    EXPECT_EQ(refused.code, 4) << refused.describe();
    EXPECT_THAT(refused.err, HasSubstr("vps 101"));
    EXPECT_THAT(host_has("192.0.2."), Not(HasSubstr("v102")));
    (void)vpsd_->ctl({"destroy", "--force", "102"});
  }
  EXPECT_EQ(ping_from_outside(one), 0);
}

// A prefix of the pool that is led to a VPS is not given out, whether that runs or not.
TEST_F(RoutedTest, AutoPassesOverWhatLeadsToAnother) {
  create("101", "addresses: [198.51.100.64], routed: [198.51.100.65/32, 198.51.100.66/31]");
  create("102", "addresses: [auto]");
  EXPECT_EQ(addresses("102").at(0), "198.51.100.68");
  auto refused = vpsd_->ctl({"create", "103", "-t", "busybox", "--set", on_public("addresses: [198.51.100.67]")});
  EXPECT_EQ(refused.code, 4) << refused.describe();
  EXPECT_THAT(refused.err, HasSubstr("198.51.100.67/32 leads to vps 101 already (198.51.100.66/31)"));
  create("103", "addresses: [auto]");
  EXPECT_EQ(addresses("103").at(0), "198.51.100.69");
}

// vpsd dies between the refusal of a start and what undoes it: the plan that is left names what another has.
TEST_F(RoutedTest, AnUndoneStartTakesNothingOfAnother) {
  create("101", "addresses: [auto]");
  create("102", "addresses: [auto], routed: [192.0.2.64/29]");
  ctl({"start", "--wait", "102"});
  const auto two = addresses("102").at(0);
  const auto entries = host_has(two) + host_has("192.0.2.64");
  ASSERT_THAT(entries, HasSubstr("proxy"));
  ASSERT_TRUE(vpsd_->kill());
  const auto plan_of = [&](const std::string& id) { return vpsd_->run_dir() + "/containers/" + id + "/plan.json"; };
  auto plan = read_file(plan_of("102"), 1 << 20);
  ASSERT_TRUE(plan);
  for (std::size_t at = 0; (at = plan->find("102", at)) != std::string::npos; ++at) plan->replace(at, 3, "101");
  ASSERT_TRUE(make_dirs(vpsd_->run_dir() + "/containers/101", 0700));
  ASSERT_TRUE(write_file_atomic(plan_of("101"), *plan, 0600));
  restart_vpsd();
  EXPECT_EQ(state_of("101"), "stopped");
  EXPECT_FALSE(path_exists(plan_of("101")));
  EXPECT_EQ(host_has(two) + host_has("192.0.2.64"), entries);
  EXPECT_EQ(ping_from_outside(two), 0);
}

TEST_F(RoutedTest, AnAddressThatAnswersIsWarnedOf) {
  somebody_has("198.51.100.70", "2001:db8:1:0:64::70");
  auto made = ctl({"create", "101", "-t", "busybox", "--start", "--set", on_public("addresses: [198.51.100.70, '2001:db8:1:0:64::70']")});
  EXPECT_THAT(made.err, HasSubstr("198.51.100.70 is in use already"));
  EXPECT_THAT(made.err, HasSubstr("2001:db8:1:0:64::70 is in use already"));
  EXPECT_EQ(state_of("101"), "running");
  EXPECT_THAT(host_has("198.51.100.70"), HasSubstr("v101.venet0"));
  // Asked once: it is its own from then on, whoever answers.
  EXPECT_THAT(ctl({"restart", "101"}).err, Not(HasSubstr("in use already")));
  nobody_has("198.51.100.70", "2001:db8:1:0:64::70");
  ping("101", "203.0.113.1");
  // By `set` as well, and not where it is off.
  somebody_has("198.51.100.71", "2001:db8:1:0:64::71");
  EXPECT_THAT(ctl({"set", "101", on_public("addresses: [198.51.100.71]")}).err, HasSubstr("198.51.100.71 is in use already"));
  ctl({"network", "set", "public", "probe=off"});
  EXPECT_THAT(ctl({"set", "101", on_public("addresses: ['2001:db8:1:0:64::71']")}).err, Not(HasSubstr("in use already")));
}

TEST_F(RoutedTest, AnAddressThatAnswersIsRefused) {
  ctl({"network", "set", "public", "probe=refuse"});
  create("100", "addresses: [auto]");
  somebody_has("198.51.100.70", "2001:db8:1:0:64::70");
  auto held = [&](const std::string& id) {
    std::string text;
    for (const auto& lease : json({"network", "show", "public"}).items("/addresses"))
      if (lease.string("/vps") == id) text += lease.string("/address") + " ";
    return text;
  };
  const auto links = link_names();
  ASSERT_TRUE(links);
  for (const char* address : {"198.51.100.70", "2001:db8:1:0:64::70"}) {
    SCOPED_TRACE(address);
    auto refused = ctl({"create", "101", "-t", "busybox", "--start", "--set", on_public(fmt::format("addresses: ['{}']", address))}, 4);
    EXPECT_THAT(refused.err, HasSubstr(fmt::format("{} is in use already", address)));
    ctl({"show", "101"}, 3);
    EXPECT_EQ(held("101"), "");
    EXPECT_EQ(host_has(address), "");
    EXPECT_EQ(link_names().value_or(std::vector<std::string>{}), *links);
    // What it has stays its own.
    const auto before = held("100");
    EXPECT_THAT(ctl({"set", "100", on_public(fmt::format("addresses: [auto, '{}']", address))}, 4).err, HasSubstr("in use already"));
    EXPECT_EQ(held("100"), before);
  }
  // At a start: vpsd died while the addresses were changed, and the definition's own are asked for again.
  create("102", "addresses: [198.51.100.72]");
  ASSERT_TRUE(vpsd_->stop());
  restart_vpsd({{"VPS_FAILPOINTS", "daemon.change.addresses=kill"}});
  (void)vpsd_->ctl({"set", "102", on_public("addresses: [198.51.100.73]")});
  ASSERT_TRUE(vpsd_->wait_exit());
  restart_vpsd();
  const auto before = held("102");
  EXPECT_EQ(before, "198.51.100.73/32 ");
  somebody_has("198.51.100.72", "2001:db8:1:0:64::72");
  EXPECT_THAT(ctl({"start", "102"}, 4).err, HasSubstr("198.51.100.72 is in use already"));
  EXPECT_EQ(state_of("102"), "failed");
  EXPECT_EQ(held("102"), before);
  EXPECT_EQ(host_has("198.51.100.7"), "");
  EXPECT_EQ(link_names().value_or(std::vector<std::string>{}), *links);
  // As soon as the other one is gone it starts.
  nobody_has("198.51.100.72", "2001:db8:1:0:64::72");
  ctl({"start", "--wait", "102"});
  EXPECT_EQ(held("102"), "198.51.100.72/32 ");
  EXPECT_EQ(ping_from_outside("198.51.100.72"), 0);
}

// A download of some seconds: vpsd is killed and comes back, and somebody flushes all rules, while it goes on.
TEST_F(RoutedTest, ATransferOutlivesANewVpsdAndAFlush) {
  constexpr int kBytes = 30'000'000;
  create("101", "addresses: [auto], rateIn: 40M");
  ctl({"start", "--wait", "101"});
  ctl({"firewall", "101", "default", "in", "drop"});
  std::jthread server([&] { (void)scene_->internet({"sh", "-c", fmt::format("head -c {} /dev/zero | busybox nc -l -p 5001", kBytes)}); });
  // Its input stays open: nc would end the connection with it.
  ctl({"exec", "--detach", "101", "--", "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 300 | nc 203.0.113.1 5001 >/tmp/got; [ -s /tmp/got ] && break; sleep 1; done"});
  auto got = [&] {
    const auto text = vpsd_->ctl({"exec", "101", "--", "sh", "-c", "wc -c </tmp/got"}).out;
    return text.empty() ? 0 : std::stoi(text);
  };
  ASSERT_TRUE(eventually([&] { return got() > 100'000; }));
  ASSERT_TRUE(vpsd_->kill());
  restart_vpsd();
  ASSERT_TRUE(NetworkScene::host({"nft", "flush", "ruleset"}));
  wait_event("network.repaired", "");
  EXPECT_LT(got(), kBytes) << "it was over before the rules were back";
  EXPECT_TRUE(eventually([&] { return got() == kBytes; })) << got();
  // And the firewall holds again.
  EXPECT_NE(ping_from_outside(addresses("101").at(0), false), 0);
}

}  // namespace
}  // namespace vps::test
