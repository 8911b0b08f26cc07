// What the rules of others do to our forwarded traffic: walked through for a packet of which only the links are known.
#include <arpa/inet.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <optional>

#include "netns/filter.h"
#include "netns/legacy_tables.h"
#include "netns/nft_batch.h"

namespace vps::netns {
namespace {

using nft::DumpedChain;
using nft::DumpedExpr;
using nft::DumpedRule;

std::string family_name(std::uint8_t family) {
  switch (family) {
    case NFPROTO_INET: return "inet";
    case NFPROTO_IPV4: return "ip";
    case NFPROTO_IPV6: return "ip6";
    default: return std::to_string(family);
  }
}

// One direction: a new connection that comes in by `in` and leaves by `out`; empty: unknown.
struct Probe {
  std::string in, out;
};

enum class Truth { kYes, kNo, kMaybe };
enum class Outcome { kAccepted, kBlocked, kFellThrough };

class Walker {
 public:
  explicit Walker(const std::vector<DumpedRule>& rules) {
    for (const auto& rule : rules) rules_[{rule.family, rule.table, rule.chain}].push_back(&rule);
  }

  // The rule or policy of this base chain that blocks the packet for certain; a rule that may let it through is taken to do so
  // only when nothing but its links decides.
  std::optional<ForeignBlock> blocked(const DumpedChain& chain, const Probe& probe) {
    culprit_.reset();
    Outcome outcome = walk(chain.family, chain.table, chain.chain.name, probe, 0);
    if (outcome == Outcome::kBlocked) return culprit_;
    if (outcome == Outcome::kFellThrough && chain.policy == NF_DROP)
      return ForeignBlock{family_name(chain.family), chain.table, chain.chain.name, 0, ""};
    return std::nullopt;
  }

 private:
  static constexpr int kDeepest = 16;  // as the kernel allows

  Outcome walk(std::uint8_t family, const std::string& table, const std::string& chain, const Probe& probe, int depth) {
    if (depth > kDeepest) return Outcome::kFellThrough;
    for (const auto* rule : rules_[{family, table, chain}]) {
      Truth matches = Truth::kYes;
      std::string loaded;
      for (const auto& expr : rule->exprs) {
        if (expr.name == "immediate") {
          auto outcome = verdict(expr, *rule, matches, probe, depth);
          if (outcome == Outcome::kFellThrough) continue;
          if (!outcome) return Outcome::kFellThrough;  // return, or the end of a goto
          return *outcome;
        }
        if (expr.name == "reject" && matches == Truth::kYes) return block(*rule);
        matches = both(matches, test(expr, loaded, probe));
        if (matches == Truth::kNo) break;
      }
    }
    return Outcome::kFellThrough;
  }

  // nullopt: the chain ends here. kFellThrough: go on with the next expression.
  std::optional<Outcome> verdict(const DumpedExpr& expr, const DumpedRule& rule, Truth matches, const Probe& probe, int depth) {
    Attributes data(expr.data);
    auto reg = data.u32(NFTA_IMMEDIATE_DREG);
    if (!reg || ntohl(*reg) != NFT_REG_VERDICT) return Outcome::kFellThrough;
    Attributes code_of = data.nested(NFTA_IMMEDIATE_DATA).nested(NFTA_DATA_VERDICT);
    auto raw = code_of.u32(NFTA_VERDICT_CODE);
    int code = raw ? static_cast<int>(ntohl(*raw)) : NFT_CONTINUE;
    std::string target = code_of.text(NFTA_VERDICT_CHAIN);
    if (code == NFT_JUMP || code == NFT_GOTO) {
      Outcome inside = walk(rule.family, rule.table, target, probe, depth + 1);
      if (matches != Truth::kYes) return Outcome::kFellThrough;
      if (inside != Outcome::kFellThrough) return inside;
      if (code == NFT_GOTO) return std::nullopt;
      return Outcome::kFellThrough;
    }
    if (matches != Truth::kYes) return Outcome::kFellThrough;
    if (code == NF_ACCEPT) return Outcome::kAccepted;
    if (code == NF_DROP) return block(rule);
    if (code == NFT_RETURN) return std::nullopt;
    return Outcome::kFellThrough;
  }

  Outcome block(const DumpedRule& rule) {
    culprit_ = ForeignBlock{family_name(rule.family), rule.table, rule.chain, rule.handle, ""};
    return Outcome::kBlocked;
  }

  static Truth both(Truth a, Truth b) {
    if (a == Truth::kNo || b == Truth::kNo) return Truth::kNo;
    return a == Truth::kMaybe || b == Truth::kMaybe ? Truth::kMaybe : Truth::kYes;
  }

