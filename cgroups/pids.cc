// The pids controller; the same file in both worlds. Source: cgroup-v2.rst "PID", cgroup-v1/pids.rst.
#include "cgroups/planner.h"

namespace vps::cgroups {

Result<> plan_pids(Planner& planner, const oci::PidsLimit& pids) {
  if (!pids.limit) return {};
  std::int64_t limit = *pids.limit > 0 ? *pids.limit : -1;
  std::string value = v2_number(limit);
  planner.set({.name = "pids.limit", .shown = limit < 0 ? "unlimited" : value, .controller = "pids",
               .v2 = {"pids.max", value}, .v1 = {"pids.max", value}});
  return {};
}

}  // namespace vps::cgroups
