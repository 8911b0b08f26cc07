// resources of a definition -> linux.resources. The model is cgroup v2; cgroups/ says what a host makes of it.
#include <cmath>
#include <limits>

#include "specs/vps/checks.h"
#include "specs/vps/compile_parts.h"

namespace vps::compile {
namespace {

using Warnings = std::vector<std::string>;
using CpuList = std::vector<std::uint64_t>;

CpuList parse_cpus(std::string_view set) {  // checks::cpu_set has been through it
  CpuList list;
  while (!set.empty()) {
    auto item = set.substr(0, set.find(','));
    set.remove_prefix(std::min(item.size() + 1, set.size()));
    auto dash = item.find('-');
    auto first = parse_u64(item.substr(0, dash)).value_or(0);
    auto last = dash == item.npos ? first : parse_u64(item.substr(dash + 1)).value_or(0);
    for (auto cpu = first; cpu <= last; ++cpu) list.push_back(cpu);
  }
  return list;
}

std::string format_cpus(CpuList list) {
  std::sort(list.begin(), list.end());
  std::string text;
  for (std::size_t i = 0; i < list.size();) {
    auto end = i;
    while (end + 1 < list.size() && list[end + 1] == list[end] + 1) ++end;
    if (!text.empty()) text += ',';
    text += end == i ? fmt::format("{}", list[i]) : fmt::format("{}-{}", list[i], list[end]);
    i = end + 1;
  }
  return text;
}

// Where a VPS's CPUs start, so that those with a few CPUs each do not all sit on the first ones: the id as a number, or a
// hash (FNV-1a) of it. A function of the id alone: the same after every restart.
std::uint64_t spread(std::string_view id) {
  if (auto number = parse_u64(id)) return *number;
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

// resources.cpu.set, or all of the host's, of which resources.cpu.count takes that many neighbours.
Result<std::string> cpus(const CompileInput& input, Warnings& warnings) {
  const auto& cpu = input.definition.resources.cpu;
  if (cpu.set.empty() && !cpu.count) return std::string();
  CpuList available;
  if (cpu.set.empty()) {
    for (std::uint64_t n = 0; n < input.host.cpus; ++n) available.push_back(n);
  } else {
    VPS_TRY_CTX("resources.cpu.set", checks::cpu_set(cpu.set));
    available = parse_cpus(cpu.set);
    if (available.back() >= input.host.cpus)
      warnings.push_back(fmt::format("resources.cpu.set: '{}' names CPU {}, and this host has {} CPUs", cpu.set,
                                     available.back(), input.host.cpus));
  }
  if (!cpu.count) return format_cpus(available);
  if (*cpu.count == 0) return fail(Code::kUsage, "resources.cpu.count: expected at least 1, found 0");
  if (*cpu.count >= available.size()) {
    if (*cpu.count > available.size())
      warnings.push_back(fmt::format("resources.cpu.count: {} asked, all {} given", *cpu.count, available.size()));
    return format_cpus(available);
  }
  CpuList taken;
  auto first = spread(input.definition.id) % available.size();
  for (std::uint64_t n = 0; n < *cpu.count; ++n) taken.push_back(available[(first + n) % available.size()]);
  return format_cpus(taken);
}

Result<> cpu(const CompileInput& input, oci::Resources& out, Warnings& warnings) {
  const auto& from = input.definition.resources.cpu;
  oci::CpuLimits limits;
  if (from.limit) {
    constexpr double kPeriod = 100'000;  // microseconds; the kernel's default
    constexpr double kLeast = 0.01, kMost = 8192;  // the kernel's least quota is 1 ms
    if (!(*from.limit >= kLeast && *from.limit <= kMost))
      return fail(Code::kUsage, "resources.cpu.limit: expected a number of CPUs from 0.01 to 8192, found {}", *from.limit);
    limits.period = static_cast<std::uint64_t>(kPeriod);
    limits.quota = std::llround(*from.limit * kPeriod);
    if (*from.limit > input.host.cpus)
      warnings.push_back(fmt::format("resources.cpu.limit: {} is more than the {} CPUs of this host", *from.limit, input.host.cpus));
  }
  limits.cpus = VPS_TRY(cpus(input, warnings));
  if (limits != oci::CpuLimits{}) out.cpu = std::move(limits);
  if (from.weight) out.unified["cpu.weight"] = fmt::format("{}", *from.weight);
  return {};
}

Result<std::int64_t> bytes(Bytes value, std::string_view key) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value.value > kMost) return fail(Code::kUsage, "{}: {} is more than a kernel counts", key, format_size(value));
  return static_cast<std::int64_t>(value.value);
}

Result<> memory(const Definition& definition, oci::Resources& out) {
  const auto& from = definition.resources.memory;
  if (from.limit) {
    auto& limits = out.memory.emplace();
    limits.limit = VPS_TRY(bytes(*from.limit, "resources.memory.limit"));
    if (*limits.limit == 0) return fail(Code::kUsage, "resources.memory.limit: nothing runs in 0 bytes");
    // The specification counts memory and swap together.
    if (from.swap) {
      if (from.swap->value > std::numeric_limits<std::uint64_t>::max() - from.limit->value)
        return fail(Code::kUsage, "resources.memory.swap: {} is more than a kernel counts", format_size(*from.swap));
      limits.swap = VPS_TRY(bytes(Bytes{from.limit->value + from.swap->value}, "resources.memory.swap"));
    }
  } else if (from.swap) {
    out.unified["memory.swap.max"] = fmt::format("{}", VPS_TRY(bytes(*from.swap, "resources.memory.swap")));
  }
  if (from.guarantee)
    out.unified["memory.low"] = fmt::format("{}", VPS_TRY(bytes(*from.guarantee, "resources.memory.guarantee")));
  return {};
}

Result<> pids(const Definition& definition, oci::Resources& out) {
  const auto& limit = definition.resources.pids_limit;
  if (!limit) return {};
  constexpr std::uint64_t kMost = 4'194'304;  // PID_MAX_LIMIT
  if (*limit == 0 || *limit > kMost) return fail(Code::kUsage, "resources.pids.limit: expected 1 to {}, found {}", kMost, *limit);
  out.pids.emplace().limit = static_cast<std::int64_t>(*limit);
  return {};
}

void io(const CompileInput& input, oci::Resources& out, Warnings& warnings) {
  const auto& from = input.definition.resources.io;
  if (from.weight) out.unified["io.weight"] = fmt::format("{}", *from.weight);
  const auto& device = input.host.disk_device;
  oci::BlockIo limits;
  auto throttle = [&](std::string_view key, std::optional<std::uint64_t> rate, std::vector<oci::ThrottleDevice>& list) {
    if (!rate) return;
    if (device.known)
      list.push_back({device.major, device.minor, *rate});
    else
      warnings.push_back(fmt::format("resources.io.{}: not enforced, the file system of {} is on no block device that the "
                                     "kernel can limit", key, input.roots.state));
  };
  auto count = [](const std::optional<Bytes>& value) -> std::optional<std::uint64_t> {
    if (!value) return std::nullopt;
    return value->value;
  };
  throttle("read", count(from.read), limits.throttle_read_bps);
  throttle("write", count(from.write), limits.throttle_write_bps);
  throttle("readIops", from.read_iops, limits.throttle_read_iops);
  throttle("writeIops", from.write_iops, limits.throttle_write_iops);
  if (limits != oci::BlockIo{}) out.block_io = std::move(limits);
}

}  // namespace

Result<oci::Resources> resources(const CompileInput& input, Warnings& warnings) {
  oci::Resources out;
  out.devices = device_rules(input.definition);
  VPS_TRY(cpu(input, out, warnings));
  VPS_TRY(memory(input.definition, out));
  VPS_TRY(pids(input.definition, out));
  io(input, out, warnings);
  return out;
}

}  // namespace vps::compile
