// Codecs (codecs.h) of what networks are described with: addresses, prefixes, ports, words of a firewall.
#pragma once

#include "base/ip.h"
#include "specs/net/plan.h"
#include "specs/vps/codecs.h"

namespace vps::schema {

using Rate = Maybe<Quantity<BitRate, 1000, 1'000'000'000'000'000>>;

struct Address {
  static constexpr std::string_view kWhat = "an address like 10.0.0.2 or fd00::2";
  static Result<IpAddress> parse(const Node& node, const Where& where) {
    auto value = parse_ip(node.text);
    if (!node.scalar() || !value) return where.expected(kWhat, node);
    return *value;
  }
  static Node print(const IpAddress& value) { return Node::of_text(format_ip(value)); }
  static Result<> check(const IpAddress&, const Where&) { return {}; }
};

// `Whole`: a length is needed and host bits are refused.
template <bool IsNetwork>
struct PrefixOf {
  static constexpr std::string_view kWhat = IsNetwork ? "a network like 10.200.0.0/16 or fd00::/64"
                                                      : "a prefix like 10.0.0.0/24, or one address";
  static Result<Prefix> parse(const Node& node, const Where& where) {
    auto value = IsNetwork ? parse_network(node.text) : parse_prefix(node.text);
    if (!node.scalar() || !value) return where.expected(kWhat, node);
    return IsNetwork ? *value : value->network();
  }
  static Node print(const Prefix& value) {
    return Node::of_text(!IsNetwork && value.single() ? format_ip(value.address) : format_prefix(value));
  }
  static Result<> check(const Prefix& value, const Where& where) {
    if (value.network() == value) return {};
    return where.refuse("host bits are set");
  }
};

struct Ports {
  using Range = net::FirewallRule::PortRange;
  static constexpr std::string_view kWhat = "a port or a range like 8000-8080";
  static Result<Range> parse(const Node& node, const Where& where) {
    auto dash = node.text.find('-');
    auto first = parse_u64(std::string_view(node.text).substr(0, dash));
    auto last = dash == std::string::npos ? first : parse_u64(std::string_view(node.text).substr(dash + 1));
    if (!node.scalar() || !first || !last || *first < 1 || *last > 65535 || *last < *first) return where.expected(kWhat, node);
    return Range{static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)};
  }
  static Node print(const Range& value) {
    if (value.first == value.last) return Node::of_number(std::to_string(value.first));
    return Node::of_text(fmt::format("{}-{}", value.first, value.last));
  }
  static Result<> check(const Range& value, const Where& where) {
    if (value.first < 1 || value.last < value.first) return where.refuse(fmt::format("expected {}", kWhat));
    return {};
  }
};

struct DirectionNames {
  using Type = net::Direction;
  static constexpr std::array<std::pair<std::string_view, Type>, 2> kValues{{{"in", Type::kIn}, {"out", Type::kOut}}};
};
struct VerdictNames {
  using Type = net::Verdict;
  static constexpr std::array<std::pair<std::string_view, Type>, 3> kValues{
      {{"accept", Type::kAccept}, {"drop", Type::kDrop}, {"reject", Type::kReject}}};
};
struct ProtocolNames {
  using Type = net::Protocol;
  static constexpr std::array<std::pair<std::string_view, Type>, 5> kValues{{{"any", Type::kAny},
                                                                            {"tcp", Type::kTcp},
                                                                            {"udp", Type::kUdp},
                                                                            {"icmp", Type::kIcmp},
                                                                            {"icmp6", Type::kIcmp6}}};
};
struct ForwardProtocolNames {
  using Type = net::Protocol;
  static constexpr std::array<std::pair<std::string_view, Type>, 2> kValues{{{"tcp", Type::kTcp}, {"udp", Type::kUdp}}};
};
struct ModeNames {
  using Type = net::Mode;
  static constexpr std::array<std::pair<std::string_view, Type>, 4> kValues{{{"bridge", Type::kBridge},
                                                                            {"routed", Type::kRouted},
                                                                            {"macvlan", Type::kMacvlan},
                                                                            {"host-device", Type::kHostDevice}}};
};

}  // namespace vps::schema
