// The cpuset controller; file names are the same in both worlds. Source: cgroup-v2.rst "Cpuset", cgroup-v1/cpusets.rst.
#include <algorithm>

#include "cgroups/planner.h"

namespace vps::cgroups {
namespace {

// "0-3,7": the kernel checks ranges; this keeps other text out of the file.
Result<> check_list(std::string_view name, const std::string& list) {
  bool good = list.size() < 4096 && std::all_of(list.begin(), list.end(), [](char c) {
                return (c >= '0' && c <= '9') || c == '-' || c == ',' || c == ':' || c == '/';
              });
  if (!good) return fail(Code::kUsage, "{} is '{}': expected a list like 0-3,7", name, list);
  return {};
}

}  // namespace

Result<> plan_cpuset(Planner& planner, const oci::CpuLimits& cpu) {
  VPS_TRY(check_list("cpu.cpus", cpu.cpus));
  VPS_TRY(check_list("cpu.mems", cpu.mems));
  if (!cpu.cpus.empty())
    planner.set({.name = "cpu.cpus", .shown = cpu.cpus, .controller = "cpuset", .v2 = {"cpuset.cpus", cpu.cpus},
                 .v1 = {"cpuset.cpus", cpu.cpus}});
  if (!cpu.mems.empty())
    planner.set({.name = "cpu.mems", .shown = cpu.mems, .controller = "cpuset", .v2 = {"cpuset.mems", cpu.mems},
                 .v1 = {"cpuset.mems", cpu.mems}});
  return {};
}

}  // namespace vps::cgroups
