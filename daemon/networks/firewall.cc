#include "daemon/networks/firewall.h"

#include <algorithm>

namespace vps::daemon {

namespace {

// Puts `entry` in front of the one with the number `before`, or behind all others of its list, under a number of its own.
template <class Entry>
Result<FirewallChange> insert(Manager& manager, const std::string& vps, std::vector<Entry> Firewall::*list, Entry entry, std::uint32_t before,
                              Milliseconds turn) {
  entry.number = 0;
  FirewallChange change;
  change.result = VPS_TRY(manager.edit(vps, "firewall", turn, [&](Definition& definition) -> Result<> {
    number_firewall(definition);
    auto& entries = definition.network.firewall.*list;
    auto at = before == 0 ? entries.end() : std::ranges::find(entries, before, &Entry::number);
    if (before != 0 && at == entries.end()) return fail(Code::kNotFound, "before: there is no rule {}", before);
    at = entries.insert(at, entry);
    number_firewall(definition);
    change.number = at->number;
    return {};
  }));
  return change;
}

}  // namespace

Result<FirewallChange> add_rule(Manager& manager, const std::string& vps, const std::string& rule, std::uint32_t before, Milliseconds turn) {
  return insert(manager, vps, &Firewall::rules, VPS_TRY(parse_firewall_rule(rule)), before, turn);
}

Result<FirewallChange> add_forward(Manager& manager, const std::string& vps, const std::string& forward, Milliseconds turn) {
  return insert(manager, vps, &Firewall::forwards, VPS_TRY(parse_forward(forward)), 0, turn);
}

Result<FirewallChange> delete_entry(Manager& manager, const std::string& vps, std::uint32_t number, Milliseconds turn) {
  FirewallChange change;
  change.result = VPS_TRY(manager.edit(vps, "firewall", turn, [&](Definition& definition) -> Result<> {
    auto& firewall = definition.network.firewall;
    number_firewall(definition);
    auto erased = std::erase_if(firewall.rules, [&](const auto& each) { return each.number == number; }) +
                  std::erase_if(firewall.forwards, [&](const auto& each) { return each.number == number; });
    if (erased == 0) return fail(Code::kNotFound, "no rule and no forward has the number {}", number);
    return {};
  }));
  return change;
}

Result<FirewallChange> set_default(Manager& manager, const std::string& vps, net::Direction direction, const std::string& verdict, Milliseconds turn) {
  FirewallChange change;
  const std::string assignment = fmt::format("network.firewall.{}={}", direction == net::Direction::kIn ? "in" : "out", verdict);
  change.result = VPS_TRY(manager.edit(vps, "firewall", turn, [&](Definition& definition) { return set_key(definition, assignment); }));
  return change;
}

}  // namespace vps::daemon
