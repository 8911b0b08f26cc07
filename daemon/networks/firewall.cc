#include "daemon/networks/firewall.h"

#include <algorithm>

namespace vps::daemon {

Result<FirewallChange> add_rule(Manager& manager, const std::string& vps, const std::string& rule, Milliseconds turn) {
  auto parsed = VPS_TRY(parse_firewall_rule(rule));
  FirewallChange change;
  change.result = VPS_TRY(manager.edit(vps, "firewall", turn, [&](Definition& definition) -> Result<> {
    parsed.number = 0;
    definition.network.firewall.rules.push_back(parsed);
    number_firewall(definition);
    change.number = definition.network.firewall.rules.back().number;
    return {};
  }));
  return change;
}

Result<FirewallChange> add_forward(Manager& manager, const std::string& vps, const std::string& forward, Milliseconds turn) {
  auto parsed = VPS_TRY(parse_forward(forward));
  FirewallChange change;
  change.result = VPS_TRY(manager.edit(vps, "firewall", turn, [&](Definition& definition) -> Result<> {
    parsed.number = 0;
    definition.network.firewall.forwards.push_back(parsed);
    number_firewall(definition);
    change.number = definition.network.firewall.forwards.back().number;
    return {};
  }));
  return change;
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
