// A host with an uplink to an internet, and plans of networks and ports on it, for system tests of netns/.
//
// internet (198.51.100.1, 2001:db8:1::1) -- eth0 -- host (198.51.100.2, 2001:db8:1::2)
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "netns/attach.h"
#include "netns/dump.h"
#include "netns/network.h"
#include "netns/port.h"
#include "tests/support/net_lab.h"
#include "tests/support/temp_dir.h"

namespace vps::test {

inline Prefix prefix(const std::string& text) { return *parse_prefix(text); }
inline IpAddress ip(const std::string& text) { return *parse_ip(text); }
inline MacAddress mac(unsigned last) { return {{2, 0, 0, 0, static_cast<std::uint8_t>(last >> 8), static_cast<std::uint8_t>(last)}}; }

class NetTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!may_make_namespaces()) GTEST_SKIP() << "needs the right to make network namespaces";
    where_.installation = "test";
    where_.run_dir = dir_ / "net";
    wire(host_, "eth0", {"198.51.100.2/24", "2001:db8:1::2/64"}, internet_, "eth0", {"198.51.100.1/24", "2001:db8:1::1/64"});
    add_route(host_, "0.0.0.0/0", "198.51.100.1", "eth0");
    add_route(host_, "::/0", "2001:db8:1::1", "eth0");
  }

  static net::NetworkPlan bridge_network() {
    net::NetworkPlan plan;
    plan.name = "default";
    plan.bridge = "vbr-default";
    plan.gateways = {prefix("10.77.0.1/24"), prefix("fd77::1/64")};
    plan.subnets = {prefix("10.77.0.0/24"), prefix("fd77::/64")};
    return plan;
  }
  static net::PortPlan bridge_port(unsigned number) {
    net::PortPlan port;
    port.network = "default";
    port.host_link = fmt::format("v{}.0", number);
    port.guest_link = "eth0";
    port.mac = mac(number);
    port.bridge = "vbr-default";
    port.addresses = {prefix(fmt::format("10.77.0.{}/24", number)), prefix(fmt::format("fd77::{}/64", number))};
    port.routes = {{prefix("0.0.0.0/0"), ip("10.77.0.1"), false}, {prefix("::/0"), ip("fd77::1"), false}};
    return port;
  }
  static net::NetworkPlan routed_network() {
    net::NetworkPlan plan;
    plan.name = "public";
    plan.mode = net::Mode::kRouted;
    plan.subnets = {prefix("198.51.100.0/24"), prefix("2001:db8:1::/64")};
    plan.uplinks = {"eth0"};
    return plan;
  }
  static net::PortPlan routed_port(unsigned number) {
    net::PortPlan port;
    port.mode = net::Mode::kRouted;
    port.network = "public";
    port.host_link = fmt::format("v{}.0", number);
    port.guest_link = "venet0";
    port.mac = mac(number);
    port.uplinks = {"eth0"};
    port.addresses = {prefix(fmt::format("198.51.100.{}/32", number)), prefix(fmt::format("2001:db8:1::{}/128", number))};
    port.routed = port.addresses;
    port.routes = {{prefix("0.0.0.0/0"), ip("169.254.1.1"), true}, {prefix("::/0"), ip("fe80::1"), false}};
    return port;
  }
  static net::VpsPlan vps(const std::string& id, net::PortPlan port) {
    net::VpsPlan plan;
    plan.id = id;
    plan.ports = {std::move(port)};
    return plan;
  }

  void network(const net::NetworkPlan& plan) {
    auto made = host_.in([&] { return netns::ensure_network(where_, plan); });
    ASSERT_TRUE(made) << made.error().to_string();
  }
  auto try_attach(const net::VpsPlan& plan, const Namespace& guest) {
    return host_.in([&] { return netns::attach_ports(where_, plan, guest.fd()); });
  }
  std::vector<netns::LimitReport> attach(const net::VpsPlan& plan, const Namespace& guest) {
    auto made = try_attach(plan, guest);
    EXPECT_TRUE(made) << made.error().to_string();
    return made.value_or(std::vector<netns::LimitReport>{});
  }
  void detach(const net::VpsPlan& plan) {
    auto detached = host_.in([&] { return netns::detach_ports(where_, plan); });
    EXPECT_TRUE(detached) << detached.error().to_string();
  }

  static std::vector<netns::Link> all_links(const Namespace& ns) {
    return ns.in([] {
      auto socket = *netns::Socket::open();
      return *netns::links(socket);
    });
  }
  static std::vector<std::string> link_names(const Namespace& ns) {
    std::vector<std::string> names;
    for (const auto& link : all_links(ns)) names.push_back(link.name);
    std::ranges::sort(names);
    return names;
  }
  static std::optional<netns::Link> link(const Namespace& ns, const std::string& name) {
    return ns.in([&] {
      auto socket = *netns::Socket::open();
      return *netns::find_link(socket, name);
    });
  }
  // Everything of the host that ports and networks add to, as text.
  std::vector<std::string> picture() {
    return host_.in([&] {
      std::vector<std::string> lines;
      auto socket = *netns::Socket::open();
      auto note = [&](const auto& list, auto&& text) {
        for (const auto& each : *list) lines.push_back(text(each));
      };
      note(netns::links(socket), [](const netns::Link& each) { return "link " + each.name + " " + each.alias; });
      note(netns::addresses(socket), [](const netns::Address& each) { return "address " + format_prefix(each.prefix); });
      for (Family family : {Family::kV4, Family::kV6}) {
        note(netns::routes(socket, family),
             [](const netns::RouteEntry& each) { return fmt::format("route {} {}", format_prefix(each.destination), each.table); });
        note(netns::proxies(socket, family), [](const netns::Neighbour& each) { return "proxy " + format_ip(each.address); });
      }
      // What the kernel makes by itself comes when it comes: link-local addresses with the carrier, entries of the local table later.
      std::erase_if(lines, [](const std::string& line) {
        return line.find(" fe80:") != line.npos || line.find(" ff00:") != line.npos || line.ends_with(" 255");
      });
      std::ranges::sort(lines);
      return lines;
    });
  }

  TempDir dir_;
  netns::Host where_;
  Namespace host_ = Namespace::make(), internet_ = Namespace::make();
};

}  // namespace vps::test
