// The chains of a VPS's own firewall.
#include <netinet/icmp6.h>
#include <netinet/in.h>

#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <charconv>
#include <functional>

#include "netns/filter_contents.h"

namespace vps::netns::filter {
namespace {

using namespace nft;

constexpr std::uint32_t kEstablishedOrRelated = (1u << 1) | (1u << 2);  // NF_CT_STATE_BIT of IP_CT_ESTABLISHED, IP_CT_RELATED
constexpr std::uint32_t kLogLevel = 6;                                  // info
constexpr std::uint32_t kLogsPerSecond = 10;                            // of one rule: a flood fills no log

std::string byte(int value) { return std::string(1, static_cast<char>(value)); }

void append(Exprs& to, const Exprs& more) { to.insert(to.end(), more.begin(), more.end()); }

class ChainBuilder {
 public:
  ChainBuilder(const net::VpsPlan& plan, net::Direction direction, std::span<const RuleStart> counters, std::uint32_t& set_id)
      : plan_(plan), direction_(direction), counters_(counters), set_id_(set_id) {
    chain_.name = firewall_chain_name(direction, plan.id);
  }

  FirewallChain build(net::Verdict policy) {
    plain({conntrack(NFT_CT_STATE, 0), masked(0, native32(kEstablishedOrRelated)), unequal(0, native32(0)), accept()});
    // Neighbours find each other whatever the rules say; connection tracking takes no part in it.
    for (int type : {ND_NEIGHBOR_SOLICIT, ND_NEIGHBOR_ADVERT})
      plain({meta(NFT_META_L4PROTO, 0), equal(0, byte(IPPROTO_ICMPV6)), payload(Base::kTransport, 0, 1, 0), equal(0, byte(type)), accept()});
    for (const auto& rule : plan_.firewall.rules)
      if (rule.direction == direction_) add(rule);
    if (policy != net::Verdict::kAccept) act({}, 0, policy);
    return std::move(chain_);
  }

 private:
  void plain(Exprs exprs) { chain_.rules.push_back({chain_.name, std::move(exprs), ""}); }

  // An anonymous set of intervals; it lives and dies with the rule that uses it.
  std::uint32_t interval_set(std::uint32_t type, std::uint32_t length, const std::vector<std::pair<std::string, std::string>>& intervals) {
    Set set{"__set%d", type, length};
    set.interval = set.anonymous = true;
    set.id = ++set_id_;
    std::vector<Element> elements;
    for (const auto& [first, behind] : intervals) {
      elements.push_back({.key = first});
      if (!behind.empty()) elements.push_back({.key = behind, .end = true});
    }
    chain_.sets.push_back(set);
    chain_.set_elements.push_back(std::move(elements));
    return set.id;
  }

  Exprs peers(Family family, const std::vector<Prefix>& prefixes) {
    unsigned length = static_cast<unsigned>(address_bytes(family));
    bool v4 = family == Family::kV4, in = direction_ == net::Direction::kIn;
    unsigned offset = v4 ? (in ? 12 : 16) : (in ? 8 : 24);
    std::vector<std::pair<std::string, std::string>> intervals;
    for (const auto& each : merge_prefixes(prefixes, family)) {
      IpAddress behind = each.last;
      bool more = advance(behind);
      intervals.emplace_back(bytes_of(each.first), more ? bytes_of(behind) : std::string());
    }
    constexpr std::uint32_t kIpv4Type = 7, kIpv6Type = 8;
    std::uint32_t id = interval_set(v4 ? kIpv4Type : kIpv6Type, length, intervals);
    Exprs exprs{meta(NFT_META_NFPROTO, 0), equal(0, byte(v4 ? NFPROTO_IPV4 : NFPROTO_IPV6)), payload(Base::kNetwork, offset, length, 0),
                in_set("__set%d", 0, id)};
    for (const auto& [first, behind] : intervals) exprs.back().text += fmt::format(" {}", text_of(first, behind));
    return exprs;
  }

  static std::string text_of(const std::string& first, const std::string& behind) {
    std::string text;
    for (char each : first) text += fmt::format("{:02x}", static_cast<unsigned char>(each));
    text += '-';
    for (char each : behind) text += fmt::format("{:02x}", static_cast<unsigned char>(each));
    return text;
  }

  Exprs ports(std::vector<net::FirewallRule::PortRange> ranges) {
    std::ranges::sort(ranges, {}, &net::FirewallRule::PortRange::first);
    std::vector<std::pair<std::uint32_t, std::uint32_t>> merged;  // first, behind
    for (const auto& range : ranges) {
      std::uint32_t behind = range.last + 1u;
      if (!merged.empty() && range.first <= merged.back().second) merged.back().second = std::max(merged.back().second, behind);
      else merged.emplace_back(range.first, behind);
    }
    std::vector<std::pair<std::string, std::string>> intervals;
    for (auto [first, behind] : merged)
      intervals.emplace_back(big16(static_cast<std::uint16_t>(first)),
                             behind > 0xffff ? std::string() : big16(static_cast<std::uint16_t>(behind)));
    constexpr std::uint32_t kPortType = 13;
    std::uint32_t id = interval_set(kPortType, 2, intervals);
    Exprs exprs{payload(Base::kTransport, 2, 2, 0), in_set("__set%d", 0, id)};
    for (const auto& [first, behind] : intervals) exprs.back().text += fmt::format(" {}", text_of(first, behind));
    return exprs;
  }

