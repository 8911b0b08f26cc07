#include "runtime/init_plan.h"

#include <sched.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>

#include "namespaces/clone.h"

namespace vps::runtime {
namespace {

namespace ns = namespaces;

// runtime-spec config-linux.md "Default Devices"; /dev/console and /dev/ptmx are made apart.
std::vector<oci::Device> default_devices() {
  auto node = [](std::string path, std::int64_t major, std::int64_t minor) {
    oci::Device device;
    device.path = std::move(path);
    device.type = "c";
    device.major = major;
    device.minor = minor;
    device.file_mode = 0666;
    return device;
  };
  return {node("/dev/null", 1, 3),   node("/dev/zero", 1, 5),    node("/dev/full", 1, 7),
          node("/dev/random", 1, 8), node("/dev/urandom", 1, 9), node("/dev/tty", 5, 0)};
}

Result<> plan_namespaces(const oci::Linux& linux_, InitPlan& plan) {
  for (const auto& entry : linux_.namespaces) {
    std::uint64_t flag = ns::namespace_flag(entry.type);
    if (flag == 0) return fail(Code::kUsage, "linux.namespaces: unknown type '{}'", entry.type);
    if (!entry.path.empty()) {
      plan.joins.push_back({entry.type, entry.path, flag});
      continue;
    }
    if (entry.type == "cgroup")
      plan.new_cgroup_namespace = true;
    else if (entry.type == "time")
      plan.new_time_namespace = true;
    else
      plan.clone_flags |= flag;
    if (entry.type == "network") plan.new_network = true;
    if (entry.type == "user") plan.new_user = true;
  }
  auto joined = [&](std::string_view type) { return std::ranges::find(plan.joins, type, &InitPlan::Join::type) != plan.joins.end(); };
  plan.in_user_namespace = plan.new_user || joined("user");
  if ((plan.clone_flags & CLONE_NEWNS) == 0 && !joined("mount"))
    return fail(Code::kUsage, "linux.namespaces: without a mount namespace the container's mounts would be the host's");
  return {};
}

Result<PlannedMount> plan_mount(const oci::Mount& mount, const oci::Linux& linux_, const std::string& bundle) {
  PlannedMount planned;
  planned.options = VPS_TRY_CTX(mount.destination, ns::parse_mount_options(mount.options));
  planned.destination = mount.destination.starts_with('/') ? mount.destination : "/" + mount.destination;
  planned.source = mount.source;
  planned.uid_mappings = mount.uid_mappings;
  planned.gid_mappings = mount.gid_mappings;
  bool bind = planned.options.bind || mount.type == "bind" || mount.type == "rbind";
  if (!bind) {
    if (mount.type.empty()) return fail(Code::kUsage, "mount {}: no type", mount.destination);
    planned.fs_type = mount.type;
    return planned;
  }
  if (mount.source.empty()) return fail(Code::kUsage, "mount {}: a bind needs a source", mount.destination);
  planned.from_own_tree = mount.source == mount.destination && mount.source.starts_with("/proc/");
  if (!mount.source.starts_with('/')) planned.source = bundle + "/" + mount.source;
  bool maps = !planned.uid_mappings.empty() || !planned.gid_mappings.empty();
  if (maps) planned.options.idmap = true;
  if (planned.options.idmap && !maps && linux_.uid_mappings.empty())
    return fail(Code::kUsage, "mount {}: idmap without mappings or a user namespace", mount.destination);
  return planned;
}

// A mount of type "cgroup" shows the container's own groups, whatever the host has (config-linux.md "Control groups"): the v2
// tree alone is mounted where a new cgroup namespace makes our group its root, and our group bound where not. Beside v1
// hierarchies it is a tmpfs with our group of each. The type "cgroup2" is that file system, as any other type.
std::vector<PlannedMount> plan_cgroup_mount(const PlannedMount& mount, const InitPlan& plan, const std::vector<std::string>& places) {
  auto base = mount;
  base.options.data.clear();
  base.fs_type.clear();
  if (places.empty()) {
    if (plan.new_cgroup_namespace) {
      base.fs_type = "cgroup2";
    } else {
      base.source = "/sys/fs/cgroup";
      base.options.bind = base.options.recursive_bind = true;
    }
    return {base};
  }
  base.source = "cgroup";
  base.options.bind = true;
  if (places.size() == 1) {
    if (plan.new_cgroup_namespace)
      base.fs_type = "cgroup2";
    else
      base.cgroup = places[0];
    return {base};
  }
  auto folder = mount;
  folder.fs_type = folder.source = "tmpfs";
  folder.options.data = {{"mode", "755"}};
  folder.options.attr_set &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
  std::vector<PlannedMount> mounts{folder};
  for (const auto& name : places) {
    auto place = base;
    place.destination += "/" + name;
    place.cgroup = name;
    mounts.push_back(std::move(place));
  }
  if ((mount.options.attr_set & MOUNT_ATTR_RDONLY) != 0) {
    folder.options.remount = true;
    folder.options.attr_set = MOUNT_ATTR_RDONLY;
    folder.options.attr_clear = 0;
    folder.options.propagation.clear();
    mounts.push_back(std::move(folder));
  }
  return mounts;
}

// What may be put over files of /proc: figures that a container's own view replaces. Anything else there could catch what we
// write into /proc ourselves, or uncover what is masked (CVE-2019-16884, CVE-2025-52881).
Result<> check_proc_target(const PlannedMount& mount) {
  constexpr std::string_view kProc = "/proc";
  std::string_view target = mount.destination;
  if (!target.starts_with(kProc) || (target.size() > kProc.size() && target[kProc.size()] != '/')) return {};
  constexpr auto kAllowed = std::to_array<std::string_view>(
      {"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime", "/proc/loadavg", "/proc/slabinfo",
       "/proc/net/dev", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled"});
  while (target.size() > kProc.size() && target.ends_with('/')) target.remove_suffix(1);
  bool itself = target == kProc && (mount.fs_type == "proc" || (mount.fs_type.empty() && mount.source == kProc));
  if (itself || mount.from_own_tree || mount.options.remount || std::ranges::find(kAllowed, target) != kAllowed.end()) return {};
  return fail(Code::kNotAllowed, "mount {}: only proc itself and figures like /proc/meminfo can be mounted below /proc", mount.destination);
}

Result<std::uint64_t> plan_propagation(const std::string& name) {
  if (name.empty() || name == "rslave") return std::uint64_t{MS_SLAVE | MS_REC};
  if (name == "slave") return std::uint64_t{MS_SLAVE};
  if (name == "private") return std::uint64_t{MS_PRIVATE};
  if (name == "rprivate") return std::uint64_t{MS_PRIVATE | MS_REC};
  if (name == "shared") return std::uint64_t{MS_SHARED};
  if (name == "rshared") return std::uint64_t{MS_SHARED | MS_REC};
  if (name == "unbindable") return std::uint64_t{MS_UNBINDABLE};
  if (name == "runbindable") return std::uint64_t{MS_UNBINDABLE | MS_REC};
  return fail(Code::kUsage, "linux.rootfsPropagation: unknown value '{}'", name);
}

void plan_devices(const oci::Linux& linux_, bool host_nodes, int next_fd, InitPlan& plan) {
  auto devices = default_devices();
  const std::size_t defaults = devices.size();
  for (const auto& device : linux_.devices) {
    auto same = std::ranges::find(devices, device.path, &oci::Device::path);
    if (same != devices.end())
      *same = device;
    else
      devices.push_back(device);
  }
  for (std::size_t i = 0; i < devices.size(); ++i) {
    // The host's own node of a further device belongs to the host's root and could not be opened inside.
    bool made = plan.new_user && i >= defaults && !host_nodes;
    plan.devices.push_back(
        {.path = devices[i].path, .device = devices[i], .bind = plan.in_user_namespace, .fd_index = made ? next_fd++ : -1});
  }
}

}  // namespace

Result<InitPlan> make_init_plan(const InitPlanInput& input) {
  const oci::Spec& spec = *input.spec;
  if (!spec.linux_ || !spec.process) return fail(Code::kUsage, "config.json has no linux or no process section");
  InitPlan plan;
  VPS_TRY(plan_namespaces(*spec.linux_, plan));
  int fds = 0;
  for (const auto& mount : spec.mounts) {
    std::vector<PlannedMount> several{VPS_TRY(plan_mount(mount, *spec.linux_, input.bundle))};
    if (several[0].fs_type == "cgroup") several = plan_cgroup_mount(several[0], plan, input.cgroup_places);
    for (auto& planned : several) {
      VPS_TRY(check_proc_target(planned));
      if (planned.fs_type.empty() && !planned.from_own_tree && !planned.options.remount) planned.fd_index = fds++;
      plan.mounts.push_back(std::move(planned));
    }
  }
  plan_devices(*spec.linux_, input.host_device_nodes, fds, plan);
  plan.root_propagation = VPS_TRY(plan_propagation(spec.linux_->rootfs_propagation));
  plan.final_propagation = !spec.linux_->rootfs_propagation.empty();
  if (spec.process->capabilities) {
    plan.has_capabilities = true;
    plan.capabilities = ns::parse_capabilities(*spec.process->capabilities, &plan.unknown_capabilities);
  }
  if (spec.linux_->seccomp) {
    // Without no_new_privs the filter needs CAP_SYS_ADMIN (seccomp(2)): load it while the process still has it.
    constexpr int kCapSysAdmin = 21;
    bool keeps_admin = !plan.has_capabilities || ((plan.capabilities.effective >> kCapSysAdmin) & 1) != 0;
    // A notifying filter is handed to its agent before the container counts as created: there is nobody to take it later.
    const auto& rules = spec.linux_->seccomp->syscalls;
    bool notifies = std::ranges::find(rules, "SCMP_ACT_NOTIFY", &oci::SeccompRule::action) != rules.end();
    plan.seccomp_point = !notifies && (spec.process->no_new_privileges || (keeps_admin && spec.process->user.uid == 0))
                             ? SeccompPoint::kBeforeExec
                             : SeccompPoint::kBeforeCapabilities;
  }
  return plan;
}

std::vector<std::string> describe(const InitPlan& plan, const oci::Spec& spec) {
  std::vector<std::string> lines;
  std::uint64_t flags = plan.clone_flags;
  if (plan.new_cgroup_namespace) flags |= CLONE_NEWCGROUP;
  if (plan.new_time_namespace) flags |= ns::namespace_flag("time");
  lines.push_back(fmt::format("clone pid 1 with new namespaces: {}", ns::namespace_flag_names(flags)));
  for (const auto& join : plan.joins) lines.push_back(fmt::format("join {} namespace {}", join.type, join.path));
  if (!spec.linux_->uid_mappings.empty()) {
    const auto& map = spec.linux_->uid_mappings.front();
    lines.push_back(fmt::format("map ids {}-{} to {}-{} of the host", map.container_id, map.container_id + map.size - 1,
                                map.host_id, map.host_id + map.size - 1));
  }
  for (const auto& mount : plan.mounts) {
    std::string attrs = ns::mount_attr_names(mount.options.attr_set | mount.options.rec_attr_set);
    if (mount.options.idmap) attrs += attrs.empty() ? "idmap" : ",idmap";
    std::string suffix = attrs.empty() ? "" : fmt::format(" ({})", attrs);
    lines.push_back(mount.fs_type.empty() ? fmt::format("bind {} on {}{}", mount.source, mount.destination, suffix)
                                          : fmt::format("mount {} on {}{}", mount.fs_type, mount.destination, suffix));
  }
  for (const auto& device : plan.devices) lines.push_back(fmt::format("{} device {}", device.bind && device.fd_index < 0 ? "bind" : "make", device.path));
  if (!spec.hostname.empty()) lines.push_back(fmt::format("hostname {}", spec.hostname));
  for (const auto& [key, value] : spec.linux_->sysctl) lines.push_back(fmt::format("sysctl {} = {}", key, value));
  for (const auto& path : spec.linux_->masked_paths) lines.push_back(fmt::format("mask {}", path));
  for (const auto& path : spec.linux_->readonly_paths) lines.push_back(fmt::format("read-only {}", path));
  if (plan.has_capabilities)
    lines.push_back(fmt::format("keep {} capabilities", ns::capability_names(plan.capabilities.bounding).size()));
  if (plan.seccomp_point != SeccompPoint::kNone) lines.push_back("load the seccomp filter");
  std::string argv;
  for (const auto& arg : spec.process->args) argv += (argv.empty() ? "" : " ") + arg;
  lines.push_back(fmt::format("exec {}", argv));
  return lines;
}

}  // namespace vps::runtime
