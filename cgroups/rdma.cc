// The rdma controller; the same file in both worlds. Source: cgroup-v2.rst "RDMA", cgroup-v1/rdma.rst.
#include "cgroups/planner.h"

namespace vps::cgroups {

Result<> plan_rdma(Planner& planner, const std::map<std::string, oci::RdmaLimit>& limits) {
  for (const auto& [device, limit] : limits) {
    if (device.empty() || device.find_first_of(" \t\n=") != std::string::npos)
      return fail(Code::kUsage, "rdma: '{}' is no device name", device);
    std::string value;
    if (limit.hca_handles) value += fmt::format(" hca_handle={}", *limit.hca_handles);
    if (limit.hca_objects) value += fmt::format(" hca_object={}", *limit.hca_objects);
    if (value.empty()) continue;
    planner.set({.name = "rdma " + device, .shown = value.substr(1), .controller = "rdma",
                 .v2 = {"rdma.max", device + value}, .v1 = {"rdma.max", device + value},
                 .key = device, .absent = device + " hca_handle=max hca_object=max"});
  }
  return {};
}

}  // namespace vps::cgroups
