#include "specs/vps/network_rows.h"

#include "specs/vps/checks.h"

namespace vps::schema {
namespace {

constexpr std::uint64_t kMostPackets = 1'000'000'000;
constexpr std::uint32_t kLeastMtu = 576;   // every IPv4 host takes that much
constexpr std::uint32_t kMostMtu = 65535;
constexpr std::uint32_t kMostNumber = 4'000'000'000;
using Prefixes = List<PrefixOf<false>, 256, true>;
using Number = Whole<std::uint32_t, 0, kMostNumber>;
using Port = Whole<std::uint16_t, 1, 65535>;

#define VPS_FIELD(name) [](auto& object) -> auto& { return object.name; }

constexpr std::array kInterfaceRows = {
    make_row<Interface, Text<checks::interface_name, true>, VPS_FIELD(name)>("name", Shape::kScalar, kRequired | kNextStart),
    make_row<Interface, Text<checks::network_name, true>, VPS_FIELD(network)>("network", Shape::kScalar, kRequired | kNextStart),
    make_row<Interface, List<Text<checks::address>, 64, true>, VPS_FIELD(addresses)>("addresses", Shape::kList, kNextStart),
    make_row<Interface, Text<checks::mac>, VPS_FIELD(mac)>("mac", Shape::kScalar, kNextStart),
    make_row<Interface, Rate, VPS_FIELD(rate_in)>("rateIn", Shape::kScalar),
    make_row<Interface, Rate, VPS_FIELD(rate_out)>("rateOut", Shape::kScalar),
    make_row<Interface, Rate, VPS_FIELD(guarantee_in)>("guaranteeIn", Shape::kScalar),
    make_row<Interface, Rate, VPS_FIELD(guarantee_out)>("guaranteeOut", Shape::kScalar),
    make_row<Interface, Maybe<Whole<std::uint64_t, 1, kMostPackets>>, VPS_FIELD(packet_rate)>("packetRate", Shape::kScalar),
    make_row<Interface, Prefixes, VPS_FIELD(allowed)>("allowed", Shape::kList),
    make_row<Interface, Prefixes, VPS_FIELD(routed)>("routed", Shape::kList, kNextStart),
    make_row<Interface, Maybe<Whole<std::uint32_t, kLeastMtu, kMostMtu>>, VPS_FIELD(mtu)>("mtu", Shape::kScalar, kNextStart),
    make_row<Interface, Bool, VPS_FIELD(guards.mac)>("guards.mac", Shape::kScalar),
    make_row<Interface, Bool, VPS_FIELD(guards.ip)>("guards.ip", Shape::kScalar),
    make_row<Interface, Bool, VPS_FIELD(guards.arp)>("guards.arp", Shape::kScalar),
    make_row<Interface, Bool, VPS_FIELD(guards.router)>("guards.router", Shape::kScalar),
};

constexpr std::array kFirewallRows = {
    make_row<net::FirewallRule, Number, VPS_FIELD(number)>("number", Shape::kScalar, kAlways),
    make_row<net::FirewallRule, OneOf<DirectionNames>, VPS_FIELD(direction)>("direction", Shape::kScalar, kAlways),
    make_row<net::FirewallRule, OneOf<VerdictNames>, VPS_FIELD(verdict)>("action", Shape::kScalar, kAlways),
    make_row<net::FirewallRule, OneOf<ProtocolNames>, VPS_FIELD(protocol)>("protocol", Shape::kScalar),
    make_row<net::FirewallRule, List<Ports, 128, true>, VPS_FIELD(ports)>("ports", Shape::kList),
    make_row<net::FirewallRule, List<PrefixOf<false>, 1024, true>, VPS_FIELD(peers)>("peers", Shape::kList),
    make_row<net::FirewallRule, Bool, VPS_FIELD(log)>("log", Shape::kScalar),
    make_row<net::FirewallRule, Text<checks::comment>, VPS_FIELD(comment)>("comment", Shape::kScalar),
};

constexpr std::array kForwardRows = {
    make_row<Forward, Number, VPS_FIELD(number)>("number", Shape::kScalar, kAlways),
    make_row<Forward, OneOf<ForwardProtocolNames>, VPS_FIELD(protocol)>("protocol", Shape::kScalar),
    make_row<Forward, Maybe<Address>, VPS_FIELD(listen)>("listen", Shape::kScalar),
    make_row<Forward, Port, VPS_FIELD(port)>("port", Shape::kScalar, kAlways),
    make_row<Forward, Port, VPS_FIELD(guest_port)>("guestPort", Shape::kScalar, kAlways),
    make_row<Forward, Maybe<Address>, VPS_FIELD(guest)>("guest", Shape::kScalar),
};

#undef VPS_FIELD

}  // namespace

std::span<const Row<Interface>> interface_rows() { return kInterfaceRows; }
std::span<const Row<net::FirewallRule>> firewall_rows() { return kFirewallRows; }
std::span<const Row<Forward>> forward_rows() { return kForwardRows; }

}  // namespace vps::schema

namespace vps {

Result<net::FirewallRule> parse_firewall_rule(std::string_view yaml) {
  auto node = VPS_TRY(parse_yaml(yaml, ""));
  return schema::Object<net::FirewallRule, schema::firewall_rows>::parse(node, schema::Where{});
}

Result<Forward> parse_forward(std::string_view yaml) {
  auto node = VPS_TRY(parse_yaml(yaml, ""));
  return schema::Object<Forward, schema::forward_rows>::parse(node, schema::Where{});
}

}  // namespace vps
