// Networks as objects, and what definitions and networks are compiled to.
#include <gtest/gtest.h>

#include "specs/vps/compile_network.h"
#include "tests/unit/specs/definition_sample.h"

namespace vps {
namespace {

using test::small_definition;

Network parsed(std::string_view yaml) {
  auto network = parse_network_definition(yaml, "n.yaml");
  EXPECT_TRUE(network) << (network ? "" : network.error().to_string());
  return network.value_or(Network{});
}

std::string refusal(std::string_view yaml) {
  auto network = parse_network_definition(yaml, "n.yaml");
  return network ? "ok" : network.error().to_string();
}

TEST(NetworkYaml, ReadsWhatItPrints) {
  constexpr std::string_view kText =
      "name: back\nmode: bridge\nsubnets: [10.7.0.0/24, \"fd00:7::/64\"]\ngateways: [\"10.7.0.254\"]\nnat: true\nisolated: true\nmtu: 1400\n"
      "probe: refuse\n";
  auto network = parsed(kText);
  EXPECT_EQ(format_network(network), kText);
  EXPECT_EQ(parsed(format_network_json(network)), network);
  EXPECT_EQ(format_ip(*subnet_gateway(network, network.subnets[0])), "10.7.0.254");
  EXPECT_EQ(format_ip(*subnet_gateway(network, network.subnets[1])), "fd00:7::1");
}

TEST(NetworkYaml, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal("{mode: bridge}"), "n.yaml:1: name: missing");
  EXPECT_EQ(refusal("{name: a, mode: tunnel}"), "n.yaml:1: mode: expected bridge, routed, macvlan or host-device, found 'tunnel'");
  EXPECT_EQ(refusal("{name: a, subnets: [10.0.0.1/24]}"), "n.yaml:1: subnets[0]: expected a network like 10.200.0.0/16 or fd00::/64, found '10.0.0.1/24'");
  EXPECT_EQ(refusal("{name: a, subnets: [10.0.0.0/24, 10.0.0.128/25]}"), "n.yaml:1: subnets: 10.0.0.0/24 and 10.0.0.128/25 overlap");
  EXPECT_EQ(refusal("{name: a, subnets: [10.0.0.0/31]}"), "n.yaml:1: subnets: 10.0.0.0/31 is too small for a bridge network");
  EXPECT_EQ(refusal("{name: a, subnets: [224.0.0.0/24]}"), "n.yaml:1: subnets: 224.0.0.0/24 holds no addresses of hosts");
  EXPECT_EQ(refusal("{name: a, subnets: [10.0.0.0/24], gateways: [10.0.1.1]}"), "n.yaml:1: gateways: 10.0.1.1 is in no subnet of the network");
  EXPECT_EQ(refusal("{name: a, subnets: [10.0.0.0/24], gateways: [10.0.0.255]}"),
            "n.yaml:1: gateways: 10.0.0.255 is no address of a host in 10.0.0.0/24");
  EXPECT_EQ(refusal("{name: a, mode: macvlan}"), "n.yaml:1: uplinks: a macvlan network has exactly one");
  EXPECT_EQ(refusal("{name: a, mode: macvlan, uplinks: [e], nat: on}"),
            "n.yaml:1: nat: the packets of a macvlan network do not pass through the host");
  EXPECT_EQ(refusal("{name: a, mode: routed, isolated: on}"),
            "n.yaml:1: isolated: only the ports of a bridge can be told apart, this network is routed");
  EXPECT_EQ(refusal("{name: a, subnets: ['fd00::/64'], mtu: 1279}"), "n.yaml:1: mtu: a network with IPv6 needs one of at least 1280");
  EXPECT_EQ(refusal("{name: a, subnets: [10.0.0.0/24], mtu: 1279}"), "ok");
  EXPECT_EQ(refusal("{name: a, uplinks: [e]}").substr(0, 34), "n.yaml:1: uplinks: a bridge networ");
}

TEST(NetworkYaml, SetsSingleKeys) {
  auto network = parsed("{name: a, subnets: [10.0.0.0/24]}");
  ASSERT_TRUE(set_network_key(network, "nat=yes"));
  ASSERT_TRUE(set_network_key(network, "subnets=[10.1.0.0/24, fd00::/64]"));
  EXPECT_TRUE(network.nat);
  EXPECT_EQ(network.subnets.size(), 2u);
  EXPECT_EQ(set_network_key(network, "mode=routed").error().to_string(), "mode: cannot be set");
  EXPECT_EQ(set_network_key(network, "subnet=x").error().to_string(), "subnet: unknown key, did you mean subnets?");
}

TEST(NetworkPools, EdgesAndGatewaysAreNotGivenOut) {
  auto bridge = parsed("{name: a, subnets: [10.0.0.0/30]}");
  auto can = [&](const Network& network, const char* address) { return assignable(network, network.subnets[0], *parse_ip(address)); };
  EXPECT_FALSE(can(bridge, "10.0.0.0"));
  EXPECT_FALSE(can(bridge, "10.0.0.1"));
  EXPECT_TRUE(can(bridge, "10.0.0.2"));
  EXPECT_FALSE(can(bridge, "10.0.0.3"));
  auto routed = parsed("{name: a, mode: routed, subnets: [10.0.0.0/30]}");
  EXPECT_TRUE(can(routed, "10.0.0.0"));
  EXPECT_TRUE(can(routed, "10.0.0.3"));
}

// The host has an address in each subnet of a bridge.
TEST(NetworkPools, EachSubnetHasAGateway) {
  auto network = parsed("{name: a, subnets: [10.0.0.0/30, 10.1.0.0/24, 'fd00::/64'], gateways: [10.1.0.254]}");
  auto can = [&](std::size_t subnet, const char* address) { return assignable(network, network.subnets[subnet], *parse_ip(address)); };
  EXPECT_FALSE(can(0, "10.0.0.1"));
  EXPECT_TRUE(can(1, "10.1.0.1"));
  EXPECT_FALSE(can(1, "10.1.0.254"));
  EXPECT_FALSE(can(2, "fd00::1"));
  auto unnamed = parsed("{name: a, subnets: [10.0.0.0/30, 10.1.0.0/24]}");
  EXPECT_FALSE(assignable(unnamed, unnamed.subnets[1], *parse_ip("10.1.0.1")));
}

Lease lease(const char* network, const char* interface, const char* address) { return {network, "101", interface, *parse_prefix(address), false}; }

NetworkInput input(const Definition& definition) {
  NetworkInput in;
  in.definition = &definition;
  in.uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
  in.link_prefix = "v";
  in.networks["default"] = parsed("{name: default, subnets: [10.200.0.0/16, 'fd00::/64'], nat: on, isolated: on}");
  in.networks["public"] = parsed("{name: public, mode: routed, subnets: [203.0.113.0/24, '2001:db8::/64'], uplinks: [eth0], mtu: 1400}");
  in.networks["lan"] = parsed("{name: lan, mode: macvlan, subnets: [192.0.2.0/24], gateways: [192.0.2.254], uplinks: [eth0]}");
  in.networks["card"] = parsed("{name: card, mode: host-device, uplinks: [eth9]}");
  return in;
}

Interface interface(const char* name, const char* network) {
  Interface out;
  out.name = name;
  out.network = network;
  return out;
}

TEST(CompileNetwork, TheDefaultRouteLeadsToTheGatewayOfItsOwnSubnet) {
  auto definition = small_definition();
  definition.network.none = false;
  definition.network.interfaces = {interface("eth0", "two")};
  auto in = input(definition);
  in.networks["two"] = parsed("{name: two, subnets: [10.0.0.0/30, 10.1.0.0/24]}");
  in.leases = {lease("two", "eth0", "10.1.0.2/24")};
  auto plan = compile_network(in);
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->ports[0].routes.size(), 1u);
  EXPECT_EQ(format_ip(*plan->ports[0].routes[0].via), "10.1.0.1");
}

