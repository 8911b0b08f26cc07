// The one table of JSON keys: which member of which struct is called what in config.json. Reading and writing both walk
// it, so a key cannot be read and forgotten on writing. Source: runtime-spec v1.3.0 config.md, config-linux.md.
#pragma once

#include <tuple>

#include "specs/oci/spec.h"

namespace vps::oci {

enum class Presence {
  kOptional,  // may be absent; not written while it has its default value
  kShown,     // may be absent; always written, because people and scripts look for it
  kRequired,  // absent is an error; always written
};

template <class T, class M>
struct Field {
  const char* key;
  M T::*member;
  Presence presence;
};

template <class T, class M>
constexpr Field<T, M> opt(const char* key, M T::*member) {
  return {key, member, Presence::kOptional};
}
template <class T, class M>
constexpr Field<T, M> show(const char* key, M T::*member) {
  return {key, member, Presence::kShown};
}
template <class T, class M>
constexpr Field<T, M> req(const char* key, M T::*member) {
  return {key, member, Presence::kRequired};
}

template <class T>
inline constexpr std::tuple<> kFields{};

template <class T>
concept HasFields = std::tuple_size_v<std::remove_cv_t<decltype(kFields<T>)>> != 0;

template <>
inline constexpr auto kFields<Box> = std::tuple{req("height", &Box::height), req("width", &Box::width)};

template <>
inline constexpr auto kFields<User> =
    std::tuple{show("uid", &User::uid), show("gid", &User::gid), opt("umask", &User::umask),
               opt("additionalGids", &User::additional_gids)};

template <>
inline constexpr auto kFields<Capabilities> =
    std::tuple{opt("bounding", &Capabilities::bounding), opt("effective", &Capabilities::effective),
               opt("inheritable", &Capabilities::inheritable), opt("permitted", &Capabilities::permitted),
               opt("ambient", &Capabilities::ambient)};

template <>
inline constexpr auto kFields<Rlimit> =
    std::tuple{req("type", &Rlimit::type), req("soft", &Rlimit::soft), req("hard", &Rlimit::hard)};

template <>
inline constexpr auto kFields<Scheduler> =
    std::tuple{req("policy", &Scheduler::policy),     opt("nice", &Scheduler::nice),
               opt("priority", &Scheduler::priority), opt("flags", &Scheduler::flags),
               opt("runtime", &Scheduler::runtime),   opt("deadline", &Scheduler::deadline),
               opt("period", &Scheduler::period)};

template <>
inline constexpr auto kFields<IoPriority> =
    std::tuple{req("class", &IoPriority::io_class), opt("priority", &IoPriority::priority)};

template <>
inline constexpr auto kFields<ExecCpuAffinity> =
    std::tuple{opt("initial", &ExecCpuAffinity::initial), opt("final", &ExecCpuAffinity::final)};

template <>
inline constexpr auto kFields<Process> =
    std::tuple{show("terminal", &Process::terminal),
               opt("consoleSize", &Process::console_size),
               show("user", &Process::user),
               show("args", &Process::args),
               opt("env", &Process::env),
               req("cwd", &Process::cwd),
               opt("capabilities", &Process::capabilities),
               opt("rlimits", &Process::rlimits),
               opt("noNewPrivileges", &Process::no_new_privileges),
               opt("apparmorProfile", &Process::apparmor_profile),
               opt("selinuxLabel", &Process::selinux_label),
               opt("oomScoreAdj", &Process::oom_score_adj),
               opt("scheduler", &Process::scheduler),
               opt("ioPriority", &Process::io_priority),
               opt("execCPUAffinity", &Process::exec_cpu_affinity)};

template <>
inline constexpr auto kFields<Root> = std::tuple{req("path", &Root::path), show("readonly", &Root::readonly)};

template <>
inline constexpr auto kFields<IdMapping> =
    std::tuple{req("containerID", &IdMapping::container_id), req("hostID", &IdMapping::host_id),
               req("size", &IdMapping::size)};

template <>
inline constexpr auto kFields<Mount> =
    std::tuple{req("destination", &Mount::destination), opt("type", &Mount::type),
               opt("source", &Mount::source),           opt("options", &Mount::options),
               opt("uidMappings", &Mount::uid_mappings), opt("gidMappings", &Mount::gid_mappings)};

template <>
inline constexpr auto kFields<Hook> = std::tuple{req("path", &Hook::path), opt("args", &Hook::args),
                                                 opt("env", &Hook::env), opt("timeout", &Hook::timeout)};

template <>
inline constexpr auto kFields<Hooks> =
    std::tuple{opt("prestart", &Hooks::prestart),
               opt("createRuntime", &Hooks::create_runtime),
               opt("createContainer", &Hooks::create_container),
               opt("startContainer", &Hooks::start_container),
               opt("poststart", &Hooks::poststart),
               opt("poststop", &Hooks::poststop)};

template <>
inline constexpr auto kFields<Namespace> = std::tuple{req("type", &Namespace::type), opt("path", &Namespace::path)};

template <>
inline constexpr auto kFields<Device> =
    std::tuple{req("path", &Device::path),   req("type", &Device::type),
               opt("major", &Device::major), opt("minor", &Device::minor),
               opt("fileMode", &Device::file_mode), opt("uid", &Device::uid),
               opt("gid", &Device::gid)};

template <>
inline constexpr auto kFields<DeviceRule> =
    std::tuple{req("allow", &DeviceRule::allow), opt("type", &DeviceRule::type), opt("major", &DeviceRule::major),
               opt("minor", &DeviceRule::minor), opt("access", &DeviceRule::access)};

template <>
inline constexpr auto kFields<MemoryLimits> =
    std::tuple{opt("limit", &MemoryLimits::limit),
               opt("reservation", &MemoryLimits::reservation),
               opt("swap", &MemoryLimits::swap),
               opt("kernel", &MemoryLimits::kernel),
               opt("kernelTCP", &MemoryLimits::kernel_tcp),
               opt("swappiness", &MemoryLimits::swappiness),
               opt("disableOOMKiller", &MemoryLimits::disable_oom_killer),
               opt("useHierarchy", &MemoryLimits::use_hierarchy),
               opt("checkBeforeUpdate", &MemoryLimits::check_before_update)};

template <>
inline constexpr auto kFields<CpuLimits> =
    std::tuple{opt("shares", &CpuLimits::shares),
               opt("quota", &CpuLimits::quota),
               opt("burst", &CpuLimits::burst),
               opt("period", &CpuLimits::period),
               opt("realtimeRuntime", &CpuLimits::realtime_runtime),
               opt("realtimePeriod", &CpuLimits::realtime_period),
               opt("cpus", &CpuLimits::cpus),
               opt("mems", &CpuLimits::mems),
               opt("idle", &CpuLimits::idle)};

template <>
inline constexpr auto kFields<PidsLimit> = std::tuple{opt("limit", &PidsLimit::limit)};

template <>
inline constexpr auto kFields<WeightDevice> =
    std::tuple{req("major", &WeightDevice::major), req("minor", &WeightDevice::minor),
               opt("weight", &WeightDevice::weight), opt("leafWeight", &WeightDevice::leaf_weight)};

template <>
inline constexpr auto kFields<ThrottleDevice> = std::tuple{
    req("major", &ThrottleDevice::major), req("minor", &ThrottleDevice::minor), req("rate", &ThrottleDevice::rate)};

template <>
inline constexpr auto kFields<BlockIo> =
    std::tuple{opt("weight", &BlockIo::weight),
               opt("leafWeight", &BlockIo::leaf_weight),
               opt("weightDevice", &BlockIo::weight_device),
               opt("throttleReadBpsDevice", &BlockIo::throttle_read_bps),
               opt("throttleWriteBpsDevice", &BlockIo::throttle_write_bps),
               opt("throttleReadIOPSDevice", &BlockIo::throttle_read_iops),
               opt("throttleWriteIOPSDevice", &BlockIo::throttle_write_iops)};

template <>
inline constexpr auto kFields<HugepageLimit> =
    std::tuple{req("pageSize", &HugepageLimit::page_size), req("limit", &HugepageLimit::limit)};

template <>
inline constexpr auto kFields<InterfacePriority> =
    std::tuple{req("name", &InterfacePriority::name), req("priority", &InterfacePriority::priority)};

template <>
inline constexpr auto kFields<NetworkLimits> =
    std::tuple{opt("classID", &NetworkLimits::class_id), opt("priorities", &NetworkLimits::priorities)};

template <>
inline constexpr auto kFields<RdmaLimit> =
    std::tuple{opt("hcaHandles", &RdmaLimit::hca_handles), opt("hcaObjects", &RdmaLimit::hca_objects)};

template <>
inline constexpr auto kFields<Resources> =
    std::tuple{opt("devices", &Resources::devices),
               opt("memory", &Resources::memory),
               opt("cpu", &Resources::cpu),
               opt("pids", &Resources::pids),
               opt("blockIO", &Resources::block_io),
               opt("hugepageLimits", &Resources::hugepage_limits),
               opt("network", &Resources::network),
               opt("rdma", &Resources::rdma),
               opt("unified", &Resources::unified)};

template <>
inline constexpr auto kFields<SeccompArg> =
    std::tuple{req("index", &SeccompArg::index), req("value", &SeccompArg::value),
               opt("valueTwo", &SeccompArg::value_two), req("op", &SeccompArg::op)};

template <>
inline constexpr auto kFields<SeccompRule> =
    std::tuple{req("names", &SeccompRule::names), req("action", &SeccompRule::action),
               opt("errnoRet", &SeccompRule::errno_ret), opt("args", &SeccompRule::args)};

template <>
inline constexpr auto kFields<Seccomp> =
    std::tuple{req("defaultAction", &Seccomp::default_action),
               opt("defaultErrnoRet", &Seccomp::default_errno_ret),
               opt("architectures", &Seccomp::architectures),
               opt("flags", &Seccomp::flags),
               opt("listenerPath", &Seccomp::listener_path),
               opt("listenerMetadata", &Seccomp::listener_metadata),
               opt("syscalls", &Seccomp::syscalls)};

template <>
inline constexpr auto kFields<IntelRdt> =
    std::tuple{opt("closID", &IntelRdt::clos_id), opt("schemata", &IntelRdt::schemata),
               opt("l3CacheSchema", &IntelRdt::l3_cache_schema), opt("memBwSchema", &IntelRdt::mem_bw_schema),
               opt("enableMonitoring", &IntelRdt::enable_monitoring)};

template <>
inline constexpr auto kFields<Personality> =
    std::tuple{req("domain", &Personality::domain), opt("flags", &Personality::flags)};

template <>
inline constexpr auto kFields<TimeOffset> =
    std::tuple{opt("secs", &TimeOffset::secs), opt("nanosecs", &TimeOffset::nanosecs)};

template <>
inline constexpr auto kFields<MemoryPolicy> =
    std::tuple{req("mode", &MemoryPolicy::mode), opt("nodes", &MemoryPolicy::nodes), opt("flags", &MemoryPolicy::flags)};

template <>
inline constexpr auto kFields<NetDevice> = std::tuple{opt("name", &NetDevice::name)};

template <>
inline constexpr auto kFields<Linux> =
    std::tuple{opt("namespaces", &Linux::namespaces),
               opt("uidMappings", &Linux::uid_mappings),
               opt("gidMappings", &Linux::gid_mappings),
               opt("timeOffsets", &Linux::time_offsets),
               opt("devices", &Linux::devices),
               opt("netDevices", &Linux::net_devices),
               opt("cgroupsPath", &Linux::cgroups_path),
               opt("resources", &Linux::resources),
               opt("intelRdt", &Linux::intel_rdt),
               opt("memoryPolicy", &Linux::memory_policy),
               opt("sysctl", &Linux::sysctl),
               opt("seccomp", &Linux::seccomp),
               opt("rootfsPropagation", &Linux::rootfs_propagation),
               opt("maskedPaths", &Linux::masked_paths),
               opt("readonlyPaths", &Linux::readonly_paths),
               opt("mountLabel", &Linux::mount_label),
               opt("personality", &Linux::personality)};

template <>
inline constexpr auto kFields<Spec> =
    std::tuple{req("ociVersion", &Spec::oci_version),
               opt("process", &Spec::process),
               opt("root", &Spec::root),
               opt("hostname", &Spec::hostname),
               opt("domainname", &Spec::domainname),
               opt("mounts", &Spec::mounts),
               opt("hooks", &Spec::hooks),
               opt("linux", &Spec::linux_),
               opt("annotations", &Spec::annotations)};

}  // namespace vps::oci
