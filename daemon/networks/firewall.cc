#include "daemon/networks/firewall.h"

#include <algorithm>

namespace vps::daemon {

namespace {

// Puts `entry` behind the others of its list, under a number of its own.
template <class Entry>
Result<FirewallChange> append(Manager& manager, const std::string& vps, std::vector<Entry> Firewall::*list, Entry entry, Milliseconds turn) {
  entry.number = 0;
  FirewallChange change;
  change.result = VPS_TRY(manager.edit(vps, "firewall", turn, [&](Definition& definition) -> Result<> {
    auto& entries = definition.network.firewall.*list;
    entries.push_back(entry);
    number_firewall(definition);
    change.number = entries.back().number;
    return {};
  }));
  return change;
}

}  // namespace

Result<FirewallChange> add_rule(Manager& manager, const std::string& vps, const std::string& rule, Milliseconds turn) {
  return append(manager, vps, &Firewall::rules, VPS_TRY(parse_firewall_rule(rule)), turn);
}

Result<FirewallChange> add_forward(Manager& manager, const std::string& vps, const std::string& forward, Milliseconds turn) {
  return append(manager, vps, &Firewall::forwards, VPS_TRY(parse_forward(forward)), turn);
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
