// Interfaces without an end on the host: macvlan, and devices that are lent and come back. Announcements and probes on the wire.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <cstdlib>

#include "netns/announce.h"
#include "netns/link_messages.h"
#include "netns/tc_messages.h"
#include "tests/support/command.h"
#include "tests/support/net_fixture.h"

namespace vps::netns {
namespace {

using test::ip;
using test::mac;
using test::Namespace;
using test::prefix;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

class NetDevices : public test::NetTest {
 protected:
  void SetUp() override {
    NetTest::SetUp();
    if (IsSkipped()) return;
    test::wire(host_, "lan0", {"192.0.2.1/24", "2001:db8:2::1/64"}, lan_, "eth0", {"192.0.2.9/24", "2001:db8:2::9/64"});
  }
  static net::PortPlan device_port() {
    net::PortPlan port;
    port.mode = net::Mode::kHostDevice;
    port.network = "lan";
    port.host_link = "lan0";
    port.guest_link = "eth0";
    port.addresses = {prefix("192.0.2.50/24"), prefix("2001:db8:2::50/64")};
    port.mtu = 1400;
    return port;
  }
  static net::PortPlan macvlan_port(unsigned number) {
    net::PortPlan port;
    port.mode = net::Mode::kMacvlan;
    port.network = "wire";
    port.guest_link = "eth0";
    port.mac = mac(number);
    port.uplinks = {"eth0"};
    port.addresses = {prefix(fmt::format("198.51.100.{}/24", number)), prefix(fmt::format("2001:db8:1::{}/64", number))};
    port.routes = {{prefix("0.0.0.0/0"), ip("198.51.100.1"), false}, {prefix("::/0"), ip("2001:db8:1::1"), false}};
    return port;
  }
  void give_back(const net::VpsPlan& plan, const Namespace& guest) {
    auto back = host_.in([&] { return return_devices(where_, plan, guest.fd()); });
    EXPECT_TRUE(back) << back.error().to_string();
  }
  auto recover(const std::vector<std::string>& in_use) { return *host_.in([&] { return recover_devices(where_, in_use); }); }

  std::vector<Link> device() {
    auto found = all_links(host_);
    std::erase_if(found, [](const Link& each) { return each.name != "lan0"; });
    for (auto& each : found) each.operstate = 0, each.flags &= 1;  // the carrier comes when it comes
    return found;
  }
  Namespace lan_ = Namespace::make();
};

TEST_F(NetDevices, MacvlansAreOnTheWireAndDieWithTheirNamespace) {
  auto before = picture();
  {
    auto one = Namespace::make(), two = Namespace::make();
    attach(vps("60", macvlan_port(60)), one);
    attach(vps("61", macvlan_port(61)), two);
    EXPECT_EQ(link(one, "eth0")->kind, "macvlan");
    EXPECT_EQ(test::exchange(one, internet_, "198.51.100.1"), ip("198.51.100.60"));
    EXPECT_EQ(test::exchange(internet_, one, "2001:db8:1::60"), ip("2001:db8:1::1"));
    EXPECT_EQ(test::exchange(one, two, "198.51.100.61"), ip("198.51.100.60"));
    EXPECT_EQ(picture(), before);
  }
  EXPECT_FALSE(test::exchange(internet_, internet_, "198.51.100.60", std::chrono::milliseconds(300)));
}

TEST_F(NetDevices, AnIsolatedMacvlanReachesTheWireOnly) {
  auto one = Namespace::make(), two = Namespace::make();
  for (auto [number, guest] : {std::pair(60u, &one), {61u, &two}}) {
    auto port = macvlan_port(number);
    port.isolated = true;
    attach(vps(std::to_string(number), port), *guest);
  }
  EXPECT_TRUE(test::exchange(one, internet_, "198.51.100.1"));
  EXPECT_FALSE(test::exchange(one, two, "198.51.100.61", std::chrono::seconds(1)));
}

TEST_F(NetDevices, ADeviceIsLentAndComesBackAsItWas) {
  auto before = picture();
  auto device_before = device();
  auto plan = vps("101", device_port());
  auto guest = Namespace::make();
  attach(plan, guest);
  EXPECT_THAT(device(), IsEmpty());
  EXPECT_EQ(test::exchange(guest, lan_, "192.0.2.9"), ip("192.0.2.50"));
  EXPECT_EQ(test::exchange(guest, lan_, "2001:db8:2::9"), ip("2001:db8:2::50"));

  auto other = Namespace::make();
  auto second = try_attach(vps("102", device_port()), other);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kBusy);
  EXPECT_THAT(second.error().to_string(), HasSubstr("101"));

