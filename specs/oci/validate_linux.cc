// The checks of the "linux" section. Sources: runtime-spec config-linux.md, user_namespaces(7), time_namespaces(7),
// namespaces(7), set_mempolicy(2).
#include <map>
#include <set>

#include "specs/oci/checks.h"

namespace vps::oci::checks {

Result<> id_mappings(const std::vector<IdMapping>& maps, const std::string& at) {
  if (maps.empty()) return bad(at, "is empty");
  constexpr std::size_t kMost = 340;  // lines that the kernel takes since Linux 4.15
  if (maps.size() > kMost) return bad(at, "has more than {} entries", kMost);
  constexpr std::uint64_t kEnd = UINT32_MAX;  // the last value is no id
  using Range = std::pair<std::uint64_t, std::uint64_t>;
  std::vector<Range> inside, outside;
  std::size_t index = 0;
  for (const auto& map : maps) {
    auto here = item(at, index++);
    if (map.size == 0) return bad(here + ".size", "is zero");
    if (std::uint64_t{map.container_id} + map.size > kEnd || std::uint64_t{map.host_id} + map.size > kEnd)
      return bad(here, "leaves the 32-bit ids");
    inside.emplace_back(map.container_id, std::uint64_t{map.container_id} + map.size);
    outside.emplace_back(map.host_id, std::uint64_t{map.host_id} + map.size);
  }
  for (auto* ranges : {&inside, &outside}) {
    std::sort(ranges->begin(), ranges->end());
    for (std::size_t i = 1; i < ranges->size(); ++i)
      if ((*ranges)[i].first < (*ranges)[i - 1].second)
        return bad(at, "two entries share {} id {}", ranges == &inside ? "container" : "host", (*ranges)[i].first);
  }
  return {};
}

namespace {

Result<> check_namespaces(const Spec& spec) {
  constexpr std::array<std::string_view, 8> kTypes{"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"};
  std::set<std::string_view> seen;
  return each(spec.linux_->namespaces, "linux.namespaces", [&](const Namespace& entry, const std::string& at) -> Result<> {
    VPS_TRY(one_of(entry.type, kTypes, at + ".type"));
    if (!seen.insert(entry.type).second) return bad(at + ".type", "{} stands twice", entry.type);
    if (!entry.path.empty() && !is_absolute(entry.path))
      return bad(at + ".path", "'{}' is not an absolute path", entry.path);
    return {};
  });
}

Result<> check_id_maps(const Spec& spec) {
  const auto& lx = *spec.linux_;
  const bool any = !lx.uid_mappings.empty() || !lx.gid_mappings.empty();
  if (!has_namespace(spec, "user")) {
    if (any) return bad(lx.uid_mappings.empty() ? "linux.gidMappings" : "linux.uidMappings",
                        "needs a user namespace in linux.namespaces");
    return {};
  }
  // A namespace that is joined brings its maps along; the file may repeat them.
  if (!any && !has_new_namespace(spec, "user")) return {};
  VPS_TRY(id_mappings(lx.uid_mappings, "linux.uidMappings"));
  return id_mappings(lx.gid_mappings, "linux.gidMappings");
}

Result<> check_time_offsets(const Spec& spec) {
  if (spec.linux_->time_offsets.empty()) return {};
  if (!has_new_namespace(spec, "time"))
    return bad("linux.timeOffsets", "needs a new time namespace in linux.namespaces");
  constexpr std::array<std::string_view, 2> kClocks{"monotonic", "boottime"};
  for (const auto& [clock, offset] : spec.linux_->time_offsets) {
    VPS_TRY(one_of(clock, kClocks, "linux.timeOffsets"));
    if (offset.nanosecs > 999'999'999U)
      return bad(fmt::format("linux.timeOffsets.{}.nanosecs", clock), "{} is not below a second", offset.nanosecs);
  }
  return {};
}

Result<> check_devices(const Spec& spec) {
  constexpr std::array<std::string_view, 4> kTypes{"c", "b", "u", "p"};
  std::map<std::string_view, const Device*> seen;
  return each(spec.linux_->devices, "linux.devices", [&](const Device& device, const std::string& at) -> Result<> {
    if (!is_absolute(device.path)) return bad(at + ".path", "'{}' is not an absolute path", device.path);
    VPS_TRY(one_of(device.type, kTypes, at + ".type"));
    if (device.type != "p") {
      if (device.major < 0 || device.major > 0xfff) return bad(at + ".major", "{} is not within 0..4095", device.major);
      if (device.minor < 0 || device.minor > 0xfffff)
        return bad(at + ".minor", "{} is not within 0..1048575", device.minor);
    }
    // Engines write the file type into the mode as stat(2) does (S_IFCHR ...); only unknown bits are wrong.
    if (device.file_mode && *device.file_mode > 0177777U) return bad(at + ".fileMode", "{} is no file mode", *device.file_mode);
    auto [place, is_new] = seen.emplace(device.path, &device);
    if (!is_new && *place->second != device) return bad(at + ".path", "{} stands twice with different values", device.path);
    return {};
  });
}

bool is_interface_name(std::string_view name) {
  constexpr std::size_t kMost = 15;  // IFNAMSIZ without its NUL
  auto good = [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != ':' && c != '%'; };
  return !name.empty() && name.size() <= kMost && name != "." && name != ".." && std::all_of(name.begin(), name.end(), good);
}

Result<> check_net_devices(const Spec& spec) {
  const auto& devices = spec.linux_->net_devices;
  if (devices.empty()) return {};
  if (!has_namespace(spec, "network")) return bad("linux.netDevices", "needs a network namespace in linux.namespaces");
  std::set<std::string_view> inside;
  for (const auto& [name, device] : devices) {
    if (!is_interface_name(name)) return bad("linux.netDevices", "'{}' is not an interface name", name);
    auto at = fmt::format("linux.netDevices.{}.name", name);
    if (!device.name.empty() && !is_interface_name(device.name)) return bad(at, "'{}' is not an interface name", device.name);
    const std::string_view target = device.name.empty() ? name : device.name;
    if (!inside.insert(target).second) return bad(at, "{} stands twice", target);
  }
  return {};
}

Result<> check_cgroups_path(const Spec& spec) {
  std::string_view rest = spec.linux_->cgroups_path;
  while (!rest.empty()) {
    auto slash = rest.find('/');
    if (rest.substr(0, slash) == "..") return bad("linux.cgroupsPath", "'{}' contains '..'", spec.linux_->cgroups_path);
    if (slash == rest.npos) break;
    rest.remove_prefix(slash + 1);
  }
  return {};
}

Result<> check_linux_resources(const Spec& spec) {
  if (!spec.linux_->resources) return {};
  return check_resources(*spec.linux_->resources, "linux.resources");
}

Result<> check_intel_rdt(const Spec& spec) {
  if (!spec.linux_->intel_rdt) return {};
  const auto& id = spec.linux_->intel_rdt->clos_id;
  if (id == "." || id == ".." || id.find('/') != id.npos || id.find('\n') != id.npos)
    return bad("linux.intelRdt.closID", "'{}' is not the name of a folder", id);
  return {};
}

Result<> check_memory_policy(const Spec& spec) {
  if (!spec.linux_->memory_policy) return {};
  const auto& policy = *spec.linux_->memory_policy;
  constexpr std::array<std::string_view, 7> kModes{"MPOL_DEFAULT",    "MPOL_BIND",           "MPOL_INTERLEAVE",
                                                   "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED",
                                                   "MPOL_PREFERRED_MANY", "MPOL_LOCAL"};
  constexpr std::array<std::string_view, 3> kFlags{"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"};
  VPS_TRY(one_of(policy.mode, kModes, "linux.memoryPolicy.mode"));
  VPS_TRY(each(policy.flags, "linux.memoryPolicy.flags",
               [&](const std::string& flag, const std::string& at) { return one_of(flag, kFlags, at); }));
  VPS_TRY(number_list(policy.nodes, "linux.memoryPolicy.nodes"));
  const bool takes_no_nodes = policy.mode == "MPOL_DEFAULT" || policy.mode == "MPOL_LOCAL";
  if (takes_no_nodes && !policy.nodes.empty()) return bad("linux.memoryPolicy.nodes", "{} takes none", policy.mode);
  if (!takes_no_nodes && policy.mode != "MPOL_PREFERRED" && policy.nodes.empty())
    return bad("linux.memoryPolicy.nodes", "{} needs some", policy.mode);
  return {};
}

// Which namespace owns a sysctl; "" for none, so that writing it would change the host.
std::string_view sysctl_namespace(std::string_view key) {
  constexpr std::array<std::string_view, 8> kIpc{"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
                                                 "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
                                                 "kernel.shm_rmid_forced"};
  constexpr std::array<std::string_view, 3> kIpcNext{"kernel.msg_next_id", "kernel.sem_next_id", "kernel.shm_next_id"};
  if (std::find(kIpc.begin(), kIpc.end(), key) != kIpc.end()) return "ipc";
  if (std::find(kIpcNext.begin(), kIpcNext.end(), key) != kIpcNext.end()) return "ipc";
  if (key.starts_with("fs.mqueue.")) return "ipc";
  if (key.starts_with("net.")) return "network";
  if (key == "kernel.domainname" || key == "kernel.hostname") return "uts";
  if (key.starts_with("user.")) return "user";
  return "";
}

// Every part must be a file name: in the dotted form "/" stands for a dot, so "//" would climb out of /proc/sys.
bool is_sysctl_name(std::string_view key) {
  while (true) {
    auto part = key.substr(0, key.find('.'));
    if (part.find_first_not_of('/') == part.npos) return false;
    if (part.size() == key.size()) return true;
    key.remove_prefix(part.size() + 1);
  }
}

Result<> check_sysctl(const Spec& spec) {
  for (const auto& [written, value] : spec.linux_->sysctl) {
    auto at = fmt::format("linux.sysctl.{}", written);
    auto key = written;
    // "net/ipv4/conf/eth0.1/forwarding" is the same as net.ipv4.conf.eth0/1.forwarding: the first separator decides.
    if (auto first = key.find_first_of("./"); first != key.npos && key[first] == '/')
      for (auto& c : key) c = c == '/' ? '.' : (c == '.' ? '/' : c);
    if (!is_sysctl_name(key)) return bad(at, "is not the name of a sysctl");
    auto owner = sysctl_namespace(key);
    if (owner.empty()) return bad(at, "belongs to no namespace; it would change the host");
    if (!has_namespace(spec, owner)) return bad(at, "needs a {} namespace in linux.namespaces", owner);
    if (key == "kernel.hostname" && !spec.hostname.empty()) return bad(at, "conflicts with hostname");
    if (key == "kernel.domainname" && !spec.domainname.empty()) return bad(at, "conflicts with domainname");
  }
  return {};
}

Result<> check_linux_seccomp(const Spec& spec) {
  if (!spec.linux_->seccomp) return {};
  return check_seccomp(*spec.linux_->seccomp, "linux.seccomp");
}

Result<> check_propagation(const Spec& spec) {
  if (spec.linux_->rootfs_propagation.empty()) return {};
  constexpr std::array<std::string_view, 8> kValues{"shared",  "slave",  "private",  "unbindable",
                                                    "rshared", "rslave", "rprivate", "runbindable"};
  return one_of(spec.linux_->rootfs_propagation, kValues, "linux.rootfsPropagation");
}

Result<> check_hidden_paths(const Spec& spec) {
  auto absolute = [](const std::string& path, const std::string& at) -> Result<> {
    if (!is_absolute(path)) return bad(at, "'{}' is not an absolute path", path);
    return {};
  };
  VPS_TRY(each(spec.linux_->masked_paths, "linux.maskedPaths", absolute));
  VPS_TRY(each(spec.linux_->readonly_paths, "linux.readonlyPaths", absolute));
  const bool any = !spec.linux_->masked_paths.empty() || !spec.linux_->readonly_paths.empty();
  if (any && !has_namespace(spec, "mount"))
    return bad(spec.linux_->masked_paths.empty() ? "linux.readonlyPaths" : "linux.maskedPaths",
               "needs a mount namespace in linux.namespaces");
  return {};
}

Result<> check_personality(const Spec& spec) {
  if (!spec.linux_->personality) return {};
  constexpr std::array<std::string_view, 2> kDomains{"LINUX", "LINUX32"};
  VPS_TRY(one_of(spec.linux_->personality->domain, kDomains, "linux.personality.domain"));
  if (!spec.linux_->personality->flags.empty())
    return bad("linux.personality.flags", "no flags are defined for Linux");
  return {};
}

constexpr std::array<SpecCheck, 14> kLinuxChecks{
    check_namespaces,      check_id_maps,   check_time_offsets,  check_devices, check_net_devices,
    check_cgroups_path,    check_linux_resources, check_intel_rdt, check_memory_policy, check_sysctl,
    check_linux_seccomp,   check_propagation, check_hidden_paths, check_personality};

}  // namespace

Result<> check_linux(const Spec& spec) {
  if (!spec.linux_) return {};
  for (auto check : kLinuxChecks) VPS_TRY(check(spec));
  return {};
}

}  // namespace vps::oci::checks
