// The memory controller: v2 memory.*, v1 memory.*_in_bytes. Sources: cgroup-v2.rst "Memory", cgroup-v1/memory.rst.
#include <algorithm>
#include <cerrno>

#include "base/files.h"
#include "base/units.h"
#include "cgroups/planner.h"
#include "cgroups/stats.h"
#include "cgroups/text.h"

namespace vps::cgroups {
namespace {

constexpr std::string_view kLimitV1 = "memory.limit_in_bytes";
constexpr std::string_view kMemswV1 = "memory.memsw.limit_in_bytes";

// Absent and 0 both mean "not given": engines send 0 for an option that the user left out.
std::optional<std::int64_t> given(const std::optional<std::int64_t>& value) {
  return value && *value != 0 ? value : std::nullopt;
}

Result<> check(std::string_view name, const std::optional<std::int64_t>& value) {
  if (value && *value < -1) return fail(Code::kUsage, "{} is {}: expected bytes, or -1 for no limit", name, *value);
  return {};
}

// OCI counts memory+swap together, v2 swap alone.
Result<> plan_limit_and_swap(Planner& planner, std::optional<std::int64_t> limit, std::optional<std::int64_t> swap) {
  if (swap && *swap >= 0 && (!limit || *limit < 0))
    return fail(Code::kUsage, "memory.swap is {}, which needs a memory.limit", *swap);
  if (swap && *swap >= 0 && *swap < *limit)
    return fail(Code::kUsage, "memory.swap {} is less than memory.limit {}, and it counts both", *swap, *limit);
  // No memory limit while an old memory+swap limit stands would be refused by v1, and leave swap limited on v2.
  bool follow = limit && *limit < 0 && !swap;
  if (limit) {
    planner.set({.name = "memory.limit", .shown = show_bytes(*limit), .controller = "memory",
                 .v2 = {"memory.max", v2_number(*limit)}, .v1 = {std::string(kLimitV1), v1_number(*limit)}});
  }
  bool v1 = planner.where("memory") == Where::kV1;
  std::string v1_file(kMemswV1);
  if (follow && planner.has_file("memory", v1 ? kMemswV1 : "memory.swap.max")) {
    if (v1) planner.last_write()->or_after_next = true;
    planner.also({v1 ? v1_file : "memory.swap.max", v1 ? "-1" : "max"});
  }
  if (swap) {
    bool pair = v1 && limit && planner.has_file("memory", kMemswV1);
    if (pair) planner.last_write()->or_after_next = true;
    std::int64_t swap_only = *swap < 0 ? -1 : *swap - *limit;
    planner.set({.name = "memory.swap", .shown = show_bytes(*swap), .controller = "memory",
                 .v2 = {"memory.swap.max", v2_number(swap_only)}, .v1 = {v1_file, v1_number(*swap)}});
  }
  return {};
}

void plan_flags(Planner& planner, const oci::MemoryLimits& memory) {
  if (memory.disable_oom_killer) {
    bool off = *memory.disable_oom_killer;
    bool already = !off && planner.where("memory") == Where::kUnified;  // v2 has no such switch: always on
    if (!already) {
      Write* write = planner.set({.name = "memory.disableOOMKiller", .shown = off ? "true" : "false", .controller = "memory",
                                  .v2 = {}, .v1 = {"memory.oom_control", off ? "1" : "0"},
                                  .without_v2 = "cgroup v2 cannot switch the OOM killer off",
                                  .key = "oom_kill_disable", .absent = "0"});
      if (write != nullptr) write->value_only = true;
    }
  }
  if (memory.use_hierarchy && !*memory.use_hierarchy)
    planner.unavailable("memory.useHierarchy", "false", "the kernel always counts a group's children with it");
}

}  // namespace

Result<> plan_memory(Planner& planner, const oci::MemoryLimits& memory) {
  VPS_TRY(check("memory.limit", memory.limit));
  VPS_TRY(check("memory.swap", memory.swap));
  VPS_TRY(check("memory.reservation", memory.reservation));
  VPS_TRY(check("memory.kernelTCP", memory.kernel_tcp));
  if (memory.swappiness && *memory.swappiness > 100)
    return fail(Code::kUsage, "memory.swappiness is {}: expected 0 to 100", *memory.swappiness);
  VPS_TRY(plan_limit_and_swap(planner, given(memory.limit), given(memory.swap)));
  if (memory.reservation) {
    planner.set({.name = "memory.reservation", .shown = show_bytes(*memory.reservation), .controller = "memory",
                 .v2 = {"memory.low", v2_number(*memory.reservation)},
                 .v1 = {"memory.soft_limit_in_bytes", v1_number(*memory.reservation)}});
  }
  if (auto kernel = given(memory.kernel))
    planner.unavailable("memory.kernel", show_bytes(*kernel), "kernel memory has no limit of its own: memory.limit counts it");
  if (auto tcp = given(memory.kernel_tcp)) {
    planner.set({.name = "memory.kernelTCP", .shown = show_bytes(*tcp), .controller = "memory", .v2 = {},
                 .v1 = {"memory.kmem.tcp.limit_in_bytes", v1_number(*tcp)},
                 .without_v2 = "cgroup v2 has no limit for socket buffers: memory.limit counts them"});
  }
  if (memory.swappiness) {
    planner.set({.name = "memory.swappiness", .shown = fmt::format("{}", *memory.swappiness), .controller = "memory", .v2 = {},
                 .v1 = {"memory.swappiness", fmt::format("{}", *memory.swappiness)},
                 .without_v2 = "cgroup v2 has no swappiness of a group"});
  }
  plan_flags(planner, memory);
  return {};
}

Result<> make_room_for_memory_max(int dirfd, const Write& write) {
  auto wanted = parse_limit(write.value);
  if (!wanted) return {};
  auto in_use = [&]() -> std::uint64_t {
    auto text = read_file_at(dirfd, "memory.current");
    return text ? parse_limit(*text).value_or(0) : 0;
  };
  if (in_use() <= *wanted) return {};
  // The kernel answers a memory.max below use with its OOM killer. memory.high at the same value reclaims without killing
  // and keeps the group from growing again until memory.max stands.
  auto high = VPS_TRY(read_file_at(dirfd, "memory.high"));
  bool lowered = parse_limit(high).value_or(*wanted + 1) > *wanted;
  if (lowered) VPS_TRY(write_kernel_file_at(dirfd, "memory.high", write.value));
  std::uint64_t before = 0;
  std::uint64_t now = in_use();
  while (now > *wanted && now != before) {  // as long as reclaim gets anywhere
    before = now;
    // EAGAIN: less was found than asked for. Kernels before 5.19 have no such file: memory.high did what it could.
    (void)write_kernel_file_at(dirfd, "memory.reclaim", fmt::format("{}", now - *wanted));
    now = in_use();
  }
  Result<> room;
  if (now > *wanted)
    room = fail(Code::kBusy, "{} in use after reclaim, {} asked", human_size(Bytes{now}), human_size(Bytes{*wanted}));
  else
    room = write_kernel_file_at(dirfd, write.file, write.value);  // while memory.high holds
  if (lowered) {
    auto restored = write_kernel_file_at(dirfd, "memory.high", trimmed(high));
    if (room && !restored) return restored;
  }
  return room;
}

Error explain_v1_memory_refusal(int dirfd, const Write& write, Error error) {
  bool swap = write.file == kMemswV1;
  if (error.err() != EBUSY || (!swap && write.file != kLimitV1)) return error;
  auto text = read_file_at(dirfd, swap ? "memory.memsw.usage_in_bytes" : "memory.usage_in_bytes");
  auto used = text ? parse_limit(*text).value_or(0) : 0;
  auto asked = parse_limit(write.value).value_or(0);
  return {Code::kBusy, fmt::format("{} in use after reclaim, {} asked", human_size(Bytes{used}), human_size(Bytes{asked}))};
}

}  // namespace vps::cgroups
