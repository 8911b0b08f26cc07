// net_cls and net_prio: v1 only. Source: cgroup-v1/net_cls.rst, net_prio.rst.
#include "cgroups/planner.h"

namespace vps::cgroups {

Result<> plan_network(Planner& planner, const oci::NetworkLimits& network) {
  if (network.class_id && *network.class_id != 0) {
    std::string value = fmt::format("{}", *network.class_id);
    planner.set({.name = "network.classID", .shown = value, .controller = "net_cls", .v2 = {},
                 .v1 = {"net_cls.classid", value}, .without_v2 = "cgroup v2 has no network classes"});
  }
  for (const auto& interface : network.priorities) {
    if (interface.name.empty() || interface.name.find_first_of(" \t\n/") != std::string::npos)
      return fail(Code::kUsage, "network.priorities: '{}' is no interface name", interface.name);
    std::string value = fmt::format("{}", interface.priority);
    planner.set({.name = "network.priorities " + interface.name, .shown = value, .controller = "net_prio", .v2 = {},
                 .v1 = {"net_prio.ifpriomap", interface.name + " " + value},
                 .without_v2 = "cgroup v2 has no network priorities", .key = interface.name, .absent = interface.name + " 0"});
  }
  return {};
}

}  // namespace vps::cgroups
