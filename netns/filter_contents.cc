#include "netns/filter_contents.h"

#include <netinet/in.h>

#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "netns/filter.h"

namespace vps::netns::filter {
namespace {

using namespace nft;

std::string padded(std::string key, std::size_t length) {
  key.resize(length, '\0');
  return key;
}

std::string digit(Family family) { return family == Family::kV4 ? "4" : "6"; }

bool is_link_local(const Prefix& prefix) {
  return prefix.family() == Family::kV6 && prefix.address.bytes[0] == 0xfe && (prefix.address.bytes[1] & 0xc0) == 0x80;
}

Table guard_table(net::Mode mode) { return mode == net::Mode::kBridge ? Table::kBridge : Table::kInet; }

class Builder {
 public:
  Builder(Contents& contents, std::string user_data) : contents_(contents), user_data_(std::move(user_data)) {}

  Element& put(Table table, const std::string& set, std::string key, std::string data = {}) {
    auto& element = contents_[{table, set}][{key, true}];
    element.key = std::move(key);
    element.data = std::move(data);
    element.user_data = user_data_;
    return element;
  }
  Element& interval(Table table, const std::string& set, const IpAddress& first, const IpAddress& last, std::string data = {}) {
    Element& begin = put(table, set, bytes_of(first), std::move(data));
    IpAddress behind = last;
    if (!advance(behind)) return begin;
    auto& end = contents_[{table, set}][{bytes_of(behind), false}];
    end.key = bytes_of(behind);
    end.end = true;  // the kernel takes no user data with it
    return begin;
  }

 private:
  Contents& contents_;
  std::string user_data_;
};

// The pieces of one length that the rules look up, or single addresses.
std::vector<Prefix> cut_prefix(const Prefix& prefix) {
  auto length = static_cast<std::uint8_t>((prefix.length + 3) / 4 * 4);
  Prefix piece{prefix.first(), length};
  std::vector<Prefix> pieces;
  for (IpAddress at = piece.address; prefix.contains(at);) {
    pieces.push_back({at, length});
    at = pieces.back().last();
    if (!advance(at)) break;
  }
  return pieces;
}

// The sources that a port may use, in one table.
void source_elements(Builder& builder, Table table, const net::PortPlan& port) {
  std::string link = link_key(port.host_link);
  for (const auto& prefix : port.allowed) {
    if (table == Table::kArp && prefix.family() != Family::kV4) continue;
    if (prefix.single()) {
      builder.put(table, "src" + digit(prefix.family()), link + bytes_of(prefix.address));
      continue;
    }
    builder.put(table, "wide_ports", link);
    for (const auto& piece : cut_prefix(prefix)) {
      if (piece.single()) builder.put(table, "src" + digit(prefix.family()), link + bytes_of(piece.address));
      else builder.put(table, "wide" + digit(prefix.family()), link + bytes_of(wide_key(piece)));
    }
  }
}

void port_elements(Contents& contents, const std::string& id, const net::PortPlan& port, std::uint16_t classes, std::uint64_t epoch) {
  Builder builder(contents, element_data(id));
  Builder counters(contents, element_data(id, epoch));
  Table table = guard_table(port.mode);
  std::string link = link_key(port.host_link);
  std::uint32_t flags = (port.guard.mac ? kGuardMac : 0) | (port.guard.ip ? kGuardIp : 0) | (port.guard.arp ? kGuardArp : 0) |
                        (port.guard.router ? kGuardRouter : 0) | kKnownPort;
  std::string mac = padded({reinterpret_cast<const char*>(port.mac.bytes.data()), port.mac.bytes.size()}, 8);
  auto guards = [&](Table where) {
    builder.put(where, "ports", link, native32(flags));
    builder.put(where, "macs", link + mac);
    source_elements(builder, where, port);
    for (auto kind : port_kinds(where)) counters.put(where, drop_set(kind), link);
  };
  guards(table);
  if (table == Table::kBridge) builder.put(table, "to_itself", link + link);
  if (table == Table::kInet) guards(Table::kArp);
  port_counters(contents, table, port.host_link, id, classes, epoch);
}

// The caps of a VPS are the strictest of its ports.
struct Caps {
  std::uint32_t connections = 0, rate = 0, smtp = 0;
  net::SmtpPolicy policy = net::SmtpPolicy::kAllow;

