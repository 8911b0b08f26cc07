#include "specs/vps/network.h"

#include <algorithm>

#include "specs/vps/checks.h"
#include "specs/vps/net_codecs.h"
#include "specs/vps/schema.h"

namespace vps {
namespace {

using namespace schema;

struct ProbeNames {
  using Type = ProbePolicy;
  static constexpr std::array<std::pair<std::string_view, Type>, 3> kValues{
      {{"off", Type::kOff}, {"warn", Type::kWarn}, {"refuse", Type::kRefuse}}};
};

#define VPS_FIELD(name) [](auto& object) -> auto& { return object.name; }
constexpr std::array kRows = {
    make_row<Network, Text<checks::network_name, true>, VPS_FIELD(name)>("name", Shape::kScalar, kRequired | kFixed),
    make_row<Network, OneOf<ModeNames>, VPS_FIELD(mode)>("mode", Shape::kScalar, kAlways | kFixed),
    make_row<Network, List<PrefixOf<true>, 16, true>, VPS_FIELD(subnets)>("subnets", Shape::kList),
    make_row<Network, List<Address, 16, true>, VPS_FIELD(gateways)>("gateways", Shape::kList),
    make_row<Network, Bool, VPS_FIELD(nat)>("nat", Shape::kScalar),
    make_row<Network, Bool, VPS_FIELD(isolated)>("isolated", Shape::kScalar),
    make_row<Network, List<Text<checks::interface_name>, 8, true>, VPS_FIELD(uplinks)>("uplinks", Shape::kList),
    make_row<Network, Maybe<Whole<std::uint32_t, 576, 65535>>, VPS_FIELD(mtu)>("mtu", Shape::kScalar),
    make_row<Network, OneOf<ProbeNames>, VPS_FIELD(probe)>("probe", Shape::kScalar),
    make_row<Network, Rate, VPS_FIELD(rate_in)>("rateIn", Shape::kScalar),
    make_row<Network, Rate, VPS_FIELD(rate_out)>("rateOut", Shape::kScalar),
};
#undef VPS_FIELD
std::span<const Row<Network>> network_rows() { return kRows; }

Result<> check_subnets(const Network& network) {
  for (std::size_t i = 0; i < network.subnets.size(); ++i) {
    const auto& subnet = network.subnets[i];
    for (std::size_t j = 0; j < i; ++j)
      if (subnet.overlaps(network.subnets[j]))
        return fail(Code::kUsage, "subnets: {} and {} overlap", format_prefix(network.subnets[j]), format_prefix(subnet));
    // Room for the gateway and one VPS.
    bool shared_link = network.mode == net::Mode::kBridge || network.mode == net::Mode::kMacvlan;
    if (shared_link && subnet.length > address_bits(subnet.family()) - 2)
      return fail(Code::kUsage, "subnets: {} is too small for a {} network", format_prefix(subnet), mode_name(network.mode));
    if (subnet.length < 8) return fail(Code::kUsage, "subnets: {} is larger than a /8", format_prefix(subnet));
    auto first = subnet.first();
    bool odd = first.family == Family::kV4 ? first.bytes[0] == 0 || first.bytes[0] == 127 || first.bytes[0] >= 224
                                           : first.bytes[0] == 0xff || (first.bytes[0] == 0xfe && (first.bytes[1] & 0xc0u) == 0x80);
    if (odd) return fail(Code::kUsage, "subnets: {} holds no addresses of hosts", format_prefix(subnet));
  }
  return {};
}

Result<> check_gateways(const Network& network) {
  std::vector<const Prefix*> seen;
  for (const auto& gateway : network.gateways) {
    const auto* subnet = subnet_of(network, gateway);
    if (subnet == nullptr) return fail(Code::kUsage, "gateways: {} is in no subnet of the network", format_ip(gateway));
    bool edge = gateway == subnet->first() || (subnet->family() == Family::kV4 && gateway == subnet->last());
    if (edge && !subnet->single()) return fail(Code::kUsage, "gateways: {} is no address of a host in {}", format_ip(gateway), format_prefix(*subnet));
    if (std::ranges::find(seen, subnet) != seen.end())
      return fail(Code::kUsage, "gateways: two for the subnet {}", format_prefix(*subnet));
    seen.push_back(subnet);
  }
  return {};
}

}  // namespace

std::string_view mode_name(net::Mode mode) {
  for (const auto& [name, value] : ModeNames::kValues)
    if (value == mode) return name;
  return "bridge";
}

std::string_view probe_policy_name(ProbePolicy policy) {
  for (const auto& [name, value] : ProbeNames::kValues)
    if (value == policy) return name;
  return "off";
}

Result<Network> parse_network_definition(std::string_view yaml, std::string_view file_name) {
  auto root = VPS_TRY(parse_yaml(yaml, file_name));
  Where where{.file = file_name, .line = root.line};
  Network network;
  VPS_TRY(parse_members(network_rows(), "", root, where, network));
  VPS_TRY(check_required(network_rows(), network, where));
  if (auto good = validate_network(network); !good) return where.refuse(good.error().message(), good.error().code());
  return network;
}

std::string format_network(const Network& network) { return print_yaml(print_members(network_rows(), network)); }
std::string format_network_json(const Network& network) { return print_json(print_members(network_rows(), network)); }

Result<> validate_network(const Network& network) {
  Where where;
  VPS_TRY(check_required(network_rows(), network, where));
  for (const auto& row : network_rows()) VPS_TRY(row.check(network, where.key(row.path)));
  const auto mode = network.mode;
  const bool host_ends = mode == net::Mode::kBridge || mode == net::Mode::kRouted;
  if (network.nat && !host_ends) return fail(Code::kUsage, "nat: the packets of a {} network do not pass through the host", mode_name(mode));
  if ((network.rate_in || network.rate_out) && !host_ends)
    return fail(Code::kUsage, "{}: the packets of a {} network do not pass through the host", network.rate_in ? "rateIn" : "rateOut", mode_name(mode));
  if (network.isolated && mode != net::Mode::kBridge)
    return fail(Code::kUsage, "isolated: only the ports of a bridge can be told apart, this network is {}", mode_name(mode));
  if (mode == net::Mode::kBridge && !network.uplinks.empty())
    return fail(Code::kUsage, "uplinks: a bridge network has none; use mode routed or macvlan to be on an uplink's network");
  if ((mode == net::Mode::kMacvlan || mode == net::Mode::kHostDevice) && network.uplinks.size() != 1)
    return fail(Code::kUsage, "uplinks: a {} network has exactly one", mode_name(mode));
  if (mode == net::Mode::kRouted && !network.gateways.empty())
    return fail(Code::kUsage, "gateways: in a routed network the host's end of each port is the gateway ({} and {})",
                format_ip(routed_gateway(Family::kV4)), format_ip(routed_gateway(Family::kV6)));
  const bool has_v6 = std::ranges::any_of(network.subnets, [](const Prefix& subnet) { return subnet.family() == Family::kV6; });
  if (network.mtu && *network.mtu < net::kLeastIpv6Mtu && has_v6)
    return fail(Code::kUsage, "mtu: a network with IPv6 needs one of at least {}", net::kLeastIpv6Mtu);
  VPS_TRY(check_subnets(network));
  return check_gateways(network);
}

Result<> set_network_key(Network& network, std::string_view assignment) {
  auto equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return fail(Code::kUsage, "expected KEY=VALUE, found '{}'", quote_for_message(assignment));
  auto key = assignment.substr(0, equals);
  auto value = assignment.substr(equals + 1);
  auto row = std::ranges::find(kRows, key, &Row<Network>::path);
  Where where{.path = quote_for_message(key)};
  if (row == kRows.end()) return unknown_key(network_rows(), key, where);
  if (row->has(kFixed)) return where.refuse("cannot be set");
  if (utf8_prefix(value) != value.size()) return where.refuse("not UTF-8 text");
  if (value.empty()) {
    row->copy(network, Network{});
    return {};
  }
  auto node = row->shape == Shape::kScalar ? Result<Node>(Node::of_text(std::string(value))) : parse_yaml(value, "");
  if (!node) return where.refuse(node.error().message());
  return row->set(network, *node, where);
}

std::optional<IpAddress> subnet_gateway(const Network& network, const Prefix& subnet) {
  if (network.mode == net::Mode::kRouted) return {};
  for (const auto& gateway : network.gateways)
    if (subnet.contains(gateway)) return gateway;
  if (network.mode != net::Mode::kBridge) return {};
  auto first = subnet.first();
  advance(first);
  return first;
}

IpAddress routed_gateway(Family family) {
  static const IpAddress v4 = *parse_ip("169.254.1.1");
  static const IpAddress v6 = *parse_ip("fe80::1");
  return family == Family::kV4 ? v4 : v6;
}

const Prefix* subnet_of(const Network& network, const IpAddress& address) {
  auto found = std::ranges::find_if(network.subnets, [&](const Prefix& subnet) { return subnet.contains(address); });
  return found == network.subnets.end() ? nullptr : &*found;
}

bool assignable(const Network& network, const Prefix& subnet, const IpAddress& address) {
  if (subnet_gateway(network, subnet) == address) return false;
  if (network.mode == net::Mode::kRouted) return subnet.single() || subnet.family() == Family::kV4 || address != subnet.first();
  if (address == subnet.first()) return false;  // of IPv6 the anycast address of its routers
  return subnet.family() == Family::kV6 || address != subnet.last();
}

}  // namespace vps
