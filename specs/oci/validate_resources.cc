// The checks of linux.resources and linux.seccomp. Sources: runtime-spec config-linux.md, cgroup v2 and v1 documentation of the
// kernel, seccomp(2).
#include "specs/oci/checks.h"

namespace vps::oci::checks {
namespace {

Result<> device_rules(const Resources& resources, const std::string& at) {
  return each(resources.devices, at + ".devices", [](const DeviceRule& rule, const std::string& here) -> Result<> {
    constexpr std::array<std::string_view, 3> kTypes{"a", "b", "c"};
    if (!rule.type.empty()) VPS_TRY(one_of(rule.type, kTypes, here + ".type"));
    // -1 is what engines write for "any".
    if (rule.major && *rule.major < -1) return bad(here + ".major", "{} is negative", *rule.major);
    if (rule.minor && *rule.minor < -1) return bad(here + ".minor", "{} is negative", *rule.minor);
    if (rule.access.find_first_not_of("rwm") != std::string::npos)
      return bad(here + ".access", "'{}' is not made of r, w and m", rule.access);
    return {};
  });
}

Result<> memory(const Resources& resources, const std::string& at) {
  if (!resources.memory) return {};
  const auto& limits = *resources.memory;
  using Entry = std::pair<std::string_view, std::optional<std::int64_t>>;
  const std::array<Entry, 5> values{{{"limit", limits.limit},
                                     {"reservation", limits.reservation},
                                     {"swap", limits.swap},
                                     {"kernel", limits.kernel},
                                     {"kernelTCP", limits.kernel_tcp}}};
  for (const auto& [key, value] : values)
    if (value && *value < -1) return bad(fmt::format("{}.memory.{}", at, key), "{} is negative (-1 is no limit)", *value);
  if (limits.swappiness && *limits.swappiness > 100)
    return bad(at + ".memory.swappiness", "{} is not within 0..100", *limits.swappiness);
  // The swap value is memory and swap together.
  if (limits.limit.value_or(0) > 0 && limits.swap.value_or(0) > 0 && *limits.swap < *limits.limit)
    return bad(at + ".memory.swap", "{} is below the memory limit {}, which it includes", *limits.swap, *limits.limit);
  return {};
}

Result<> cpu(const Resources& resources, const std::string& at) {
  if (!resources.cpu) return {};
  const auto& limits = *resources.cpu;
  if (limits.quota && *limits.quota < -1) return bad(at + ".cpu.quota", "{} is negative (-1 is no limit)", *limits.quota);
  if (limits.idle && *limits.idle != 0 && *limits.idle != 1) return bad(at + ".cpu.idle", "{} is not 0 or 1", *limits.idle);
  VPS_TRY(number_list(limits.cpus, at + ".cpu.cpus"));
  return number_list(limits.mems, at + ".cpu.mems");
}

Result<> block_io(const Resources& resources, const std::string& at) {
  if (!resources.block_io) return {};
  const auto& io = *resources.block_io;
  auto weight = [](std::optional<std::uint16_t> value, const std::string& here) -> Result<> {
    // 0 is what engines write for "not set".
    if (value.value_or(0) != 0 && (*value < 10 || *value > 1000)) return bad(here, "{} is not within 10..1000", *value);
    return {};
  };
  auto numbers = [](const auto& device, const std::string& here) -> Result<> {
    if (device.major < 0) return bad(here + ".major", "{} is negative", device.major);
    if (device.minor < 0) return bad(here + ".minor", "{} is negative", device.minor);
    return {};
  };
  auto weights = [&](const WeightDevice& device, const std::string& here) -> Result<> {
    VPS_TRY(numbers(device, here));
    VPS_TRY(weight(device.weight, here + ".weight"));
    return weight(device.leaf_weight, here + ".leafWeight");
  };
  VPS_TRY(weight(io.weight, at + ".blockIO.weight"));
  VPS_TRY(weight(io.leaf_weight, at + ".blockIO.leafWeight"));
  VPS_TRY(each(io.weight_device, at + ".blockIO.weightDevice", weights));
  VPS_TRY(each(io.throttle_read_bps, at + ".blockIO.throttleReadBpsDevice", numbers));
  VPS_TRY(each(io.throttle_write_bps, at + ".blockIO.throttleWriteBpsDevice", numbers));
  VPS_TRY(each(io.throttle_read_iops, at + ".blockIO.throttleReadIOPSDevice", numbers));
  return each(io.throttle_write_iops, at + ".blockIO.throttleWriteIOPSDevice", numbers);
}

Result<> hugepages(const Resources& resources, const std::string& at) {
  return each(resources.hugepage_limits, at + ".hugepageLimits", [](const HugepageLimit& limit, const std::string& here) -> Result<> {
    const std::string_view size = limit.page_size;
    auto digits = size.find_first_not_of("0123456789");
    const bool good = digits != 0 && digits != size.npos && size[0] != '0' &&
                      (size.substr(digits) == "KB" || size.substr(digits) == "MB" || size.substr(digits) == "GB");
    if (!good) return bad(here + ".pageSize", "'{}' is not a page size like 2MB", size);
    return {};
  });
}

Result<> priorities(const Resources& resources, const std::string& at) {
  if (!resources.network) return {};
  return each(resources.network->priorities, at + ".network.priorities",
              [](const InterfacePriority& entry, const std::string& here) -> Result<> {
                if (entry.name.empty()) return bad(here + ".name", "is empty");
                return {};
              });
}

Result<> unified(const Resources& resources, const std::string& at) {
  for (const auto& [file, value] : resources.unified)
    if (file.empty() || file.starts_with('.') || file.find('/') != file.npos)
      return bad(at + ".unified", "'{}' is not the name of a cgroup file", file);
  return {};
}

constexpr std::array<ResourcesCheck, 7> kResourcesChecks{device_rules, memory, cpu, block_io, hugepages, priorities, unified};

constexpr std::array<std::string_view, 9> kActions{
    "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW",        "SCMP_ACT_LOG",         "SCMP_ACT_NOTIFY"};

Result<> errno_return(const std::string& action, const std::optional<std::uint32_t>& value, const std::string& at) {
  if (!value) return {};
  if (action != "SCMP_ACT_ERRNO" && action != "SCMP_ACT_TRACE") return bad(at, "{} returns no errno", action);
  constexpr std::uint32_t kMost = 4095;  // the kernel's MAX_ERRNO; SCMP_ACT_TRACE takes 16 bits
  const std::uint32_t most = action == "SCMP_ACT_ERRNO" ? kMost : 0xffffU;
  if (*value > most) return bad(at, "{} is not within 0..{}", *value, most);
  return {};
}

Result<> seccomp_rule(const SeccompRule& rule, const std::string& at) {
  constexpr std::array<std::string_view, 7> kOperators{"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",       "SCMP_CMP_EQ",
                                                       "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
  if (rule.names.empty()) return bad(at + ".names", "is empty");
  // Hundreds of names: where one stands is put into words only when it is bad.
  auto nameless = std::ranges::find(rule.names, "");
  if (nameless != rule.names.end())
    return bad(item(at + ".names", static_cast<std::size_t>(nameless - rule.names.begin())), "is empty");
  VPS_TRY(one_of(rule.action, kActions, at + ".action"));
  VPS_TRY(errno_return(rule.action, rule.errno_ret, at + ".errnoRet"));
  return each(rule.args, at + ".args", [&](const SeccompArg& arg, const std::string& here) -> Result<> {
    if (arg.index > 5) return bad(here + ".index", "{} is not within 0..5", arg.index);
    return one_of(arg.op, kOperators, here + ".op");
  });
}

}  // namespace

Result<> check_resources(const Resources& resources, const std::string& at) {
  for (auto check : kResourcesChecks) VPS_TRY(check(resources, at));
  return {};
}

Result<> check_seccomp(const Seccomp& seccomp, const std::string& at) {
  constexpr std::array<std::string_view, 20> kArchitectures{
      "SCMP_ARCH_X86",         "SCMP_ARCH_X86_64",  "SCMP_ARCH_X32",       "SCMP_ARCH_ARM",      "SCMP_ARCH_AARCH64",
      "SCMP_ARCH_MIPS",        "SCMP_ARCH_MIPS64",  "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL",   "SCMP_ARCH_MIPSEL64",
      "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",     "SCMP_ARCH_PPC64",     "SCMP_ARCH_PPC64LE",  "SCMP_ARCH_S390",
      "SCMP_ARCH_S390X",       "SCMP_ARCH_PARISC",  "SCMP_ARCH_PARISC64",  "SCMP_ARCH_RISCV64",  "SCMP_ARCH_LOONGARCH64"};
  constexpr std::array<std::string_view, 4> kFlags{"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
                                                   "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                                                   "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
  VPS_TRY(one_of(seccomp.default_action, kActions, at + ".defaultAction"));
  // The process that takes the listener's answers over would itself stop at its first system call.
  if (seccomp.default_action == "SCMP_ACT_NOTIFY") return bad(at + ".defaultAction", "SCMP_ACT_NOTIFY cannot be the default");
  VPS_TRY(errno_return(seccomp.default_action, seccomp.default_errno_ret, at + ".defaultErrnoRet"));
  VPS_TRY(each(seccomp.architectures, at + ".architectures",
               [&](const std::string& name, const std::string& here) { return one_of(name, kArchitectures, here); }));
  VPS_TRY(each(seccomp.flags, at + ".flags",
               [&](const std::string& name, const std::string& here) { return one_of(name, kFlags, here); }));
  VPS_TRY(each(seccomp.syscalls, at + ".syscalls", seccomp_rule));
  const bool notifies = std::any_of(seccomp.syscalls.begin(), seccomp.syscalls.end(),
                                    [](const SeccompRule& rule) { return rule.action == "SCMP_ACT_NOTIFY"; });
  if (notifies && seccomp.listener_path.empty()) return bad(at + ".listenerPath", "missing, and SCMP_ACT_NOTIFY needs it");
  if (!seccomp.listener_path.empty() && !is_absolute(seccomp.listener_path))
    return bad(at + ".listenerPath", "'{}' is not an absolute path", seccomp.listener_path);
  if (!seccomp.listener_metadata.empty() && seccomp.listener_path.empty())
    return bad(at + ".listenerMetadata", "is only for a listenerPath");
  return {};
}

}  // namespace vps::oci::checks
