// `vpsctl firewall`: changes of the firewall in a VPS's definition, in force and saved. The caller holds no slot.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "daemon/manager.h"

namespace vps::daemon {

struct FirewallChange {
  std::uint32_t number = 0;  // of what was added
  ChangeResult result;
};

// Each as one change: all or nothing. `rule` and `forward` are JSON objects with the keys of vps.yaml(5).
// A rule is put in front of the one with the number `before` (kNotFound: there is none), or at the end for 0.
Result<FirewallChange> add_rule(Manager& manager, const std::string& vps, const std::string& rule, std::uint32_t before, Milliseconds turn);
Result<FirewallChange> add_forward(Manager& manager, const std::string& vps, const std::string& forward, Milliseconds turn);
// kNotFound: no such number.
Result<FirewallChange> delete_entry(Manager& manager, const std::string& vps, std::uint32_t number, Milliseconds turn);
Result<FirewallChange> set_default(Manager& manager, const std::string& vps, net::Direction direction, const std::string& verdict, Milliseconds turn);

}  // namespace vps::daemon