  // Every combination of what nftables has no single test for: families of peers, TCP and UDP of "any with ports".
  void add(const net::FirewallRule& rule) {
    std::vector<int> protocols;
    switch (rule.protocol) {
      case net::Protocol::kTcp: protocols = {IPPROTO_TCP}; break;
      case net::Protocol::kUdp: protocols = {IPPROTO_UDP}; break;
      case net::Protocol::kIcmp: protocols = {IPPROTO_ICMP}; break;
      case net::Protocol::kIcmp6: protocols = {IPPROTO_ICMPV6}; break;
      case net::Protocol::kAny:
        if (rule.ports.empty()) protocols = {-1};
        else protocols = {IPPROTO_TCP, IPPROTO_UDP};
    }
    bool with_ports = !rule.ports.empty() && rule.protocol != net::Protocol::kIcmp && rule.protocol != net::Protocol::kIcmp6;
    for (int protocol : protocols)
      for (auto family : {Family::kV4, Family::kV6}) {
        if (rule.peers.empty() && family == Family::kV6) continue;  // one rule for both
        bool any = std::ranges::any_of(rule.peers, [&](const Prefix& peer) { return peer.family() == family; });
        if (!rule.peers.empty() && !any) continue;
        auto match = [&] {  // anew for each rule: an anonymous set has one user
          Exprs exprs;
          if (!rule.peers.empty()) append(exprs, peers(family, rule.peers));
          if (protocol >= 0) append(exprs, {meta(NFT_META_L4PROTO, 0), equal(0, byte(protocol))});
          if (with_ports) append(exprs, ports(rule.ports));
          return exprs;
        };
        if (rule.log) {
          Exprs exprs = match();
          append(exprs, {limit(kLogsPerSecond, 1, kLogsPerSecond, false),
                         log(fmt::format("vps {} {} rule {}: ", plan_.id, direction_ == net::Direction::kIn ? "in" : "out", rule.number), kLogLevel)});
          plain(std::move(exprs));
        }
        act(match, rule.number, rule.verdict);
      }
  }

  void act(const std::function<Exprs()>& match, std::uint32_t number, net::Verdict verdict) {
    auto rule = [&](const Exprs& more, Expr last) {
      Exprs exprs = match ? match() : Exprs();
      append(exprs, more);
      append(exprs, {start(number), std::move(last)});
      chain_.rules.push_back({chain_.name, std::move(exprs), rule_note(number)});
    };
    if (verdict == net::Verdict::kAccept) return rule({}, accept());
    if (verdict == net::Verdict::kDrop) return rule({}, drop());
    rule({meta(NFT_META_L4PROTO, 0), equal(0, byte(IPPROTO_TCP))}, reject(NFT_REJECT_TCP_RST, 0));
    rule({}, reject(NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_ADMIN_PROHIBITED));
  }

  // The first nft rule of a number takes over what the number had counted.
  Expr start(std::uint32_t number) {
    if (std::ranges::find(started_, number) == started_.end()) {
      started_.push_back(number);
      for (const auto& each : counters_)
        if (each.direction == direction_ && each.number == number) return counter(each.bytes, each.packets);
    }
    return counter();
  }

  const net::VpsPlan& plan_;
  net::Direction direction_;
  std::span<const RuleStart> counters_;
  std::uint32_t& set_id_;
  FirewallChain chain_;
  std::vector<std::uint32_t> started_;
};

}  // namespace

std::string firewall_chain_name(net::Direction direction, std::string_view id) {
  return fmt::format("{}-{}", direction == net::Direction::kIn ? "in" : "out", id);
}

std::string rule_note(std::uint32_t number) { return fmt::format("rule {}", number); }

std::optional<std::uint32_t> rule_number(std::string_view user_data) {
  constexpr std::size_t kFingerprint = 8;
  if (user_data.size() <= kFingerprint) return std::nullopt;
  std::string_view note = user_data.substr(kFingerprint);
  if (!note.starts_with("rule ")) return std::nullopt;
  std::uint32_t number = 0;
  auto [end, error] = std::from_chars(note.data() + 5, note.data() + note.size(), number);
  if (error != std::errc() || end != note.data() + note.size()) return std::nullopt;
  return number;
}

bool has_rules(const net::VpsPlan& plan, net::Direction direction) {
  auto policy = direction == net::Direction::kIn ? plan.firewall.default_in : plan.firewall.default_out;
  return policy != net::Verdict::kAccept ||
         std::ranges::any_of(plan.firewall.rules, [&](const auto& rule) { return rule.direction == direction; });
}

std::vector<FirewallChain> firewall_chains(const net::VpsPlan& plan, std::span<const RuleStart> counters, std::uint32_t& set_id) {
  std::vector<FirewallChain> chains;
  if (!has_covered_port(plan)) return chains;
  for (auto direction : {net::Direction::kIn, net::Direction::kOut}) {
    auto policy = direction == net::Direction::kIn ? plan.firewall.default_in : plan.firewall.default_out;
    if (has_rules(plan, direction)) chains.push_back(ChainBuilder(plan, direction, counters, set_id).build(policy));
  }
  return chains;
}

}  // namespace vps::netns::filter
