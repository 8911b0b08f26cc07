// VPSes with several interfaces.
#include <gmock/gmock.h>

#include "base/files.h"
#include "tests/system/network_fixture.h"

namespace vps::test {
namespace {

class InterfacesTest : public NetworkTest {
 protected:
  static constexpr std::string_view kPublic = "{name: eth0, network: public, addresses: [auto], rateIn: 40M, rateOut: 50M}";
  static constexpr std::string_view kOne = "{name: eth1, network: one, addresses: [auto], rateOut: 6M}";
  static constexpr std::string_view kTwo = "{name: eth2, network: two, addresses: [auto, 10.8.0.77], rateIn: 7M}";

  void SetUp() override {
    NetworkTest::SetUp();
    if (IsSkipped()) return;
    ctl({"network", "create", "public", "--mode", "routed", "--subnet", "198.51.100.64/28", "--subnet", "2001:db8:1:0:64::/80", "--uplink", "up0"});
    ctl({"network", "create", "one", "--subnet", "10.9.0.0/24", "--nat"});
    ctl({"network", "create", "two", "--subnet", "10.8.0.0/24", "--subnet", "fd08::/64"});
    make_on("201", "one");
    make_on("202", "two");
    for (const char* id : {"201", "202"}) ctl({"start", "--wait", id});
  }
  template <class... Text>
  static std::string interfaces(const Text&... each) {
    std::string list;
    ((list += (list.empty() ? "" : ", ") + std::string(each)), ...);
    return "network.interfaces=[" + list + "]";
  }
  struct Link {
    std::string mac, host_link, network;
    std::vector<std::string> addresses;  // without lengths
    bool operator==(const Link&) const = default;
  };
  // By name inside, as `show` says.
  std::map<std::string, Link> links_of(const std::string& id) {
    std::map<std::string, Link> found;
    for (const auto& each : json({"show", id}).items("/interfaces")) {
      Link link{each.string("/mac"), each.string("/hostLink"), each.string("/network"), {}};
      for (const auto& address : each.items("/addresses")) {
        const auto text = address.string("");
        link.addresses.push_back(text.substr(0, text.find('/')));
      }
      found[each.string("/name")] = std::move(link);
    }
    return found;
  }
  std::map<std::string, std::string> rates_of(const std::string& id) {
    std::map<std::string, std::string> found;
    for (const auto& limit : json({"show", id}).items("/limits"))
      if (limit.string("/limit").starts_with("network.")) found[limit.string("/limit").substr(8)] = limit.string("/value") + " " + limit.string("/state");
    return found;
  }
  std::string mac_inside(const std::string& id, const std::string& name) {
    auto text = vpsd_->ctl({"exec", id, "--", "cat", "/sys/class/net/" + name + "/address"}).out;
    return text.substr(0, text.find('\n'));
  }
  int ping_from_outside(const std::string& target) const {
    return scene_->internet({"busybox", target.find(':') == std::string::npos ? "ping" : "ping6", "-c", "5", "-A", "-W", "5", target}).code;
  }
  std::int64_t packets(const std::string& id, const std::string& direction) {
    return json({"stats", id, "--interval", "0"}).number("/0/network/" + direction + "Packets");
  }
};

TEST_F(InterfacesTest, EachIsReachedAndLimitedByItself) {
  ctl({"create", "101", "-t", "busybox", "--set", interfaces(kPublic, kOne, kTwo)});
  ctl({"start", "--wait", "101"});
  auto links = links_of("101");
  ASSERT_EQ(links.size(), 3u);
  ASSERT_EQ(links["eth0"].addresses.size(), 2u);
  ASSERT_EQ(links["eth1"].addresses.size(), 1u);
  ASSERT_EQ(links["eth2"].addresses.size(), 3u);
  for (const auto& [name, link] : links) EXPECT_EQ(mac_inside("101", name), link.mac) << name;
  // The first that leads out has the default routes.
  for (const auto& address : links["eth0"].addresses) EXPECT_EQ(ping_from_outside(address), 0) << address;
  ping("101", "203.0.113.1");
  ping("101", "2001:db8:2::1");
  for (const auto& address : links["eth1"].addresses) ping("201", address);
  for (const auto& address : links["eth2"].addresses) ping("202", address);
  ping("101", addresses("201").at(0));
  for (const auto& address : addresses("202")) ping("101", address);
  // What one may send from one interface it may not from another.
  (void)vpsd_->ctl({"exec", "101", "--", "ping", "-c", "2", "-W", "1", "-I", links["eth2"].addresses.at(0), "203.0.113.1"});
  std::int64_t dropped = 0;
  for (const auto& drop : json({"show", "101"}).items("/usage/dropped"))
    if (drop.string("/kind") == "ipv4") dropped = drop.number("/packets");
  EXPECT_GE(dropped, 2);

  const auto rates = rates_of("101");
  EXPECT_EQ(rates.size(), 4u) << testing::PrintToString(rates);
  for (const auto& [name, value] : std::map<std::string, std::string>{
           {"eth0.rateIn", "40M"}, {"eth0.rateOut", "50M"}, {"eth1.rateOut", "6M"}, {"eth2.rateIn", "7M"}})
    EXPECT_EQ(rates.contains(name) ? rates.at(name) : "none", value + " enforced") << name;
  ctl({"set", "101", "network.interfaces.eth2.rateIn=9M", "network.interfaces.eth1.rateOut="});
  EXPECT_EQ(rates_of("101").at("eth2.rateIn"), "9M enforced");
  EXPECT_FALSE(rates_of("101").contains("eth1.rateOut"));
  EXPECT_EQ(rates_of("101").at("eth0.rateOut"), "50M enforced");

  // Every interface is counted, in one sum.
  for (const auto& [name, target] : std::map<std::string, std::string>{
           {"eth0", "203.0.113.1"}, {"eth1", addresses("201").at(0)}, {"eth2", addresses("202").at(0)}, {"eth2, IPv6", addresses("202").at(1)}}) {
    const auto out = packets("101", "tx"), in = packets("101", "rx");
    ping("101", target);
    EXPECT_GE(packets("101", "tx"), out + 5) << name;
    EXPECT_GE(packets("101", "rx"), in + 5) << name;
  }
  EXPECT_EQ(addresses("101").size(), 6u);
}

TEST_F(InterfacesTest, OneThatIsTakenOutLeavesNothingAndTheOthersAsTheyWere) {
  ctl({"create", "101", "-t", "busybox", "--set", interfaces(kPublic, kOne, kTwo)});
  ctl({"start", "--wait", "101"});
  const auto before = links_of("101");
  ASSERT_EQ(before.size(), 3u);
  const auto gone = before.at("eth1");
  ctl({"set", "101", interfaces(kPublic, kTwo), "network.interfaces.eth2.guaranteeOut=1M"});
  EXPECT_THAT(ctl({"restart", "--wait", "101"}).err, testing::HasSubstr("network.eth2.guaranteeOut is not enforced: nothing is guaranteed"));
  const auto after = links_of("101");
  ASSERT_EQ(after.size(), 2u);
  for (const char* name : {"eth0", "eth2"}) {
    EXPECT_EQ(after.at(name), before.at(name)) << name;
    EXPECT_EQ(mac_inside("101", name), before.at(name).mac) << name;
  }
  ping("101", "203.0.113.1");
  ping("101", addresses("202").at(0));
  EXPECT_THAT(*link_names(), testing::Not(testing::Contains(gone.host_link)));
  for (const auto& lease : json({"network", "show", "one"}).items("/addresses")) EXPECT_NE(lease.string("/vps"), "101");
  // Back again, in another place of the list: what it was.
  ctl({"set", "101", interfaces(kTwo, kOne, kPublic)});
  ctl({"restart", "--wait", "101"});
  const auto back = links_of("101");
  ASSERT_EQ(back.size(), 3u);
  for (const char* name : {"eth0", "eth2"}) EXPECT_EQ(back.at(name), before.at(name)) << name;
  EXPECT_EQ(back.at("eth1").mac, gone.mac);
  EXPECT_EQ(back.at("eth1").host_link, gone.host_link);
}

}  // namespace
}  // namespace vps::test
