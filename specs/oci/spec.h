// The OCI runtime-spec 1.3.0 configuration (config.json) as plain data: the one description from which every container of
// this project is built, VPS or OCI. Field names follow the specification's JSON keys, in snake_case; std::optional means
// "absent from the file", which the specification distinguishes from zero. Sizes are bytes, times microseconds unless said.
// Source: opencontainers/runtime-spec v1.3.0, config.md and config-linux.md. Plain values, freely copyable between threads.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace vps::oci {

using Strings = std::vector<std::string>;
using StringMap = std::map<std::string, std::string>;

struct Box {  // consoleSize
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  bool operator==(const Box&) const = default;
};

struct User {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::optional<std::uint32_t> umask;
  std::vector<std::uint32_t> additional_gids;
  bool operator==(const User&) const = default;
};

struct Capabilities {  // names like "CAP_CHOWN"
  Strings bounding, effective, inheritable, permitted, ambient;
  bool operator==(const Capabilities&) const = default;
};

struct Rlimit {
  std::string type;  // "RLIMIT_NOFILE"
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
  bool operator==(const Rlimit&) const = default;
};

struct Scheduler {
  std::string policy;  // "SCHED_OTHER" ...
  std::int32_t nice = 0;
  std::int32_t priority = 0;
  Strings flags;  // "SCHED_FLAG_RESET_ON_FORK" ...
  std::uint64_t runtime = 0, deadline = 0, period = 0;  // nanoseconds, for SCHED_DEADLINE
  bool operator==(const Scheduler&) const = default;
};

struct IoPriority {
  std::string io_class;  // "IOPRIO_CLASS_BE" ...
  int priority = 0;
  bool operator==(const IoPriority&) const = default;
};

struct ExecCpuAffinity {
  std::string initial, final;
  bool operator==(const ExecCpuAffinity&) const = default;
};

struct Process {
  bool terminal = false;
  std::optional<Box> console_size;
  User user;
  Strings args;
  Strings env;
  std::string cwd = "/";
  std::optional<Capabilities> capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::string apparmor_profile;
  std::string selinux_label;
  std::optional<int> oom_score_adj;
  std::optional<Scheduler> scheduler;
  std::optional<IoPriority> io_priority;
  std::optional<ExecCpuAffinity> exec_cpu_affinity;
  bool operator==(const Process&) const = default;
};

struct Root {
  std::string path;
  bool readonly = false;
  bool operator==(const Root&) const = default;
};

struct IdMapping {
  std::uint32_t container_id = 0;
  std::uint32_t host_id = 0;
  std::uint32_t size = 0;
  bool operator==(const IdMapping&) const = default;
};

struct Mount {
  std::string destination;
  std::string type;
  std::string source;
  Strings options;
  std::vector<IdMapping> uid_mappings, gid_mappings;
  bool operator==(const Mount&) const = default;
};

struct Hook {
  std::string path;
  Strings args;
  Strings env;
  std::optional<int> timeout;  // seconds
  bool operator==(const Hook&) const = default;
};

struct Hooks {
  std::vector<Hook> prestart, create_runtime, create_container, start_container, poststart, poststop;
  bool operator==(const Hooks&) const = default;
};

struct Namespace {
  std::string type;  // "pid" "network" "mount" "ipc" "uts" "user" "cgroup" "time"
  std::string path;  // empty: create a new one
  bool operator==(const Namespace&) const = default;
};

struct Device {
  std::string path;
  std::string type;  // "c" "b" "u" "p"
  std::int64_t major = 0, minor = 0;
  std::optional<std::uint32_t> file_mode;
  std::optional<std::uint32_t> uid, gid;
  bool operator==(const Device&) const = default;
};

struct DeviceRule {
  bool allow = false;
  std::string type;                        // "a" "b" "c"; empty is "a"
  std::optional<std::int64_t> major, minor;  // absent: any
  std::string access;                      // of "rwm"; empty is "rwm"
  bool operator==(const DeviceRule&) const = default;
};

struct MemoryLimits {
  std::optional<std::int64_t> limit, reservation, swap, kernel, kernel_tcp;  // -1: unlimited
  std::optional<std::uint64_t> swappiness;
  std::optional<bool> disable_oom_killer, use_hierarchy, check_before_update;
  bool operator==(const MemoryLimits&) const = default;
};

struct CpuLimits {
  std::optional<std::uint64_t> shares;
  std::optional<std::int64_t> quota;       // microseconds per period, -1: none
  std::optional<std::uint64_t> burst;
  std::optional<std::uint64_t> period;
  std::optional<std::int64_t> realtime_runtime;
  std::optional<std::uint64_t> realtime_period;
  std::string cpus, mems;
  std::optional<std::int64_t> idle;
  bool operator==(const CpuLimits&) const = default;
};