  // What one expression says of the packet. `loaded`: the name that meta has put into the register last.
  static Truth test(const DumpedExpr& expr, std::string& loaded, const Probe& probe) {
    Attributes data(expr.data);
    if (expr.name == "counter" || expr.name == "log" || expr.name == "masq" || expr.name == "nat") return Truth::kYes;
    if (expr.name == "meta") {
      auto key = data.u32(NFTA_META_KEY);
      std::uint32_t number = key ? ntohl(*key) : 0;
      loaded = number == NFT_META_IIFNAME ? probe.in : number == NFT_META_OIFNAME ? probe.out : std::string();
      return Truth::kYes;
    }
    if (expr.name == "cmp" && !loaded.empty()) {
      auto value = data.nested(NFTA_CMP_DATA).find(NFTA_DATA_VALUE);
      auto op = data.u32(NFTA_CMP_OP);
      if (!value || !op) return Truth::kMaybe;
      // A wildcard compares only as many bytes as it has; a whole name has its NUL.
      std::string name = loaded + std::string(16, '\0');
      bool same = name.compare(0, value->size(), *value) == 0;
      loaded.clear();
      return same == (ntohl(*op) == NFT_CMP_EQ) ? Truth::kYes : Truth::kNo;
    }
    if (expr.name == "cmp" || expr.name == "lookup" || expr.name == "match" || expr.name == "ct" || expr.name == "payload") {
      loaded.clear();
      // Loading alone decides nothing, and comparing what is unknown does.
      return expr.name == "ct" || expr.name == "payload" ? Truth::kYes : Truth::kMaybe;
    }
    return Truth::kMaybe;
  }

  std::map<std::tuple<std::uint8_t, std::string, std::string>, std::vector<const DumpedRule*>> rules_;
  std::optional<ForeignBlock> culprit_;
};

void describe(ForeignBlock& block, const std::string& link, const std::string& uplink) {
  std::string where = fmt::format("chain {} {} {}", block.family, block.table, block.chain);
  std::string what = block.rule == 0 ? "the policy drop of " + where : fmt::format("rule {} of {}", block.rule, where);
  bool docker = block.table == "filter" && block.chain == "FORWARD";
  block.text = fmt::format("{} stops what is forwarded between {} and {}; let it pass with: {}", what, link, uplink.empty() ? "other links" : uplink,
                           docker ? fmt::format("iptables -I DOCKER-USER -i {0} -j ACCEPT; iptables -I DOCKER-USER -o {0} -j ACCEPT (or -I FORWARD)", link)
                                  : fmt::format("nft insert rule {0} {1} {2} iifname {3} accept; nft insert rule {0} {1} {2} oifname {3} accept",
                                                block.family, block.table, block.chain, link));
}

ForeignBlock describe_legacy(Family family, const LegacyBlock& block, const std::string& link, const std::string& uplink) {
  std::string tool = family == Family::kV4 ? "iptables-legacy" : "ip6tables-legacy";
  std::string what = block.rule == 0 ? fmt::format("the policy DROP of chain {} in {}", block.chain, tool)
                                     : fmt::format("rule {} of chain {} in {}", block.rule, block.chain, tool);
  return {family == Family::kV4 ? "ip" : "ip6", "filter", block.chain, block.rule,
          fmt::format("{0} stops what is forwarded between {1} and {2}; let it pass with: {3} -I FORWARD -i {1} -j ACCEPT; {3} -I FORWARD -o {1} -j ACCEPT", what, link,
                      uplink.empty() ? "other links" : uplink, tool)};
}

}  // namespace

Result<std::vector<ForeignBlock>> Filter::foreign_blocks(std::string_view link, std::string_view uplink) {
  auto socket = VPS_TRY(Socket::open(NETLINK_NETFILTER));
  auto chains = VPS_TRY(nft::dump_chains(socket, NFPROTO_UNSPEC));
  auto rules = VPS_TRY(nft::dump_rules(socket, {NFPROTO_UNSPEC, ""}));
  Walker walker(rules);
  std::vector<ForeignBlock> blocks;
  std::string ours(link), other(uplink);
  for (const auto& chain : chains) {
    if (chain.chain.type.empty() || chain.chain.hook != NF_INET_FORWARD) continue;
    if (chain.family != NFPROTO_INET && chain.family != NFPROTO_IPV4 && chain.family != NFPROTO_IPV6) continue;
    for (const auto& probe : {Probe{ours, other}, Probe{other, ours}})
      if (auto block = walker.blocked(chain, probe)) {
        describe(*block, ours, other);
        blocks.push_back(std::move(*block));
        break;  // one reason per chain
      }
  }
  for (auto family : {Family::kV4, Family::kV6}) {
    auto table = VPS_TRY(read_legacy_filter(family));
    if (!table) continue;
    for (const auto& probe : {Probe{ours, other}, Probe{other, ours}})
      if (auto block = legacy_block(family, *table, probe.in, probe.out)) {
        blocks.push_back(describe_legacy(family, *block, ours, other));
        break;
      }
  }
  return blocks;
}

}  // namespace vps::netns
