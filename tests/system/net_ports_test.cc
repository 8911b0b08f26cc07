// Networks and ports on a real kernel, in namespaces of the test's own: made, reachable, given back, gone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/rtnetlink.h>

#include "netns/link_messages.h"
#include "tests/support/command.h"
#include "tests/support/frames.h"
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

class NetPorts : public test::NetTest {};

TEST_F(NetPorts, BridgedVpsesReachTheirGatewayAndEachOther) {
  network(bridge_network());
  auto one = Namespace::make(), two = Namespace::make();
  attach(vps("101", bridge_port(101)), one);
  attach(vps("102", bridge_port(102)), two);
  EXPECT_TRUE(test::exchange(one, host_, "10.77.0.1"));
  EXPECT_TRUE(test::exchange(one, host_, "fd77::1"));
  EXPECT_EQ(test::exchange(one, two, "10.77.0.102"), ip("10.77.0.101"));
  EXPECT_EQ(test::exchange(one, two, "fd77::102"), ip("fd77::101"));
  EXPECT_TRUE(test::exchange(host_, two, "10.77.0.102"));
  // To the uplink through the host: the internet knows the way back here.
  test::add_route(internet_, "10.77.0.0/24", "198.51.100.2", "eth0");
  test::add_route(internet_, "fd77::/64", "2001:db8:1::2", "eth0");
  EXPECT_EQ(test::exchange(one, internet_, "198.51.100.1"), ip("10.77.0.101"));
  EXPECT_EQ(test::exchange(one, internet_, "2001:db8:1::1"), ip("fd77::101"));
  EXPECT_TRUE(test::exchange(internet_, two, "fd77::102"));

  auto host_end = link(host_, "v101.0");
  ASSERT_TRUE(host_end);
  EXPECT_EQ(host_end->alias, "vpsd:test:port:101");
  auto guest_end = link(one, "eth0");
  ASSERT_TRUE(guest_end);
  EXPECT_EQ(guest_end->mac, mac(101));
}

TEST_F(NetPorts, IsolatedPortsReachTheGatewayOnly) {
  network(bridge_network());
  auto one = Namespace::make(), two = Namespace::make();
  for (auto [number, guest] : {std::pair(101u, &one), {102u, &two}}) {
    auto port = bridge_port(number);
    port.isolated = true;
    attach(vps(std::to_string(number), port), *guest);
  }
  EXPECT_TRUE(link(host_, "v101.0")->isolated);
  EXPECT_TRUE(test::exchange(one, host_, "10.77.0.1"));
  EXPECT_TRUE(test::exchange(two, host_, "fd77::1"));
  EXPECT_FALSE(test::exchange(one, two, "10.77.0.102", std::chrono::seconds(1)));
  EXPECT_FALSE(test::exchange(one, two, "fd77::102", std::chrono::seconds(1)));
}

TEST_F(NetPorts, RoutedVpsesAreReachedFromTheUplink) {
  network(routed_network());
  auto one = Namespace::make(), two = Namespace::make();
  attach(vps("101", routed_port(101)), one);
  attach(vps("102", routed_port(102)), two);
  EXPECT_EQ(test::exchange(internet_, one, "198.51.100.101"), ip("198.51.100.1"));
  EXPECT_EQ(test::exchange(internet_, one, "2001:db8:1::101"), ip("2001:db8:1::1"));
  EXPECT_EQ(test::exchange(two, internet_, "198.51.100.1"), ip("198.51.100.102"));
  EXPECT_EQ(test::exchange(two, internet_, "2001:db8:1::1"), ip("2001:db8:1::102"));
  EXPECT_EQ(test::exchange(one, two, "198.51.100.102"), ip("198.51.100.101"));
  EXPECT_EQ(test::exchange(one, two, "2001:db8:1::102"), ip("2001:db8:1::101"));
  EXPECT_TRUE(test::exchange(host_, one, "198.51.100.101"));
  EXPECT_TRUE(test::exchange(host_, one, "2001:db8:1::101"));
}