  give_back(plan, guest);
  give_back(plan, guest);
  EXPECT_EQ(device(), device_before);
  EXPECT_EQ(picture(), before);
  EXPECT_EQ(test::exchange(host_, lan_, "192.0.2.9"), ip("192.0.2.1"));
  EXPECT_THAT(*list_dir(where_.run_dir + "/devices"), IsEmpty());
}

TEST_F(NetDevices, ADeviceThatTheGuestHasRenamedComesBackToo) {
  auto before = picture();
  auto plan = vps("101", device_port());
  auto guest = Namespace::make();
  attach(plan, guest);
  guest.within([&] {
    auto socket = *Socket::open();
    auto found = *need_link(socket, "eth0");
    Message messages[] = {set_up(found.index, "eth0", false), rename_link(found.index, "eth0", "wan")};
    ASSERT_TRUE(socket.run(messages));
  });
  give_back(plan, guest);
  EXPECT_EQ(picture(), before);
}

// What the kernel does with a physical device when its namespace dies: it is on the host again, down, under its inside name.
TEST_F(NetDevices, ADeviceIsFoundAgainAfterACrash) {
  auto before = picture();
  auto device_before = device();
  auto guest = Namespace::make();
  attach(vps("101", device_port()), guest);
  guest.within([&] {
    auto socket = *Socket::open();
    auto found = *need_link(socket, "eth0");
    Message messages[] = {set_up(found.index, "eth0", false), rename_link(found.index, "eth0", "dev7"),
                          move_link(found.index, "eth0", host_.fd(), "dev7")};
    ASSERT_TRUE(socket.run(messages));
  });
  EXPECT_THAT(recover({"101"}), IsEmpty()) << "of a living VPS";
  EXPECT_THAT(recover({"102"}), testing::ElementsAre(HasSubstr("lan0")));
  EXPECT_EQ(device(), device_before);
  EXPECT_EQ(picture(), before);
  EXPECT_THAT(recover({}), IsEmpty());
}

// A real card, which outlives the namespace that it was lent to: the kernel puts it back into its first namespace, down, without
// addresses, under the name that it had inside or "dev" and a number where that is taken. The virtual machines of the tests have one.
TEST_F(NetDevices, ACardIsFoundAgainWhenItsNamespaceHasDied) {
  const char* card = std::getenv("VPS_TEST_NIC");
  if (card == nullptr || *card == '\0') GTEST_SKIP() << "no network card that a test may take (VPS_TEST_NIC)";
  auto socket = *Socket::open();
  auto state = [&] {
    auto found = *find_link(socket, "lan0");
    std::vector<std::string> lines;
    if (!found) return lines;
    lines.push_back(fmt::format("{} {} {} {}", format_mac(*found->mac), found->mtu, found->up(), found->alias));
    for (const auto& each : *addresses(socket))
      if (each.link == found->index && each.scope != RT_SCOPE_LINK) lines.push_back(format_prefix(each.prefix));
    return lines;
  };
  auto found = *need_link(socket, card);
  const auto two = mac(2);
  Message prepare[] = {set_up(found.index, card, false), rename_link(found.index, card, "lan0"), set_mtu(found.index, "lan0", 1450),
                       set_mac(found.index, "lan0", two), add_address(found.index, "lan0", prefix("192.0.2.1/24")),
                       set_up(found.index, "lan0", true), add_address(found.index, "lan0", prefix("2001:db8:2::1/64"))};
  ASSERT_TRUE(socket.run(prepare));
  const auto before = state();
  ASSERT_EQ(before.size(), 3u);
  for (const bool taken : {false, true}) {
    SCOPED_TRACE(taken ? "its inside name is taken meanwhile" : "");
    {
      auto guest = Namespace::make();
      auto lent = attach_ports(where_, vps("101", device_port()), guest.fd());
      ASSERT_TRUE(lent) << lent.error().to_string();
      EXPECT_THAT(state(), IsEmpty());
      auto inside = link(guest, "eth0");
      ASSERT_TRUE(inside);
      EXPECT_EQ(inside->mtu, 1400u);
      if (taken) {
        ASSERT_TRUE(socket.run(create_shaper("eth0")));
      }
    }
    EXPECT_TRUE(test::eventually([&] {
      auto back = recover_devices(where_, {});
      return back && !back->empty() && back->front().find("lan0") != std::string::npos;
    }));
    EXPECT_EQ(state(), before);
    EXPECT_THAT(*list_dir(where_.run_dir + "/devices"), IsEmpty());
  }
  ASSERT_TRUE(socket.run(delete_link(need_link(socket, "eth0")->index, "eth0")));
  Message undo[] = {set_up(found.index, "lan0", false), rename_link(found.index, "lan0", card), set_mac(found.index, card, *found.mac)};
  ASSERT_TRUE(socket.run(undo));
}

TEST_F(NetDevices, DevicesThatAreNotThereOrInUseAreNamed) {
  network(bridge_network());
  auto guest = Namespace::make();
  auto port = device_port();
  port.host_link = "lan7";
  auto missing = try_attach(vps("101", port), guest);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Code::kNotFound);
  port.host_link = "lo";
  auto loopback = try_attach(vps("101", port), guest);
  ASSERT_FALSE(loopback);
  EXPECT_EQ(loopback.error().code(), Code::kBusy);
  port = macvlan_port(60);
  port.uplinks = {"eth7"};
  auto parent = try_attach(vps("101", port), guest);
  ASSERT_FALSE(parent);
  EXPECT_EQ(parent.error().code(), Code::kNotFound);
}

