#include "specs/vps/compile_network.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "specs/net/names.h"
#include "specs/vps/checks.h"

namespace vps {
namespace {

constexpr std::array kFamilies = {Family::kV4, Family::kV6};

bool has_host_end(net::Mode mode) { return mode == net::Mode::kBridge || mode == net::Mode::kRouted; }

Result<const Network*> find_network(const NetworkInput& input, const Interface& interface) {
  auto found = input.networks.find(interface.network);
  if (found == input.networks.end())
    return fail(Code::kNotFound, "network.interfaces: {}: no network {}", interface.name, interface.network);
  return &found->second;
}

Result<> check_mode(const Interface& interface, const Network& network) {
  auto refuse = [&](std::string_view key) {
    return fail(Code::kUsage, "network.interfaces: {}: {} is nothing for network {}, which is {}", interface.name, key, network.name,
                mode_name(network.mode));
  };
  if (!interface.routed.empty() && network.mode != net::Mode::kRouted) return refuse("routed");
  if (!has_host_end(network.mode)) {
    if (interface.rate_in || interface.rate_out) return refuse("a rate");
    if (interface.packet_rate) return refuse("packetRate");
  }
  if (network.mode == net::Mode::kHostDevice && interface.mac != "auto") return refuse("mac");
  return {};
}

net::GuardPlan guard_of(const Definition& definition, const Interface& interface) {
  net::GuardPlan guard;
  guard.mac = interface.guards.mac;
  guard.ip = interface.guards.ip;
  guard.arp = interface.guards.arp;
  guard.router = interface.guards.router;
  guard.connections = definition.network.connections;
  guard.connections_per_second = definition.network.connection_rate;
  if (auto smtp = checks::parse_smtp(definition.network.smtp)) {
    guard.smtp = smtp->policy;
    guard.smtp_per_minute = smtp->per_minute;
  }
  return guard;
}

void add_addresses(const NetworkInput& input, const Interface& interface, net::PortPlan& port) {
  for (const auto& lease : input.leases)
    if (lease.interface == interface.name && lease.network == interface.network) port.addresses.push_back(lease.address);
  for (const auto& address : port.addresses) port.allowed.push_back(host_prefix(address.address));
  port.allowed.insert(port.allowed.end(), interface.allowed.begin(), interface.allowed.end());
  port.allowed.insert(port.allowed.end(), interface.routed.begin(), interface.routed.end());
  if (port.mode != net::Mode::kHostDevice) port.allowed.push_back(host_prefix(link_local(port.mac)));
  if (port.mode != net::Mode::kRouted) return;
  for (const auto& address : port.addresses) port.routed.push_back(host_prefix(address.address));
  port.routed.insert(port.routed.end(), interface.routed.begin(), interface.routed.end());
}

std::optional<IpAddress> gateway_for(const Network& network, const net::PortPlan& port, Family family) {
  for (const auto& address : port.addresses) {
    if (address.family() != family) continue;
    if (network.mode == net::Mode::kRouted) return routed_gateway(family);
    const auto* subnet = subnet_of(network, address.address);
    if (subnet == nullptr) continue;
    if (auto gateway = subnet_gateway(network, *subnet)) return gateway;
  }
  return {};
}

// The default route of each family stands on the first interface that can have it.
void add_default_routes(const Network& network, net::PortPlan& port, std::array<bool, 2>& taken) {
  for (std::size_t i = 0; i < kFamilies.size(); ++i) {
    const auto family = kFamilies[i];
    if (taken[i]) continue;
    net::Route route;
    route.destination.address.family = family;
    route.via = gateway_for(network, port, family);
    if (!route.via) continue;
    route.on_link = network.mode == net::Mode::kRouted;
    taken[i] = true;
    port.routes.push_back(route);
  }
}

Result<net::PortPlan> compile_port(const NetworkInput& input, const Interface& interface, std::array<bool, 2>& defaults) {
  const Network& network = *VPS_TRY(find_network(input, interface));
  VPS_TRY(check_mode(interface, network));
  net::PortPlan port;
  port.mode = network.mode;
  port.network = network.name;
  port.guest_link = interface.name;
  if (has_host_end(network.mode)) port.host_link = net::host_link_name(input.link_prefix, input.definition->id, interface.name);
  if (network.mode == net::Mode::kHostDevice) port.host_link = network.uplinks.front();
  port.mac = interface.mac == "auto" ? net::guest_mac(input.uuid, interface.name) : VPS_TRY_CTX("mac", parse_mac(interface.mac));
  port.mtu = interface.mtu.value_or(network.mtu.value_or(0));
  if (network.mode == net::Mode::kBridge) {
    port.bridge = net::bridge_name(input.link_prefix, network.name);
    port.isolated = network.isolated;
  }
  if (network.mode == net::Mode::kRouted || network.mode == net::Mode::kMacvlan) port.uplinks = network.uplinks;
  add_addresses(input, interface, port);
  const bool has_v6 = std::ranges::any_of(port.addresses, [](const Prefix& address) { return address.family() == Family::kV6; });
  if (port.mtu != 0 && port.mtu < net::kLeastIpv6Mtu && has_v6)
    return fail(Code::kUsage, "network.interfaces.{}.mtu: an interface with addresses of IPv6 needs at least {}", interface.name, net::kLeastIpv6Mtu);
  add_default_routes(network, port, defaults);
  port.rate_in = interface.rate_in;
  port.rate_out = interface.rate_out;
  port.guarantee_in = interface.guarantee_in;
  port.guarantee_out = interface.guarantee_out;
  port.total_in = network.rate_in;
  port.total_out = network.rate_out;
  port.packets_per_second = interface.packet_rate;
  port.guard = guard_of(*input.definition, interface);
  return port;
}

Result<net::FirewallPlan> compile_firewall(const Firewall& firewall, const std::vector<net::PortPlan>& ports) {
  net::FirewallPlan plan;
  plan.default_in = firewall.default_in;
  plan.default_out = firewall.default_out;
  plan.rules = firewall.rules;
  for (const auto& forward : firewall.forwards) {
    const Family family = forward.family();
    std::optional<IpAddress> guest = forward.guest;
    for (const auto& port : ports)
      for (const auto& address : port.addresses)
        if (!guest && address.family() == family && has_host_end(port.mode)) guest = address.address;
    if (!guest)
      return fail(Code::kUsage, "network.firewall.forwards: {}: it has no address that port {} could lead to", forward.number, forward.port);
    plan.forwards.push_back({forward.number, forward.listen, forward.protocol, forward.port, forward.guest_port, *guest});
  }
  return plan;
}

}  // namespace

Result<net::VpsPlan> compile_network(const NetworkInput& input) {
  net::VpsPlan plan;
  plan.id = input.definition->id;
  std::array<bool, 2> defaults{};
  for (const auto& interface : input.definition->network.interfaces) plan.ports.push_back(VPS_TRY(compile_port(input, interface, defaults)));
  plan.firewall = VPS_TRY(compile_firewall(input.definition->network.firewall, plan.ports));
  return plan;
}

std::vector<std::string> network_warnings(const NetworkInput& input) {
  std::vector<std::string> warnings;
  for (const auto& interface : input.definition->network.interfaces) {
    auto network = input.networks.find(interface.network);
    if (network == input.networks.end() || has_host_end(network->second.mode)) continue;
    warnings.push_back(fmt::format("network.interfaces.{}: its packets do not pass through the host: no guards, firewall or traffic "
                                   "counters in a {} network",
                                   interface.name, mode_name(network->second.mode)));
  }
  if (input.definition->network.none && !(input.definition->network.firewall == Firewall{}))
    warnings.emplace_back("network.firewall: it has no interface to guard");
  return warnings;
}

net::NetworkPlan compile_host_network(const Network& network, std::string_view link_prefix) {
  net::NetworkPlan plan;
  plan.name = network.name;
  plan.mode = network.mode;
  plan.subnets = network.subnets;
  plan.nat = network.nat;
  plan.isolated = network.isolated;
  plan.uplinks = network.uplinks;
  plan.mtu = network.mtu.value_or(0);
  plan.rate_in = network.rate_in;
  plan.rate_out = network.rate_out;
  if (network.mode != net::Mode::kBridge) return plan;
  plan.bridge = net::bridge_name(link_prefix, network.name);
  for (const auto& subnet : network.subnets) {
    if (auto gateway = subnet_gateway(network, subnet)) plan.gateways.push_back({*gateway, subnet.length});
  }
  return plan;
}

std::vector<std::string> describe_network(const net::VpsPlan& plan) {
  std::vector<std::string> lines;
  for (const auto& port : plan.ports) {
    std::vector<std::string> addresses;
    for (const auto& address : port.addresses) addresses.push_back(format_prefix(address));
    std::string where = fmt::format("network {}", port.network);
    switch (port.mode) {
      case net::Mode::kBridge: where = fmt::format("veth {} on bridge {}", port.host_link, port.bridge); break;
      case net::Mode::kRouted: where = fmt::format("veth {} with routes to it", port.host_link); break;
      case net::Mode::kMacvlan: where = fmt::format("macvlan of {}", fmt::join(port.uplinks, ", ")); break;
      case net::Mode::kHostDevice: where = fmt::format("device {} of the host", port.host_link); break;
    }
    lines.push_back(fmt::format("interface {}: {}, {}, addresses {}", port.guest_link, where, format_mac(port.mac),
                                addresses.empty() ? "none" : fmt::format("{}", fmt::join(addresses, ", "))));
    for (const auto& route : port.routes)
      lines.push_back(fmt::format("route {} via {}", format_prefix(route.destination), route.via ? format_ip(*route.via) : "the link"));
    if (port.rate_in) lines.push_back(fmt::format("limit {}: {} bit/s to it", port.guest_link, format_bit_rate(*port.rate_in)));
    if (port.rate_out) lines.push_back(fmt::format("limit {}: {} bit/s from it", port.guest_link, format_bit_rate(*port.rate_out)));
  }
  if (!plan.firewall.empty())
    lines.push_back(fmt::format("firewall: {} rules, {} forwards", plan.firewall.rules.size(), plan.firewall.forwards.size()));
  return lines;
}

}  // namespace vps