// The kernel has no IPv6 on a link of less than 1280.
TEST_F(NetPorts, LinksThatAreTooSmallForIpv6CarryIpv4) {
  network(bridge_network());
  network(routed_network());
  auto v4_only = [](net::PortPlan port) {
    port.mtu = 576;
    for (auto* list : {&port.addresses, &port.routed}) std::erase_if(*list, [](const Prefix& each) { return each.family() == Family::kV6; });
    std::erase_if(port.routes, [](const net::Route& each) { return each.destination.family() == Family::kV6; });
    return port;
  };
  auto bridged = Namespace::make(), routed = Namespace::make();
  attach(vps("101", v4_only(bridge_port(101))), bridged);
  attach(vps("102", v4_only(routed_port(102))), routed);
  EXPECT_TRUE(test::exchange(bridged, host_, "10.77.0.1"));
  EXPECT_EQ(test::exchange(routed, internet_, "198.51.100.1"), ip("198.51.100.102"));
  EXPECT_EQ(link(routed, "venet0")->mtu, 576u);
}

TEST_F(NetPorts, ANamespaceThatDiesTakesItsPortAlong) {
  network(bridge_network());
  network(routed_network());
  auto before = picture();
  auto plan = vps("101", bridge_port(101));
  plan.ports.push_back(routed_port(150));
  {
    auto guest = Namespace::make();
    attach(plan, guest);
    EXPECT_TRUE(link(host_, "v101.0"));
    EXPECT_THAT(picture(), Contains("proxy 198.51.100.150"));
  }
  auto released = host_.in([&] { return release_ports(where_, plan); });
  EXPECT_TRUE(released) << released.error().to_string();
  EXPECT_TRUE(test::eventually([&] { return picture() == before; })) << testing::PrintToString(picture());
  detach(plan);
}

TEST_F(NetPorts, DetachingTakesEverythingAwayAndMayBeRepeated) {
  network(bridge_network());
  network(routed_network());
  auto before = picture();
  auto plan = vps("101", bridge_port(101));
  plan.ports.push_back(routed_port(150));
  auto guest = Namespace::make();
  attach(plan, guest);
  detach(plan);
  detach(plan);
  EXPECT_EQ(picture(), before);
  EXPECT_THAT(link_names(guest), testing::ElementsAre("lo"));
}

TEST_F(NetPorts, AForeignBridgeIsNeverTakenOver) {
  host_.within([&] {
    auto plan = bridge_network();
    ASSERT_TRUE(Socket::open()->run(create_bridge(plan, mac(1))));
  });
  auto before = picture();
  auto made = host_.in([&] { return ensure_network(where_, bridge_network()); });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Code::kExists);
  EXPECT_THAT(made.error().to_string(), HasSubstr("vbr-default"));
  EXPECT_TRUE(host_.in([&] { return remove_network(where_, bridge_network()); }));
  EXPECT_EQ(picture(), before);
}

TEST_F(NetPorts, UplinksAndBridgesThatAreNotThereAreNamed) {
  auto plan = routed_network();
  plan.uplinks = {"eth7"};
  auto made = host_.in([&] { return ensure_network(where_, plan); });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Code::kNotFound);
  EXPECT_THAT(made.error().to_string(), HasSubstr("eth7"));

  auto before = picture();
  auto guest = Namespace::make();
  auto attached = try_attach(vps("101", bridge_port(101)), guest);
  ASSERT_FALSE(attached);
  EXPECT_EQ(attached.error().code(), Code::kNotFound);
  EXPECT_THAT(attached.error().to_string(), HasSubstr("vbr-default"));
  EXPECT_EQ(picture(), before);
}

TEST_F(NetPorts, AnAddressThatIsRoutedElsewhereIsRefusedAndNothingStays) {
  network(routed_network());
  auto one = Namespace::make(), two = Namespace::make();
  attach(vps("101", routed_port(101)), one);
  auto before = picture();
  auto port = routed_port(101);
  port.host_link = "v102.0";
  port.mac = mac(102);
  auto second = try_attach(vps("102", port), two);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kExists);
  EXPECT_THAT(second.error().to_string(), HasSubstr("198.51.100.101/32"));
  EXPECT_EQ(picture(), before);
}