TEST_F(NetDevices, NeighboursLearnWhoHasTheAddressNow) {
  network(routed_network());
  network(bridge_network());
  auto enter_wrong = [](const Namespace& ns, const std::string& name, const std::string& address) {
    ns.within([&] {
      auto socket = *Socket::open();
      ASSERT_TRUE(socket.run(set_neighbour(need_link(socket, name)->index, name, ip(address), mac(0xdead), NUD_STALE)));
    });
  };
  auto known = [](const Namespace& ns, const std::string& address) {
    return ns.in([&]() -> std::optional<MacAddress> {
      auto socket = *Socket::open();
      auto all = *neighbours(socket, ip(address).family);
      auto found = std::ranges::find(all, ip(address), &Neighbour::address);
      return found == all.end() ? std::nullopt : found->mac;
    });
  };
  for (auto address : {"198.51.100.101", "2001:db8:1::101"}) enter_wrong(internet_, "eth0", address);
  auto routed = Namespace::make(), neighbour = Namespace::make(), bridged = Namespace::make();
  attach(vps("101", routed_port(101)), routed);
  auto uplink = link(host_, "eth0")->mac;
  for (auto address : {"198.51.100.101", "2001:db8:1::101"})
    EXPECT_TRUE(test::eventually([&] { return known(internet_, address) == uplink; })) << address;

  attach(vps("102", bridge_port(102)), neighbour);
  ASSERT_TRUE(test::exchange(neighbour, host_, "10.77.0.1"));  // its port forwards
  for (auto address : {"10.77.0.103", "fd77::103"}) {
    enter_wrong(neighbour, "eth0", address);
    enter_wrong(host_, "vbr-default", address);  // an address that has moved: else the bridge is not flooded
  }
  attach(vps("103", bridge_port(103)), bridged);
  for (auto address : {"10.77.0.103", "fd77::103"})
    EXPECT_TRUE(test::eventually([&] { return known(neighbour, address) == mac(103); })) << address;
  EXPECT_EQ(known(host_, "10.77.0.103"), mac(103)) << "the host does not hear its own bridge";
}

TEST_F(NetDevices, AProbeFindsWhoHasAnAddress) {
  network(routed_network());
  auto guest = Namespace::make();
  attach(vps("101", routed_port(101)), guest);
  std::vector<IpAddress> asked = {ip("198.51.100.1"), ip("2001:db8:1::1"), ip("198.51.100.200"), ip("2001:db8:1::200")};
  auto ask = [&](const Namespace& ns, std::chrono::milliseconds deadline, std::vector<MacAddress> ours = {}) {
    return *ns.in([&] { return probe("eth0", asked, deadline, ours); });
  };
  auto claims = ask(host_, std::chrono::milliseconds(1500));
  ASSERT_EQ(claims.size(), 2u);
  for (const auto& claim : claims) {
    EXPECT_EQ(claim.mac, link(internet_, "eth0")->mac);
    EXPECT_THAT(asked, Contains(claim.address));
  }
  EXPECT_THAT(ask(host_, std::chrono::milliseconds(300), {*link(internet_, "eth0")->mac}), IsEmpty());
  // All are claimed: it does not wait for the deadline. The host answers for its VPS.
  asked = {ip("198.51.100.101"), ip("2001:db8:1::101")};
  auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(ask(internet_, std::chrono::seconds(60)).size(), 2u);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(50));
  auto nowhere = host_.in([&] { return probe("eth7", asked, std::chrono::milliseconds(10)); });
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace vps::netns