TEST(CompileNetwork, Ipv6NeedsItsMtu) {
  auto definition = small_definition();
  definition.network.none = false;
  definition.network.interfaces = {interface("eth0", "default")};
  definition.network.interfaces[0].mtu = 1279;
  auto in = input(definition);
  in.leases = {lease("default", "eth0", "10.200.0.2/16")};
  EXPECT_TRUE(compile_network(in));
  in.leases.push_back(lease("default", "eth0", "fd00::2/64"));
  auto refused = compile_network(in);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().to_string(), "network.interfaces.eth0.mtu: an interface with addresses of IPv6 needs at least 1280");
}

TEST(CompileNetwork, BridgeAndRoutedGolden) {
  auto definition = small_definition();
  definition.network.none = false;
  definition.network.interfaces = {interface("eth0", "default"), interface("venet0", "public")};
  definition.network.interfaces[0].rate_in = BitRate{100'000'000};
  definition.network.interfaces[0].guards.arp = false;
  definition.network.interfaces[1].routed = {*parse_network("2001:db8:7::/48")};
  definition.network.smtp = "20/min";
  auto in = input(definition);
  in.leases = {lease("default", "eth0", "10.200.0.2/16"), lease("default", "eth0", "fd00::2/64"), lease("public", "venet0", "203.0.113.9"),
               lease("public", "venet0", "2001:db8::9")};
  auto plan = compile_network(in);
  ASSERT_TRUE(plan) << plan.error().to_string();
  std::string text;
  for (const auto& line : describe_network(*plan)) text += line + "\n";
  EXPECT_EQ(text,
            "interface eth0: veth v101.0 on bridge vbr-default, " + format_mac(plan->ports[0].mac) + ", addresses 10.200.0.2/16, fd00::2/64\n"
            "route 0.0.0.0/0 via 10.200.0.1\n"
            "route ::/0 via fd00::1\n"
            "limit eth0: 100M bit/s to it\n"
            "interface venet0: veth v101.venet0 with routes to it, " + format_mac(plan->ports[1].mac) + ", addresses 203.0.113.9/32, 2001:db8::9/128\n");
  const auto& bridge = plan->ports[0];
  EXPECT_TRUE(bridge.isolated);
  EXPECT_FALSE(bridge.guard.arp);
  EXPECT_TRUE(bridge.guard.mac);
  EXPECT_EQ(bridge.guard.smtp, net::SmtpPolicy::kLimit);
  EXPECT_EQ(bridge.guard.smtp_per_minute, 20u);
  ASSERT_EQ(bridge.allowed.size(), 3u);  // its own two and the link-local one
  EXPECT_EQ(bridge.allowed[2], host_prefix(link_local(bridge.mac)));
  EXPECT_TRUE(bridge.routed.empty());
  const auto& routed = plan->ports[1];
  EXPECT_EQ(routed.uplinks, std::vector<std::string>{"eth0"});
  EXPECT_EQ(routed.mtu, 1400u);
  EXPECT_EQ(routed.routed.size(), 3u);
}