TEST_F(NetPorts, ARunThatHasEndedIsReplacedAForeignLinkIsNot) {
  network(bridge_network());
  network(routed_network());
  auto plan = vps("101", bridge_port(101));
  plan.ports.push_back(routed_port(150));
  auto old = Namespace::make(), fresh = Namespace::make();
  attach(plan, old);
  attach(plan, fresh);
  EXPECT_TRUE(test::exchange(fresh, host_, "10.77.0.1"));
  EXPECT_TRUE(test::exchange(internet_, fresh, "198.51.100.150"));
  // The old one waits for the end of its namespace, and nobody hears of it.
  for (const auto* name : {"vpsdold0", "vpsdold1"}) {
    auto aside = link(host_, name);
    ASSERT_TRUE(aside) << name;
    EXPECT_EQ(aside->alias, "vpsd:test:replaced:101");
    EXPECT_FALSE(aside->up());
  }
  EXPECT_FALSE(test::exchange(old, host_, "10.77.0.1", std::chrono::seconds(1)));
  EXPECT_THAT(*host_.in([&] { return sweep_orphans(where_); }), testing::SizeIs(2));
  EXPECT_THAT(link_names(old), testing::ElementsAre("lo"));
  EXPECT_TRUE(test::exchange(fresh, host_, "10.77.0.1"));

  auto other = try_attach(vps("999", bridge_port(101)), old);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), Code::kExists);
  EXPECT_TRUE(test::exchange(fresh, host_, "10.77.0.1"));
  EXPECT_FALSE(host_.in([&] { return detach_ports(where_, vps("999", bridge_port(101))); }));
  EXPECT_TRUE(link(host_, "v101.0"));
}

TEST_F(NetPorts, ANetworkIsMadeAgainWithoutAChangeAndFollowsItsPlan) {
  network(bridge_network());
  auto first = picture();
  auto index = link(host_, "vbr-default")->index;
  auto again = host_.in([&] { return ensure_network(where_, bridge_network()); });
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->created);
  EXPECT_THAT(again->changed, IsEmpty());
  EXPECT_EQ(picture(), first);
  auto plan = bridge_network();
  plan.mtu = 1400;
  plan.gateways = {prefix("10.77.0.254/24"), prefix("fd77::1/64")};
  network(plan);
  EXPECT_EQ(link(host_, "vbr-default")->mtu, 1400u);
  EXPECT_EQ(link(host_, "vbr-default")->index, index);
  EXPECT_THAT(picture(), Contains("address 10.77.0.254/24"));
  EXPECT_THAT(picture(), testing::Not(Contains("address 10.77.0.1/24")));
  auto mac_before = link(host_, "vbr-default")->mac;
  auto guest = Namespace::make();
  attach(vps("101", bridge_port(101)), guest);
  EXPECT_EQ(link(host_, "vbr-default")->mac, mac_before);
  auto removed = host_.in([&] { return remove_network(where_, plan); });
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().code(), Code::kBusy);
  detach(vps("101", bridge_port(101)));
  EXPECT_TRUE(host_.in([&] { return remove_network(where_, plan); }));
  EXPECT_FALSE(link(host_, "vbr-default"));
}

TEST_F(NetPorts, ForwardingKeepsTheHostListeningToItsRouter) {
  ASSERT_EQ(host_.sysctl("ipv6/conf/eth0/accept_ra"), "1");
  ASSERT_EQ(host_.sysctl("ipv6/conf/all/forwarding"), "0");
  network(bridge_network());
  EXPECT_EQ(host_.sysctl("ipv6/conf/eth0/accept_ra"), "2");
  EXPECT_EQ(host_.sysctl("ipv6/conf/all/forwarding"), "1");
  EXPECT_EQ(host_.sysctl("ipv4/ip_forward"), "1");
  EXPECT_EQ(host_.sysctl("ipv6/conf/vbr-default/accept_ra"), "0");
}