  void take(const net::GuardPlan& guard) {
    auto stricter = [](std::uint32_t& cap, std::uint32_t other) {
      if (other != 0 && (cap == 0 || other < cap)) cap = other;
    };
    stricter(connections, guard.connections);
    stricter(rate, guard.connections_per_second);
    if (guard.smtp == net::SmtpPolicy::kLimit) stricter(smtp, guard.smtp_per_minute);
    policy = std::max(policy, guard.smtp);
  }
};

// An element of the sets of this name for every address and prefix of the VPS.
template <class Fill>
void by_address(Builder& builder, const net::VpsPlan& plan, const std::string& set, Fill&& fill) {
  for (const auto& port : plan.ports) {
    if (!covered(port.mode)) continue;
    for (const auto& prefix : port.allowed) {
      if (is_link_local(prefix)) continue;  // not unique, and never forwarded
      if (prefix.single()) fill(builder.put(Table::kInet, set + digit(prefix.family()), bytes_of(prefix.address)));
      else fill(builder.interval(Table::kInet, set + "_wide" + digit(prefix.family()), prefix.first(), prefix.last()));
    }
  }
}

void owner_elements(Contents& contents, const net::VpsPlan& plan, std::uint64_t epoch) {
  Builder builder(contents, element_data(plan.id));
  std::string owner = owner_key(plan.id);
  Caps caps;
  for (const auto& port : plan.ports)
    if (covered(port.mode)) caps.take(port.guard);
  by_address(builder, plan, "owner", [&](Element& element) { element.data = owner; });
  if (caps.connections != 0) builder.put(Table::kInet, "caps", owner, native32(caps.connections));
  if (caps.rate != 0) builder.put(Table::kInet, "rate", owner).expr = limit(caps.rate, 1, caps.rate, true);
  if (caps.policy == net::SmtpPolicy::kDeny || (caps.policy == net::SmtpPolicy::kLimit && caps.smtp == 0))
    builder.put(Table::kInet, "smtp_deny", owner);
  else if (caps.policy == net::SmtpPolicy::kLimit)
    builder.put(Table::kInet, "smtp_limit", owner).expr = limit(caps.smtp, 60, caps.smtp, true);
  Builder counters(contents, element_data(plan.id, epoch));
  for (auto kind : kOwnerKinds) counters.put(Table::kInet, drop_set(kind), owner);
}

void forward_elements(Builder& builder, const net::PortForward& forward) {
  std::string family = digit(forward.guest.family);
  std::string guest = bytes_of(forward.guest) + padded(big16(forward.guest_port), 4), port = padded(big16(forward.port), 4);
  auto put = [&](int protocol) {
    std::string key = padded(std::string(1, static_cast<char>(protocol)), 4);
    if (forward.listen) builder.put(Table::kInet, "forward" + family, key + bytes_of(*forward.listen) + port, guest);
    else builder.put(Table::kInet, "forward_any" + family, key + port, guest);
  };
  if (forward.listen && forward.listen->family != forward.guest.family) return;  // refused by check_plan
  if (forward.protocol == net::Protocol::kTcp || forward.protocol == net::Protocol::kAny) put(IPPROTO_TCP);
  if (forward.protocol == net::Protocol::kUdp || forward.protocol == net::Protocol::kAny) put(IPPROTO_UDP);
}

bool same_limit(const Element& a, const Element& b) {
  auto text = [](const Element& element) { return element.expr && element.expr->name != "counter" ? element.expr->text : std::string(); };
  return text(a) == text(b);
}

}  // namespace

std::string element_data(std::string_view id, std::uint64_t epoch) {
  return std::string(reinterpret_cast<const char*>(&epoch), sizeof epoch).append(id);
}

ElementOwner parse_element_data(std::string_view user_data) {
  ElementOwner owner;
  if (user_data.size() <= sizeof owner.epoch) return owner;
  std::memcpy(&owner.epoch, user_data.data(), sizeof owner.epoch);
  owner.id = user_data.substr(sizeof owner.epoch);
  return owner;
}

std::string owner_key(std::string_view id) {
  std::uint32_t hash = 0x811c9dc5u;  // FNV-1a
  for (char byte : id) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x01000193u;
  return native32(hash == 0 ? 1 : hash);  // 0 is nobody
}

std::set<std::uint32_t> caps_of(const Contents& contents) {
  std::set<std::uint32_t> caps;
  auto found = contents.find({Table::kInet, "caps"});
  if (found == contents.end()) return caps;
  for (const auto& [key, element] : found->second) {
    std::uint32_t count = 0;
    std::memcpy(&count, element.data.data(), std::min(element.data.size(), sizeof count));
    caps.insert(count);
  }
  return caps;
}

bool has_covered_port(const net::VpsPlan& plan) {
  return std::ranges::any_of(plan.ports, [](const auto& port) { return covered(port.mode); });
}

void port_counters(Contents& contents, Table table, const std::string& link, const std::string& id, std::uint16_t classes, std::uint64_t epoch) {
  Builder builder(contents, element_data(id, epoch));
  for (const char* set : {"in4", "in6", "out4", "out6"})
    for (std::uint32_t number = 0; number < net::kTrafficClasses; ++number)
      if ((classes >> number & 1) != 0) builder.put(table, class_name(set, number), link_key(link));
}

Contents vps_contents(const net::VpsPlan& plan, std::uint16_t classes, std::uint64_t epoch) {
  Contents contents;
  if (!has_covered_port(plan)) return contents;
  for (const auto& port : plan.ports)
    if (covered(port.mode)) port_elements(contents, plan.id, port, classes, epoch);
  owner_elements(contents, plan, epoch);
  Builder builder(contents, element_data(plan.id));
  for (const auto& forward : plan.firewall.forwards) forward_elements(builder, forward);
  for (auto direction : {net::Direction::kIn, net::Direction::kOut})
    if (has_rules(plan, direction))
      by_address(builder, plan, direction == net::Direction::kIn ? "firewall_in" : "firewall_out",
                 [&](Element& element) { element.chain = firewall_chain_name(direction, plan.id); });
  return contents;
}

std::uint16_t classes_used(std::span<const net::TrafficClass> classes) {
  std::uint16_t used = 3;  // own networks, and what nothing matches
  for (const auto& each : classes) used = static_cast<std::uint16_t>(used | 1u << (each.number % net::kTrafficClasses));
  return used;
}

Contents common_contents(std::span<const net::NetworkPlan> networks, std::span<const net::TrafficClass> classes) {
  Contents contents;
  Builder builder(contents, {});
  std::vector<Prefix> own, nat, bridged;
  for (const auto& network : networks)
    for (const auto& subnet : network.subnets) {
      own.push_back(subnet.network());
      if (network.nat) nat.push_back(subnet.network());
      // Of a routed network only the VPSes are ours for certain: its subnet may be that of the uplink.
      if (network.mode == net::Mode::kBridge) bridged.push_back(subnet.network());
    }
  for (auto family : {Family::kV4, Family::kV6}) {
    for (const auto& each : merge_prefixes(own, family)) builder.interval(Table::kInet, "own" + digit(family), each.first, each.last);
    for (const auto& each : merge_prefixes(bridged, family)) builder.interval(Table::kInet, "bridged" + digit(family), each.first, each.last);
    for (const auto& each : merge_prefixes(nat, family)) builder.interval(Table::kInet, "nat" + digit(family), each.first, each.last);
    for (const auto& each : flatten_classes(classes, own, family))
      for (auto table : {Table::kBridge, Table::kInet})
        for (std::string set : {"in", "out"}) {
          set += digit(family);
          builder.interval(table, "class_" + set, each.first, each.last).chain = class_name(set, each.number);
        }
  }
  // Names the classes that counters are kept for: whoever adds a VPS reads it.
  for (std::uint32_t number = 0; number < net::kTrafficClasses; ++number)
    if ((classes_used(classes) >> number & 1) != 0) builder.put(Table::kInet, "classes", native32(number));
  return contents;
}

Elements::const_iterator end_of(const Elements& elements, Elements::const_iterator begin) {
  auto end = std::next(begin);
  return !begin->second.end && end != elements.end() && end->second.end ? end : elements.end();
}

namespace {

// Whether `right` has the element at `at`, and the same end with it.
bool is_in(const Elements& left, Elements::const_iterator at, const Elements& right) {
  if (at->second.end) return false;  // one that has no beginning
  auto found = right.find(at->first);
  if (found == right.end() || !(found->second == at->second) || !same_limit(found->second, at->second)) return false;
  auto end = end_of(left, at), other = end_of(right, found);
  if (end == left.end() || other == right.end()) return end == left.end() && other == right.end();
  return end->first == other->first;
}

// The two ends of an interval go and come together: the kernel refuses a beginning that stays and gets another end.
void compare(const SetKey& set, const Elements& left, const Elements& right, Contents& only) {
  for (auto at = left.begin(); at != left.end(); ++at) {
    auto end = end_of(left, at);
    if (!is_in(left, at, right)) {
      only[set].insert(*at);
      if (end != left.end()) only[set].insert(*end);
    }
    if (end != left.end()) at = end;
  }
}

}  // namespace

Difference difference(const Contents& before, const Contents& after) {
  Difference result;
  auto of = [](const Contents& contents, const SetKey& set) {
    auto found = contents.find(set);
    static const Elements kNone;
    return std::cref(found == contents.end() ? kNone : found->second);
  };
  for (const auto& [set, elements] : before) compare(set, elements, of(after, set), result.gone);
  for (const auto& [set, elements] : after) compare(set, elements, of(before, set), result.fresh);
  return result;
}

void merge(Contents& into, const Contents& more) {
  for (const auto& [set, elements] : more) into[set].insert(elements.begin(), elements.end());
}

}  // namespace vps::netns::filter
