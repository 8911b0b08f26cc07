#include "netns/filter_layout.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>

#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_arp.h>
#include <linux/netfilter_bridge.h>
#include <linux/rtnetlink.h>

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "netns/filter.h"

namespace vps::netns::filter {
namespace {

using namespace nft;

// Data types as the nft tool numbers them (include/datatype.h there), six bits each in a concatenation.
enum : std::uint32_t { kIpv4Type = 7, kIpv6Type = 8, kMacType = 9, kProtocolType = 12, kPortType = 13, kMarkType = 19, kLinkType = 41 };
constexpr std::uint32_t both(std::uint32_t a, std::uint32_t b) { return a << 6 | b; }
constexpr std::uint32_t both(std::uint32_t a, std::uint32_t b, std::uint32_t c) { return both(a, b) << 6 | c; }

// Before everything that tracks, defragments (-400) or rewrites, and behind it.
constexpr std::int32_t kFirst = -450, kLast = 350;
constexpr std::int32_t kBehindTracking = -150, kDestinationNat = -100, kSourceNat = 100, kFilter = 0;
constexpr std::uint32_t kConfirmed = 1u << 3, kDestinationTranslated = 1u << 5;  // IPS_CONFIRMED, IPS_DST_NAT

constexpr int kMldReport2 = 143, kMulticastRouter = 151;  // ICMPv6 types (RFC 3810, 4286) that netinet/icmp6.h lacks

std::string byte(int value) { return std::string(1, static_cast<char>(value)); }

Exprs operator+(Exprs left, const Exprs& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// The offsets of an address family.
struct Ip {
  Family family;
  std::uint8_t protocol;  // NFPROTO_*
  std::uint16_t ether;
  unsigned source, destination, length;
  std::string digit;      // of the names of sets: "src4"
};
const Ip kV4{Family::kV4, NFPROTO_IPV4, ETH_P_IP, 12, 16, 4, "4"};
const Ip kV6{Family::kV6, NFPROTO_IPV6, ETH_P_IPV6, 8, 24, 16, "6"};

Exprs is_family(const Ip& ip) { return {meta(NFT_META_NFPROTO, 15), equal(15, byte(ip.protocol))}; }
Exprs is_protocol(int protocol) { return {meta(NFT_META_L4PROTO, 15), equal(15, byte(protocol))}; }
Exprs is_icmp6(int type) { return {payload(Base::kTransport, 0, 1, 15), equal(15, byte(type))}; }
// So much of the transport header is in this packet.
Exprs has_transport(unsigned length) {
  return {payload(Base::kTransport, length - 1, 1, 15), masked(15, byte(0)), equal(15, byte(0))};
}
// The port that a packet comes from (or, with NFT_META_OIFNAME, goes to) has this guard on. Uses r0 to r4.
Exprs guarded(std::uint32_t flag, std::uint32_t which = NFT_META_IIFNAME) {
  return {meta(which, 0), map("ports", 0, 4), masked(4, native32(flag)), unequal(4, native32(0))};
}

// Linux 6.1 looks nothing up in a map without taking its value, so every port has a bit that is always set.
Exprs known_port(std::uint32_t which) { return {meta(which, 0), map("ports", 0, 4), unequal(4, native32(0))}; }

class Rules {
 public:
  explicit Rules(Layout& layout) : layout_(layout) {}
  void chain(std::string name) { layout_.chains.push_back({std::move(name), "", 0, 0}); }
  void base(std::string name, std::string type, std::uint32_t hook, std::int32_t priority) {
    layout_.chains.push_back({std::move(name), std::move(type), hook, priority});
  }
  // A rule of the chain begun last.
  void rule(Exprs exprs) { layout_.rules.push_back({layout_.chains.back().name, std::move(exprs), ""}); }

 private:
  Layout& layout_;
};

// Kinds of sets; keys and data by type and length.
Set plain(std::string name, std::uint32_t key_type, std::uint32_t key_length) { return {std::move(name), key_type, key_length}; }
Set mapping(std::string name, std::uint32_t key_type, std::uint32_t key_length, std::uint32_t type, std::uint32_t length) {
  return {std::move(name), key_type, key_length, type, length};
}
Set intervals(Set set) {
  set.interval = true;
  return set;
}
Set counting(Set set) {
  set.counted = true;
  return set;
}
Set limiting(std::string name) {
  Set set = plain(std::move(name), kMarkType, 4);
  set.dynamic = true;
  return set;
}

void guard_sets(Layout& layout, bool ip) {
  auto& sets = layout.sets;
  sets.push_back(mapping("ports", kLinkType, 16, kMarkType, 4));
  sets.push_back(plain("macs", both(kLinkType, kMacType), 24));
  sets.push_back(plain("src4", both(kLinkType, kIpv4Type), 20));
  sets.push_back(plain("wide_ports", kLinkType, 16));
  sets.push_back(plain("wide4", both(kLinkType, kIpv4Type), 20));
  for (auto kind : port_kinds(layout.table)) sets.push_back(counting(plain(drop_set(kind), kLinkType, 16)));
  if (!ip) return;
  sets.push_back(plain("src6", both(kLinkType, kIpv6Type), 32));
  sets.push_back(plain("wide6", both(kLinkType, kIpv6Type), 32));
  for (const char* way : {"class_in", "class_out"}) {
    sets.push_back(intervals(mapping(way + kV4.digit, kIpv4Type, 4, kVerdictType, 16)));
    sets.push_back(intervals(mapping(way + kV6.digit, kIpv6Type, 16, kVerdictType, 16)));
  }
}

// Last of a table, and the usual classes first: the kernel finds a set by going through the list.
void class_sets(Layout& layout) {
  for (std::uint32_t number = 0; number < net::kTrafficClasses; ++number)
    for (const char* name : {"in4", "in6", "out4", "out6"})
      layout.sets.push_back(counting(plain(class_name(name, number), kLinkType, 16)));
}

void inet_sets(Layout& layout) {
  auto& sets = layout.sets;
  for (const auto* ip : {&kV4, &kV6}) {
    std::uint32_t type = ip == &kV4 ? kIpv4Type : kIpv6Type, length = ip->length;
    sets.push_back(mapping("owner" + ip->digit, type, length, kMarkType, 4));
    sets.push_back(intervals(mapping("owner_wide" + ip->digit, type, length, kMarkType, 4)));
    for (const char* way : {"firewall_in", "firewall_out"}) {
      sets.push_back(mapping(way + ip->digit, type, length, kVerdictType, 16));
      sets.push_back(intervals(mapping(std::string(way) + "_wide" + ip->digit, type, length, kVerdictType, 16)));
    }
    sets.push_back(intervals(plain("own" + ip->digit, type, length)));
    sets.push_back(intervals(plain("bridged" + ip->digit, type, length)));
    sets.push_back(intervals(plain("nat" + ip->digit, type, length)));
    sets.push_back(mapping("forward" + ip->digit, both(kProtocolType, type, kPortType), 8 + length, both(type, kPortType), length + 4));
    sets.push_back(mapping("forward_any" + ip->digit, both(kProtocolType, kPortType), 8, both(type, kPortType), length + 4));
  }
  sets.push_back(plain("classes", kMarkType, 4));
  for (const char* name : {"rate", "smtp_limit"}) sets.push_back(limiting(name));
  sets.push_back(mapping("caps", kMarkType, 4, kMarkType, 4));
  // Packets put VPSes in, and the kernel takes them out when they have no connection left: nothing to compare.
  Set connections = plain(std::string(kConnectionSet), both(kMarkType, kPortType), 8);
  connections.dynamic = true;
  connections.room = 1u << 22;
  sets.push_back(connections);
  sets.push_back(plain("smtp_deny", kMarkType, 4));
  for (auto kind : {DropKind::kConnections, DropKind::kConnectionRate, DropKind::kSmtp})
    sets.push_back(counting(plain(drop_set(kind), kMarkType, 4)));
}

// Which address of a packet a port is held to, and what belongs to it.
struct Claim {
  std::string name;    // of the chain with the rules for prefixes
  std::string digit;
  Base base;
  unsigned offset, length;
};
const Claim kArpSender{"wide_arp", "4", Base::kNetwork, 14, 4};
const Claim kArpTarget{"wide_arp_target", "4", Base::kNetwork, 24, 4};
const Claim kSource4{"wide_source4", "4", Base::kNetwork, 12, 4};
const Claim kSource6{"wide_source6", "6", Base::kNetwork, 8, 16};
const Claim kTarget6{"wide_target6", "6", Base::kTransport, 8, 16};

// `then` where the address is one that the port may use.
void allowed_source(Rules& rules, const Claim& claim, const Expr& then) {
  rules.rule({meta(NFT_META_IIFNAME, 0), payload(claim.base, claim.offset, claim.length, 4), in_set("src" + claim.digit, 0), then});
  rules.rule({meta(NFT_META_IIFNAME, 0), in_set("wide_ports", 0), jump(claim.name)});
}

// The chain that allowed_source() jumps to: a rule for each length that prefixes are cut into (prefix_lengths).
void wide_chain(Rules& rules, const Claim& claim, const Expr& then) {
  rules.chain(claim.name);
  for (std::uint8_t length : prefix_lengths(claim.digit == "4" ? Family::kV4 : Family::kV6)) {
    Family family = claim.digit == "4" ? Family::kV4 : Family::kV6;
    IpAddress none, all;
    none.family = all.family = family;
    all.bytes.fill(0xff);
    std::string mask = bytes_of(Prefix{all, length}.first()), ended = bytes_of(wide_key({none, length}));
    rules.rule({meta(NFT_META_IIFNAME, 0), payload(claim.base, claim.offset, claim.length, 4), masked(4, mask, ended),
                in_set("wide" + claim.digit, 0), then});
  }
}

// The drops of one port: kind by kind.
void port_drops(Rules& rules, Table table) {
  for (auto kind : port_kinds(table)) {
    rules.chain(drop_set(kind));
    rules.rule({meta(NFT_META_IIFNAME, 0), in_set(drop_set(kind), 0), drop()});
    rules.rule({drop()});
  }
}

void arp_guard(Rules& rules) {
  rules.chain("guard_arp");
  // Ethernet and IPv4 only: hardware type, protocol, lengths.
  rules.rule(guarded(kGuardArp) + Exprs{payload(Base::kNetwork, 0, 6, 4), unequal(4, std::string("\0\1\10\0\6\4", 6)), go_to("drop_arp")});
  rules.rule(guarded(kGuardArp) + Exprs{payload(Base::kNetwork, 8, 6, 4), not_in_set("macs", 0), go_to("drop_arp")});
  rules.rule({payload(Base::kNetwork, 14, 4, 0), equal(0, std::string(4, '\0')), go_to("arp_probe")});
  allowed_source(rules, kArpSender, accept());
  rules.rule(guarded(kGuardArp) + Exprs{go_to("drop_arp")});
  wide_chain(rules, kArpSender, accept());
  // Without a sender it claims nothing, but whoever is about to take the address gives way to it (RFC 5227).
  rules.chain("arp_probe");
  allowed_source(rules, kArpTarget, accept());
  rules.rule(guarded(kGuardArp) + Exprs{go_to("drop_arp")});
  wide_chain(rules, kArpTarget, accept());
}

void ipv4_guard(Rules& rules) {
  rules.chain("guard4");
  // A DHCP client that has no address yet.
  rules.rule(Exprs{payload(Base::kNetwork, 12, 4, 0), equal(0, std::string(4, '\0'))} + is_protocol(IPPROTO_UDP) +
             Exprs{payload(Base::kTransport, 0, 4, 0), equal(0, big16(68) + big16(67)), go_to("count_out4")});
  allowed_source(rules, kSource4, go_to("passed4"));
  rules.rule(guarded(kGuardIp) + Exprs{go_to("drop_ipv4")});
  rules.rule({go_to("passed4")});
  wide_chain(rules, kSource4, go_to("passed4"));
  rules.chain("passed4");
  // A client takes an answer from any port of the server.
  for (auto [offset, port] : {std::pair{0u, 67}, {2u, 68}})
    rules.rule(is_protocol(IPPROTO_UDP) + Exprs{payload(Base::kTransport, offset, 2, 0), equal(0, big16(static_cast<std::uint16_t>(port)))} +
               guarded(kGuardRouter) + Exprs{go_to("drop_dhcp")});
  rules.rule(is_protocol(IPPROTO_ICMP) + Exprs{payload(Base::kTransport, 0, 1, 0), equal(0, byte(5))} + guarded(kGuardRouter) +
             Exprs{go_to("drop_router")});
  // Who asks for multicast groups, or advertises that it routes them (RFC 4286), gets the bridge's multicast.
  for (int type : {0x11, 0x30})
    rules.rule(is_protocol(IPPROTO_IGMP) + Exprs{payload(Base::kTransport, 0, 1, 0), equal(0, byte(type))} + guarded(kGuardRouter) +
               Exprs{go_to("drop_router")});
  rules.rule({go_to("count_out4")});
}

// The link-layer addresses that a neighbour is told (RFC 4861, 4.6.1) are the port's own: else what is sent to it would go to, and be
// counted for, another. At most two options of 8 bytes, the first at `first`: no kernel sends more, and none hides behind another.
void neighbour_options(Rules& rules, unsigned first) {
  rules.chain(fmt::format("options{}", first));
  auto refuse = [&](Exprs when) { rules.rule(guarded(kGuardArp) + when + Exprs{go_to("drop_neighbour")}); };
  for (unsigned option : {first, first + 8})
    for (int type : {ND_OPT_SOURCE_LINKADDR, ND_OPT_TARGET_LINKADDR})
      refuse({payload(Base::kTransport, option, 1, 4), equal(4, byte(type)), payload(Base::kTransport, option + 2, 6, 4), not_in_set("macs", 0)});
  refuse({payload(Base::kTransport, first + 1, 1, 4), unequal(4, byte(1))});
  refuse(has_transport(first + 17));
  rules.rule({go_to("count_out6")});
}

void ipv6_guard(Rules& rules) {
  rules.chain("guard6");
  rules.rule(Exprs{payload(Base::kNetwork, 8, 16, 0), equal(0, std::string(16, '\0'))} + is_protocol(IPPROTO_ICMPV6) +
             Exprs{go_to("unspecified6")});
  allowed_source(rules, kSource6, go_to("passed6"));
  rules.rule(guarded(kGuardIp) + Exprs{go_to("drop_ipv6")});
  rules.rule({go_to("passed6")});
  wide_chain(rules, kSource6, go_to("passed6"));
  rules.chain("unspecified6");
  // Duplicate address detection and what goes with it: solicitations (RFC 4862), multicast reports (RFC 3590).
  // A solicitation for an address of another would keep that one from taking it.
  rules.rule(is_icmp6(ND_NEIGHBOR_SOLICIT) + Exprs{go_to("neighbour")});
  rules.rule(is_icmp6(ND_ROUTER_SOLICIT) + Exprs{go_to("options8")});
  for (int type : {MLD_LISTENER_REPORT, kMldReport2}) rules.rule(is_icmp6(type) + Exprs{go_to("count_out6")});
  rules.rule(guarded(kGuardIp) + Exprs{go_to("drop_ipv6")});
  rules.rule({go_to("passed6")});
  rules.chain("passed6");
  // What follows of a packet in pieces is nothing without the first piece.
  rules.rule({nft::fragment_offset(0), masked(0, std::string("\xff\xf8", 2)), unequal(0, std::string(2, '\0')), go_to("count_out6")});
  rules.rule(is_protocol(IPPROTO_ICMPV6) + Exprs{go_to("guard_icmp6")});
  for (auto [offset, port] : {std::pair{0u, 547}, {2u, 546}})
    rules.rule(is_protocol(IPPROTO_UDP) + Exprs{payload(Base::kTransport, offset, 2, 0), equal(0, big16(static_cast<std::uint16_t>(port)))} +
               guarded(kGuardRouter) + Exprs{go_to("drop_dhcp")});
  // A first piece without its transport header, and a chain of headers that does not end: what is in it cannot be told (RFC 7112).
  rules.rule(is_protocol(IPPROTO_UDP) + has_transport(4) + Exprs{go_to("count_out6")});
  rules.rule({meta(NFT_META_L4PROTO, 15), unequal(15, byte(IPPROTO_UDP)), go_to("count_out6")});
  rules.rule(guarded(kGuardRouter) + Exprs{go_to("drop_router")});
  rules.rule({go_to("count_out6")});
  rules.chain("neighbour");
  allowed_source(rules, kTarget6, go_to("options24"));
  rules.rule(guarded(kGuardArp) + Exprs{go_to("drop_neighbour")});
  rules.rule({go_to("options24")});
  wide_chain(rules, kTarget6, go_to("options24"));
  for (unsigned first : {8u, 24u}) neighbour_options(rules, first);
  rules.chain("guard_icmp6");
  for (int type : {ND_ROUTER_ADVERT, ND_REDIRECT, MLD_LISTENER_QUERY, kMulticastRouter})
    rules.rule(is_icmp6(type) + guarded(kGuardRouter) + Exprs{go_to("drop_router")});
  rules.rule(is_icmp6(ND_NEIGHBOR_ADVERT) + Exprs{go_to("neighbour")});
  rules.rule(is_icmp6(ND_NEIGHBOR_SOLICIT) + Exprs{go_to("options24")});
  rules.rule(is_icmp6(ND_ROUTER_SOLICIT) + Exprs{go_to("options8")});
  rules.rule(has_transport(1) + Exprs{go_to("count_out6")});
  rules.rule(guarded(kGuardRouter) + Exprs{go_to("drop_router")});
  rules.rule({go_to("count_out6")});
}

// Counts under the class of the other side's address; what no element is there for (a class that is just being introduced) as class 1.
void count_chain(Rules& rules, const Ip& ip, bool in) {
  std::string set = (in ? "in" : "out") + ip.digit;
  auto count = [&](std::uint32_t number) {
    rules.rule({meta(in ? NFT_META_OIFNAME : NFT_META_IIFNAME, 0), in_set(class_name(set, number), 0), accept()});
  };
  rules.chain("count_" + set);
  rules.rule({payload(Base::kNetwork, in ? ip.source : ip.destination, ip.length, 0), verdict_map("class_" + set, 0)});
  for (std::uint32_t number = 0; number < net::kTrafficClasses; ++number) {
    rules.chain(class_name(set, number));
    count(number);
    if (number != 1) count(1);
  }
}

void guard_chains(Rules& rules, Layout& layout, std::uint32_t prerouting, std::uint32_t postrouting) {
  bool bridge = layout.table == Table::kBridge;
  rules.base("from_ports", "filter", prerouting, kFirst);
  rules.rule(known_port(NFT_META_IIFNAME) + Exprs{go_to("guard")});
  rules.base("to_ports", "filter", postrouting, kLast);
  Exprs to_port = known_port(NFT_META_OIFNAME);
  auto ether = [&](std::uint16_t type) { return Exprs{payload(Base::kLink, 12, 2, 15), equal(15, big16(type))}; };
  auto carries = [&](const Ip& ip) { return bridge ? ether(ip.ether) : is_family(ip); };
  // Reports of IGMPv3 and MLDv2, which a bridge takes to all its ports: they are for routers alone (RFC 4541, section 2.1.1).
  if (bridge)
    for (const char* routers : {"\x01\x00\x5e\x00\x00\x16", "\x33\x33\x00\x00\x00\x16"})
      rules.rule(Exprs{payload(Base::kLink, 0, 6, 0), equal(0, std::string(routers, 6))} + guarded(kGuardRouter, NFT_META_OIFNAME) +
                 Exprs{drop()});
  rules.rule(to_port + carries(kV4) + Exprs{go_to("count_in4")});
  rules.rule(to_port + carries(kV6) + Exprs{go_to("count_in6")});

  rules.chain("guard");
  rules.rule(guarded(kGuardMac) + Exprs{payload(Base::kLink, 6, 6, 4), not_in_set("macs", 0), go_to("drop_mac")});
  if (bridge) rules.rule(ether(ETH_P_ARP) + Exprs{go_to("guard_arp")});
  rules.rule(carries(kV4) + Exprs{go_to("guard4")});
  rules.rule(carries(kV6) + Exprs{go_to("guard6")});
  if (bridge) rules.rule(guarded(kGuardIp) + Exprs{go_to("drop_protocol")});
  if (bridge) arp_guard(rules);
  ipv4_guard(rules);
  ipv6_guard(rules);
  for (const auto* ip : {&kV4, &kV6})
    for (bool in : {false, true}) count_chain(rules, *ip, in);
  port_drops(rules, layout.table);
}

// For both families: what `then` does with the address and each of the sets of this name. Single addresses win over prefixes:
// they come last where the last word counts, and first where the first one does.
template <class Then>
void by_address(Rules& rules, bool source, const std::string& set, bool last_counts, Then&& then) {
  for (const char* kind : {last_counts ? "_wide" : "", last_counts ? "" : "_wide"})
    for (const auto* ip : {&kV4, &kV6})
      rules.rule(is_family(*ip) + Exprs{payload(Base::kNetwork, source ? ip->source : ip->destination, ip->length, 0)} +
                 then(set + kind + ip->digit));
}

// Whose packet it is, as a number that stands in the packet's priority until clear_owner(): registers end with a rule, and the
// marks belong to other tools. The kernel has not given it a priority of its own yet (outgoing), or it is the first packet of a
// connection that goes without one (incoming).
void find_owner(Rules& rules, bool source) {
  rules.chain(source ? "owner_out" : "owner_in");
  rules.rule({load(0, native32(0)), set_meta(NFT_META_PRIORITY, 0)});
  by_address(rules, source, "owner", true, [](const std::string& set) { return Exprs{map(set, 0, 0), set_meta(NFT_META_PRIORITY, 0)}; });
}
Exprs owner_is_in(const std::string& set) { return {meta(NFT_META_PRIORITY, 0), in_set(set, 0)}; }
Exprs clear_owner() { return {load(0, native32(0)), set_meta(NFT_META_PRIORITY, 0)}; }

Exprs unconfirmed() { return {conntrack(NFT_CT_STATUS, 0), masked(0, native32(kConfirmed)), equal(0, native32(0))}; }

void new_connections(Rules& rules, bool source) {
  rules.chain(source ? "new_out" : "new_in");
  rules.rule({jump(source ? "owner_out" : "owner_in")});
  rules.rule(owner_is_in("rate") + Exprs{go_to(drop_set(DropKind::kConnectionRate))});
  rules.rule({jump(std::string(kCapChain))});
  rules.rule(clear_owner());
}

void smtp_chain(Rules& rules) {
  rules.chain("smtp");
  // Own networks are not "outside".
  for (const auto* ip : {&kV4, &kV6})
    rules.rule(is_family(*ip) + Exprs{payload(Base::kNetwork, ip->destination, ip->length, 0), in_set("own" + ip->digit, 0), give_back()});
  rules.rule({jump("owner_out")});
  rules.rule(owner_is_in("smtp_deny") + Exprs{go_to(drop_set(DropKind::kSmtp))});
  rules.rule(unconfirmed() + owner_is_in("smtp_limit") + Exprs{go_to(drop_set(DropKind::kSmtp))});
  rules.rule(clear_owner());
}

void connection_chains(Rules& rules) {
  rules.base("outgoing", "filter", NF_INET_PRE_ROUTING, kBehindTracking);
  rules.rule(unconfirmed() + Exprs{jump("new_out")});
  // Mail: between servers, and from clients with and without TLS from the start.
  for (int port : {25, 587, 465})
    rules.rule(is_protocol(IPPROTO_TCP) + Exprs{payload(Base::kTransport, 2, 2, 0), equal(0, big16(static_cast<std::uint16_t>(port))), jump("smtp")});
  auto dispatch = [](const std::string& set) { return Exprs{verdict_map(set, 0)}; };
  by_address(rules, true, "firewall_out", false, dispatch);
  for (auto [name, hook] : {std::pair{"forwarded", NF_INET_FORWARD}, std::pair{"local_out", NF_INET_LOCAL_OUT}}) {
    rules.base(name, "filter", static_cast<std::uint32_t>(hook), kFilter);
    rules.rule({go_to("incoming")});
  }
  rules.chain("incoming");
  rules.rule(unconfirmed() + Exprs{jump("new_in")});
  by_address(rules, false, "firewall_in", false, dispatch);
  for (bool source : {true, false}) {
    find_owner(rules, source);
    new_connections(rules, source);
  }
  rules.chain(std::string(kCapChain));  // its rules: cap_rule()
  smtp_chain(rules);
  for (auto kind : kOwnerKinds) {
    rules.chain(drop_set(kind));
    rules.rule(owner_is_in(drop_set(kind)) + Exprs{drop()});
    rules.rule({drop()});
  }
}

void nat_chains(Rules& rules) {
  rules.base("forwards_from_outside", "nat", NF_INET_PRE_ROUTING, kDestinationNat);
  rules.rule({go_to("forwards")});
  rules.base("forwards_from_host", "nat", NF_INET_LOCAL_OUT, kDestinationNat);
  rules.rule({go_to("forwards")});
  rules.base("leaving", "nat", NF_INET_POST_ROUTING, kSourceNat);
  for (const auto* ip : {&kV4, &kV6}) {
    Expr source = payload(Base::kNetwork, ip->source, ip->length, 0), destination = payload(Base::kNetwork, ip->destination, ip->length, 0);
    // To a VPS, wherever it is: not masqueraded, but for the hairpin. That is a forward used from inside; the answer has to come
    // back this way, or it would come from an address that nobody asked.
    for (const char* owner : {"owner", "owner_wide"}) {
      Exprs to_vps{destination, map(owner + ip->digit, 0, 0), unequal(0, native32(0))};
      rules.rule(is_family(*ip) + Exprs{conntrack(NFT_CT_STATUS, 0), masked(0, native32(kDestinationTranslated)), unequal(0, native32(0)), source,
                                        in_set("bridged" + ip->digit, 0)} + to_vps + Exprs{nft::masquerade()});
      rules.rule(is_family(*ip) + to_vps + Exprs{accept()});
    }
    rules.rule(is_family(*ip) + Exprs{source, in_set("nat" + ip->digit, 0), destination, not_in_set("bridged" + ip->digit, 0), nft::masquerade()});
  }
  rules.chain("forwards");
  for (const auto* ip : {&kV4, &kV6}) {
    unsigned words = ip->length / 4;
    Expr protocol = meta(NFT_META_L4PROTO, 0);
    unsigned to = 8;  // address and port of the guest
    rules.rule(is_family(*ip) + Exprs{protocol, payload(Base::kNetwork, ip->destination, ip->length, 1),
                                      payload(Base::kTransport, 2, 2, 1 + words), map("forward" + ip->digit, 0, to),
                                      dnat(ip->protocol, to, to + words)});
    // Any address of the host but loopback's: an answer to those would never get out of the guest's network.
    Exprs local = ip == &kV4 ? Exprs{payload(Base::kNetwork, ip->destination, 1, 0), unequal(0, byte(127))}
                             : Exprs{payload(Base::kNetwork, ip->destination, 16, 0), unequal(0, std::string(15, '\0') + byte(1))};
    rules.rule(is_family(*ip) + local + Exprs{local_destination(0), equal(0, native32(RTN_LOCAL)), protocol,
                                              payload(Base::kTransport, 2, 2, 1), map("forward_any" + ip->digit, 0, to),
                                              dnat(ip->protocol, to, to + words)});
  }
}

// A port whose VPS is reached by a forward sends frames back to where they came from (hairpin mode, set_reflection): those that are for
// this VPS alone. What a bridge takes to everybody would else come back as if another had sent it, a probe for a duplicate address too.
// Before br_netfilter (-1): where that has had a packet, Linux 6.1 goes on behind priority 0.
void reflection_chain(Rules& rules) {
  rules.base("reflected", "filter", NF_BR_FORWARD, kFirst);
  rules.rule({meta(NFT_META_IIFNAME, 0), meta(NFT_META_OIFNAME, 4), in_set("to_itself", 0), payload(Base::kLink, 0, 6, 4), not_in_set("macs", 0), drop()});
}

std::vector<Layout> make_layouts() {
  Layout bridge{Table::kBridge, {}, {}, {}}, inet{Table::kInet, {}, {}, {}}, arp{Table::kArp, {}, {}, {}};
  Rules bridge_rules(bridge), inet_rules(inet), arp_rules(arp);
  guard_sets(bridge, true);
  bridge.sets.push_back(plain("to_itself", both(kLinkType, kLinkType), 32));
  class_sets(bridge);
  guard_chains(bridge_rules, bridge, NF_BR_PRE_ROUTING, NF_BR_POST_ROUTING);
  reflection_chain(bridge_rules);

  guard_sets(inet, true);
  inet_sets(inet);
  class_sets(inet);
  guard_chains(inet_rules, inet, NF_INET_PRE_ROUTING, NF_INET_POST_ROUTING);
  connection_chains(inet_rules);
  nat_chains(inet_rules);

  guard_sets(arp, false);
  arp_rules.base("from_ports", "filter", NF_ARP_IN, kFilter);
  arp_rules.rule(known_port(NFT_META_IIFNAME) + Exprs{go_to("guard")});
  arp_rules.chain("guard");
  arp_rules.rule(guarded(kGuardMac) + Exprs{payload(Base::kLink, 6, 6, 4), not_in_set("macs", 0), go_to("drop_mac")});
  arp_rules.rule({go_to("guard_arp")});
  arp_guard(arp_rules);
  port_drops(arp_rules, Table::kArp);
  return {bridge, inet, arp};
}

}  // namespace

nft::Rule cap_rule(std::uint32_t count) {
  Rule rule{std::string(kCapChain), {}, fmt::format("cap {}", count)};
  std::uint32_t parts = cap_parts(count);
  // Linux takes every other port for the connections that it makes itself, so the lowest bit tells nothing.
  std::string bits = big16(static_cast<std::uint16_t>((parts - 1) << 1));
  rule.exprs = {meta(NFT_META_PRIORITY, 0), map("caps", 0, 0), equal(0, native32(count)), meta(NFT_META_PRIORITY, 0), nft::original_source_port(1),
                masked(1, bits), remember(kConnectionSet, 0, connection_limit(count / parts)), go_to(drop_set(DropKind::kConnections))};
  return rule;
}

std::uint32_t cap_parts(std::uint32_t count) {
  constexpr std::uint32_t kLeastOfAPart = 128, kMostParts = 4096;
  return std::bit_floor(std::clamp(count / kLeastOfAPart, 1u, kMostParts));
}

std::string class_name(std::string_view way, std::uint32_t number) { return fmt::format("{}_class{}", way, number); }
std::string drop_set(DropKind kind) { return "drop_" + std::string(drop_kind_name(kind)); }

const std::vector<DropKind>& port_kinds(Table table) {
  using enum DropKind;
  static const std::vector<DropKind> kBridge{kMac, kIpv4, kIpv6, kArp, kNeighbour, kRouter, kDhcp, kProtocol};
  static const std::vector<DropKind> kInet{kMac, kIpv4, kIpv6, kNeighbour, kRouter, kDhcp};
  static const std::vector<DropKind> kOnlyArp{kMac, kArp};
  return table == Table::kBridge ? kBridge : table == Table::kInet ? kInet : kOnlyArp;
}

std::string bytes_of(const IpAddress& address) {
  auto data = address.data();
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}

IpAddress wide_key(const Prefix& prefix) {
  IpAddress key = prefix.first();
  if (!prefix.single()) key.bytes[prefix.length / 8] = static_cast<std::uint8_t>(key.bytes[prefix.length / 8] | 0x80u >> prefix.length % 8);
  return key;
}

std::vector<std::uint8_t> prefix_lengths(Family family) {
  // The usual ones first: who has a prefix finds it soon.
  std::vector<std::uint8_t> lengths;
  if (family == Family::kV6) lengths = {64, 56, 48};
  for (int length = address_bits(family) - 4; length >= 0; length -= 4)
    if (std::ranges::find(lengths, length) == lengths.end()) lengths.push_back(static_cast<std::uint8_t>(length));
  return lengths;
}

std::uint8_t family_of(Table table) {
  return table == Table::kBridge ? NFPROTO_BRIDGE : table == Table::kInet ? NFPROTO_INET : NFPROTO_ARP;
}

std::string_view table_word(Table table) { return table == Table::kBridge ? "bridge" : table == Table::kInet ? "inet" : "arp"; }

const std::vector<Layout>& layouts() {
  static const std::vector<Layout> kLayouts = make_layouts();
  return kLayouts;
}

const Layout& layout(Table table) { return layouts()[static_cast<std::size_t>(table)]; }

const nft::Set* find_set(Table table, std::string_view name) {
  const auto& sets = layout(table).sets;
  auto found = std::ranges::find(sets, name, &nft::Set::name);
  return found == sets.end() ? nullptr : &*found;
}

}  // namespace vps::netns::filter
