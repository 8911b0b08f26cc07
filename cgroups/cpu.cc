// The cpu controller: v2 cpu.weight, cpu.max; v1 cpu.shares, cpu.cfs_*. Sources: cgroup-v2.rst "CPU",
// scheduler/sched-bwc.rst. Times are microseconds.
#include <algorithm>
#include <cmath>

#include "cgroups/planner.h"

namespace vps::cgroups {
namespace {

constexpr std::uint64_t kMinShares = 2, kMaxShares = 262144, kMaxWeight = 10000;

void plan_bandwidth(Planner& planner, const oci::CpuLimits& cpu) {
  // 0 is what engines send for an option that was left out.
  bool has_quota = cpu.quota && *cpu.quota != 0;
  bool has_period = cpu.period && *cpu.period != 0;
  if (!has_quota && !has_period) return;
  std::int64_t quota = has_quota ? std::max<std::int64_t>(*cpu.quota, -1) : -1;
  std::string v2 = v2_number(quota);
  std::string shown = quota < 0 ? "unlimited" : fmt::format("{}us", quota);
  if (has_period) {
    v2 += fmt::format(" {}", *cpu.period);
    if (has_quota && quota >= 0) {
      shown = fmt::format("{:.4g} CPUs", static_cast<double>(quota) / static_cast<double>(*cpu.period));
    } else {
      shown += fmt::format(" per {}us", *cpu.period);
    }
  }
  std::string name = has_quota ? "cpu.quota" : "cpu.period";
  FileValue period{"cpu.cfs_period_us", has_period ? fmt::format("{}", *cpu.period) : ""};
  FileValue v1_quota{"cpu.cfs_quota_us", v1_number(quota)};
  Write* write = planner.set({.name = name, .shown = shown, .controller = "cpu", .v2 = {"cpu.max", v2},
                              .v1 = has_period ? period : v1_quota});
  if (write == nullptr || write->hierarchy.empty() || !has_quota || !has_period) return;
  // quota/period may not exceed the parent's at any moment: which one goes first depends on the old values.
  write->or_after_next = true;
  planner.also(v1_quota);
  planner.enforced_by(v1_quota.file);
}

}  // namespace

std::uint64_t weight_from_shares(std::uint64_t shares) {
  if (shares <= kMinShares) return 1;
  if (shares >= kMaxShares) return kMaxWeight;
  double l = std::log2(static_cast<double>(shares));
  double exponent = (l * l + 125 * l) / 612 - 7.0 / 34;
  constexpr double kRounding = 1e-9;  // 1024 shares must not become 101 by the last bit of a double
  return static_cast<std::uint64_t>(std::ceil(std::pow(10.0, exponent) - kRounding));
}

std::uint64_t shares_from_weight(std::uint64_t weight) {
  return std::clamp(std::min(weight, kMaxWeight) * 1024 / 100, kMinShares, kMaxShares);
}

Result<> plan_cpu(Planner& planner, const oci::CpuLimits& cpu) {
  if (cpu.shares && *cpu.shares != 0) {
    planner.set({.name = "cpu.shares", .shown = fmt::format("{}", *cpu.shares), .controller = "cpu",
                 .v2 = {"cpu.weight", fmt::format("{}", weight_from_shares(*cpu.shares))},
                 .v1 = {"cpu.shares", fmt::format("{}", *cpu.shares)}});
  }
  plan_bandwidth(planner, cpu);
  if (cpu.burst) {
    std::string value = fmt::format("{}", *cpu.burst);
    planner.set({.name = "cpu.burst", .shown = value + "us", .controller = "cpu", .v2 = {"cpu.max.burst", value},
                 .v1 = {"cpu.cfs_burst_us", value}});
  }
  constexpr const char* kNoRealtime = "cgroup v2 has no limit for realtime tasks";
  if (cpu.realtime_period && *cpu.realtime_period != 0) {
    std::string value = fmt::format("{}", *cpu.realtime_period);
    planner.set({.name = "cpu.realtimePeriod", .shown = value + "us", .controller = "cpu", .v2 = {},
                 .v1 = {"cpu.rt_period_us", value}, .without_v2 = kNoRealtime});
  }
  if (cpu.realtime_runtime && *cpu.realtime_runtime != 0) {
    std::string value = fmt::format("{}", *cpu.realtime_runtime);
    planner.set({.name = "cpu.realtimeRuntime", .shown = value + "us", .controller = "cpu", .v2 = {},
                 .v1 = {"cpu.rt_runtime_us", value}, .without_v2 = kNoRealtime});
  }
  if (cpu.idle) {
    if (*cpu.idle != 0 && *cpu.idle != 1) return fail(Code::kUsage, "cpu.idle is {}: expected 0 or 1", *cpu.idle);
    std::string value = fmt::format("{}", *cpu.idle);
    planner.set({.name = "cpu.idle", .shown = value, .controller = "cpu", .v2 = {"cpu.idle", value}, .v1 = {"cpu.idle", value}});
  }
  return {};
}

}  // namespace vps::cgroups