TEST(CompileNetwork, RoutedAloneHasTheDefaultRoute) {
  auto definition = small_definition();
  definition.network.interfaces = {interface("venet0", "public")};
  auto in = input(definition);
  in.leases = {lease("public", "venet0", "203.0.113.9")};
  auto plan = compile_network(in);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->ports[0].routes.size(), 1u);
  EXPECT_TRUE(plan->ports[0].routes[0].on_link);
  EXPECT_EQ(format_ip(*plan->ports[0].routes[0].via), "169.254.1.1");
}

TEST(CompileNetwork, SharesOfHostLinks) {
  auto definition = small_definition();
  definition.network.interfaces = {interface("eth0", "lan"), interface("eth1", "card")};
  auto in = input(definition);
  in.leases = {lease("lan", "eth0", "192.0.2.7/24")};
  auto plan = compile_network(in);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->ports[0].host_link, "");
  EXPECT_EQ(format_ip(*plan->ports[0].routes.at(0).via), "192.0.2.254");
  EXPECT_EQ(plan->ports[1].host_link, "eth9");
  EXPECT_EQ(network_warnings(in).size(), 2u);
}

TEST(CompileNetwork, RefusesWhatTheModeCannot) {
  auto refused = [](auto change) {
    auto definition = small_definition();
    definition.network.interfaces = {interface("eth0", "lan")};
    change(definition.network.interfaces[0]);
    auto plan = compile_network(input(definition));
    return plan ? std::string("ok") : plan.error().to_string();
  };
  EXPECT_EQ(refused([](Interface& i) { i.network = "nowhere"; }), "network.interfaces: eth0: no network nowhere");
  EXPECT_EQ(refused([](Interface& i) { i.rate_in = BitRate{1'000'000}; }),
            "network.interfaces: eth0: a rate is nothing for network lan, which is macvlan");
  EXPECT_EQ(refused([](Interface& i) { i.routed = {*parse_network("10.0.0.0/8")}; }),
            "network.interfaces: eth0: routed is nothing for network lan, which is macvlan");
}

TEST(CompileNetwork, ForwardsLeadToTheFirstAddressOfTheirFamily) {
  auto definition = small_definition();
  definition.network.interfaces = {interface("eth0", "default")};
  Forward four, six;
  four.number = 1;
  four.port = 80;
  four.guest_port = 8080;
  six = four;
  six.number = 2;
  six.listen = *parse_ip("2001:db8::1");
  definition.network.firewall.forwards = {four, six};
  auto in = input(definition);
  in.leases = {lease("default", "eth0", "10.200.0.2/16"), lease("default", "eth0", "fd00::2/64")};
  auto plan = compile_network(in);
  ASSERT_TRUE(plan);
  EXPECT_EQ(format_ip(plan->firewall.forwards[0].guest), "10.200.0.2");
  EXPECT_EQ(format_ip(plan->firewall.forwards[1].guest), "fd00::2");
  in.leases.pop_back();
  EXPECT_FALSE(compile_network(in));
}

TEST(CompileNetwork, BridgeOfTheHost) {
  auto definition = small_definition();
  auto plan = compile_host_network(input(definition).networks["default"], "v");
  EXPECT_EQ(plan.bridge, "vbr-default");
  ASSERT_EQ(plan.gateways.size(), 2u);
  EXPECT_EQ(format_prefix(plan.gateways[0]), "10.200.0.1/16");
  EXPECT_EQ(format_prefix(plan.gateways[1]), "fd00::1/64");
  EXPECT_TRUE(plan.nat);
}

}  // namespace
}  // namespace vps