TEST_F(NetPorts, WhatUplinksWereToldIsRestoredByTheLastNetworkAndNeverOverOthers) {
  auto one = routed_network(), two = routed_network();
  two.name = "second";
  network(one);
  network(two);
  EXPECT_EQ(host_.sysctl("ipv6/conf/eth0/proxy_ndp"), "1");
  EXPECT_EQ(host_.sysctl("ipv4/neigh/eth0/proxy_delay"), "0");
  ASSERT_TRUE(host_.in([&] { return remove_network(where_, one); }));
  EXPECT_EQ(host_.sysctl("ipv6/conf/eth0/proxy_ndp"), "1");
  host_.set_sysctl("ipv4/neigh/eth0/proxy_delay", "40");
  ASSERT_TRUE(host_.in([&] { return remove_network(where_, two); }));
  EXPECT_EQ(host_.sysctl("ipv6/conf/eth0/proxy_ndp"), "0");
  EXPECT_EQ(host_.sysctl("ipv4/neigh/eth0/proxy_delay"), "40") << "somebody else's value";
  EXPECT_THAT(*list_dir(where_.run_dir + "/sysctl"), IsEmpty());
}

TEST_F(NetPorts, OrphanedProxiesAreSwept) {
  network(routed_network());
  {
    auto guest = Namespace::make();
    attach(vps("101", routed_port(101)), guest);
    EXPECT_THAT(*host_.in([&] { return sweep_orphans(where_); }), IsEmpty());
  }
  ASSERT_TRUE(test::eventually([&] { return !link(host_, "v101.0"); }));
  EXPECT_THAT(picture(), Contains("proxy 198.51.100.101"));
  EXPECT_THAT(*host_.in([&] { return sweep_orphans(where_); }), testing::SizeIs(2));
  EXPECT_THAT(picture(), testing::Not(Contains(HasSubstr("proxy"))));
}

// Once the bridge knows who has asked for what, one more VPS is no work for the others: what its kernel sends by itself reaches the bridge
// only. Reports of MLDv2 are the filter's business (NetFilterGuard.ReportsOfGroupsReachRoutersOnly).
TEST_F(NetPorts, AStartIsNotHeardByTheOthers) {
  network(bridge_network());
  auto settled = [](const Namespace& ns, const std::string& name) {
    return test::eventually([&] {
      auto device = link(ns, name);
      auto all = ns.in([&] {
        auto socket = *Socket::open();
        return *addresses(socket);
      });
      return std::ranges::any_of(all, [&](const Address& each) {
        return each.link == device->index && each.scope == RT_SCOPE_LINK && (each.flags & IFA_F_TENTATIVE) == 0;
      });
    });
  };
  auto first = Namespace::make(), second = Namespace::make();
  attach(vps("101", bridge_port(101)), first);
  ASSERT_TRUE(settled(first, "eth0"));
  ASSERT_TRUE(settled(host_, "vbr-default"));
  attach(vps("102", bridge_port(102)), second);
  ASSERT_TRUE(settled(second, "eth0"));

  auto heard = first.in([] { return UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL))); });
  // All that the first hears of one that starts, up to its last word.
  auto third = Namespace::make();
  attach(vps("103", bridge_port(103)), third);
  ASSERT_TRUE(settled(third, "eth0"));
  // Behind all that it has sent by itself.
  ASSERT_TRUE(third.in([&] { return test::send_frame("eth0", test::frame(mac(101), mac(103), 0x88b5, "the last one")); }));
  std::vector<std::string> frames;
  EXPECT_TRUE(test::eventually([&] {
    char data[2048];
    for (ssize_t size = 0; (size = ::recv(heard.get(), data, sizeof data, 0)) > 0;) {
      std::string frame(data, static_cast<std::size_t>(size));
      bool report = frame.starts_with(std::string("\x33\x33\0\0\0\x16", 6));
      if (frame.size() > 14 && frame.substr(6, 6) == test::raw(mac(103)) && !report) frames.push_back(frame.substr(14));
    }
    return !frames.empty() && frames.back().starts_with("the last one");
  }));
  EXPECT_THAT(frames, testing::SizeIs(1));
}

}  // namespace
}  // namespace vps::netns