struct PidsLimit {
  std::optional<std::int64_t> limit;  // <= 0: unlimited
  bool operator==(const PidsLimit&) const = default;
};

struct WeightDevice {
  std::int64_t major = 0, minor = 0;
  std::optional<std::uint16_t> weight, leaf_weight;
  bool operator==(const WeightDevice&) const = default;
};

struct ThrottleDevice {
  std::int64_t major = 0, minor = 0;
  std::uint64_t rate = 0;  // bytes or operations per second
  bool operator==(const ThrottleDevice&) const = default;
};

struct BlockIo {
  std::optional<std::uint16_t> weight, leaf_weight;  // 10..1000
  std::vector<WeightDevice> weight_device;
  std::vector<ThrottleDevice> throttle_read_bps, throttle_write_bps, throttle_read_iops, throttle_write_iops;
  bool operator==(const BlockIo&) const = default;
};

struct HugepageLimit {
  std::string page_size;  // "2MB"
  std::uint64_t limit = 0;
  bool operator==(const HugepageLimit&) const = default;
};

struct InterfacePriority {
  std::string name;
  std::uint32_t priority = 0;
  bool operator==(const InterfacePriority&) const = default;
};

struct NetworkLimits {
  std::optional<std::uint32_t> class_id;
  std::vector<InterfacePriority> priorities;
  bool operator==(const NetworkLimits&) const = default;
};

struct RdmaLimit {
  std::optional<std::uint32_t> hca_handles, hca_objects;
  bool operator==(const RdmaLimit&) const = default;
};

struct Resources {
  std::vector<DeviceRule> devices;
  std::optional<MemoryLimits> memory;
  std::optional<CpuLimits> cpu;
  std::optional<PidsLimit> pids;
  std::optional<BlockIo> block_io;
  std::vector<HugepageLimit> hugepage_limits;
  std::optional<NetworkLimits> network;
  std::map<std::string, RdmaLimit> rdma;
  StringMap unified;  // cgroup v2 file -> value, e.g. "memory.high"
  bool operator==(const Resources&) const = default;
};

struct SeccompArg {
  std::uint32_t index = 0;
  std::uint64_t value = 0, value_two = 0;
  std::string op;  // "SCMP_CMP_EQ" ...
  bool operator==(const SeccompArg&) const = default;
};

struct SeccompRule {
  Strings names;
  std::string action;  // "SCMP_ACT_ALLOW" ...
  std::optional<std::uint32_t> errno_ret;
  std::vector<SeccompArg> args;
  bool operator==(const SeccompRule&) const = default;
};

struct Seccomp {
  std::string default_action;
  std::optional<std::uint32_t> default_errno_ret;
  Strings architectures;  // "SCMP_ARCH_X86_64" ...
  Strings flags;          // "SECCOMP_FILTER_FLAG_LOG" ...
  std::string listener_path, listener_metadata;
  std::vector<SeccompRule> syscalls;
  bool operator==(const Seccomp&) const = default;
};

struct IntelRdt {
  std::string clos_id, l3_cache_schema, mem_bw_schema;
  Strings schemata;
  bool enable_monitoring = false;
  bool operator==(const IntelRdt&) const = default;
};

struct Personality {
  std::string domain;  // "LINUX" "LINUX32"
  Strings flags;
  bool operator==(const Personality&) const = default;
};

struct TimeOffset {
  std::int64_t secs = 0;
  std::uint32_t nanosecs = 0;
  bool operator==(const TimeOffset&) const = default;
};

struct MemoryPolicy {
  std::string mode;  // "MPOL_BIND" ...
  std::string nodes;
  Strings flags;
  bool operator==(const MemoryPolicy&) const = default;
};

struct NetDevice {
  std::string name;  // inside; empty keeps the host's
  bool operator==(const NetDevice&) const = default;
};

struct Linux {
  std::vector<Namespace> namespaces;
  std::vector<IdMapping> uid_mappings, gid_mappings;
  std::map<std::string, TimeOffset> time_offsets;  // "monotonic", "boottime"
  std::vector<Device> devices;
  std::map<std::string, NetDevice> net_devices;
  std::string cgroups_path;
  std::optional<Resources> resources;
  std::optional<IntelRdt> intel_rdt;
  std::optional<MemoryPolicy> memory_policy;
  StringMap sysctl;
  std::optional<Seccomp> seccomp;
  std::string rootfs_propagation;
  Strings masked_paths, readonly_paths;
  std::string mount_label;
  std::optional<Personality> personality;
  bool operator==(const Linux&) const = default;
};

struct Spec {
  std::string oci_version = "1.3.0";
  std::optional<Root> root;
  std::optional<Process> process;
  std::string hostname, domainname;
  std::vector<Mount> mounts;
  std::optional<Hooks> hooks;
  StringMap annotations;
  std::optional<Linux> linux_;
  bool operator==(const Spec&) const = default;
};

}  // namespace vps::oci
