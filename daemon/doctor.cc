#include "daemon/doctor.h"

#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>

#include "base/files.h"

namespace vps::daemon {
namespace {

using Findings = std::vector<Finding>;

void ok(Findings& out, std::string check, std::string message) {
  out.push_back({std::move(check), FindingStatus::kOk, std::move(message), ""});
}
void bad(Findings& out, std::string check, FindingStatus status, std::string message, std::string fix) {
  out.push_back({std::move(check), status, std::move(message), std::move(fix)});
}

std::string small_file(const std::string& path) {
  auto text = read_file(path, 64u << 10);
  if (!text) return {};
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *text;
}

void check_kernel(Findings& out) {
  utsname names{};
  unsigned major = 0;
  unsigned minor = 0;
  if (::uname(&names) != 0 || std::sscanf(names.release, "%u.%u", &major, &minor) != 2) {
    bad(out, "kernel", FindingStatus::kError, "its version cannot be read", "");
    return;
  }
  // Idmapped layers under overlay came last: 5.19.
  constexpr unsigned kMajor = 5;
  constexpr unsigned kMinor = 19;
  if (major > kMajor || (major == kMajor && minor >= kMinor)) return ok(out, "kernel", names.release);
  bad(out, "kernel", FindingStatus::kError, fmt::format("{} is older than {}.{}", names.release, kMajor, kMinor),
      "boot a kernel of at least 5.19 (idmapped layers under overlay, cgroup.kill, clone into a cgroup)");
}

void check_cgroups(Findings& out, const cgroups::Host& host) {
  if (host.unified_root.empty()) {
    bad(out, "cgroups", FindingStatus::kError, "no cgroup v2 hierarchy is mounted",
        "mount one: mount -t cgroup2 none /sys/fs/cgroup/unified, or boot with systemd.unified_cgroup_hierarchy=1");
    return;
  }
  if (host.layout == cgroups::Layout::kUnified) {
    ok(out, "cgroups", fmt::format("pure cgroup v2 at {}", host.unified_root));
  } else {
    bad(out, "cgroups", FindingStatus::kWarning,
        fmt::format("hybrid: v2 at {}, limits through v1 controllers; some limits cannot be expressed (vpsctl show says which)",
                    host.unified_root),
        "boot with cgroup_no_v1=all systemd.unified_cgroup_hierarchy=1 for all limits");
  }
  for (const char* controller : {"cpu", "cpuset", "memory", "pids"}) {
    if (host.has(controller)) continue;
    bad(out, fmt::format("cgroup controller {}", controller), FindingStatus::kWarning,
        "not there: its limits are not enforced", "enable it in the kernel or in the parent's cgroup.subtree_control");
  }
  if (!host.has("io") && !host.has("blkio"))
    bad(out, "cgroup controller io", FindingStatus::kWarning, "not there: io limits are not enforced", "enable CONFIG_BLK_CGROUP");
}

void check_sysctl(Findings& out, const std::string& proc, const std::string& key, std::uint64_t wanted, FindingStatus status,
                  const std::string& why) {
  std::string path = proc + "/sys/" + key;
  for (std::size_t i = proc.size() + 5; i < path.size(); ++i)
    if (path[i] == '.') path[i] = '/';
  std::string text = small_file(path);
  std::uint64_t value = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || parsed.ec != std::errc()) {
    bad(out, "sysctl " + key, FindingStatus::kWarning, "cannot be read", "");
  } else if (value < wanted) {
    bad(out, "sysctl " + key, status, fmt::format("{} is low: {}", value, why), fmt::format("sysctl -w {}={}", key, wanted));
  } else {
    ok(out, "sysctl " + key, std::to_string(value));
  }
}

struct Needed {
  int number;
  const char* name;
  FindingStatus status;
  const char* without;
};
constexpr std::array kCapabilities = {
    Needed{CAP_SYS_ADMIN, "CAP_SYS_ADMIN", FindingStatus::kError, "nothing can be mounted, no namespace made"},
    Needed{CAP_SETUID, "CAP_SETUID", FindingStatus::kError, "id maps cannot be written"},
    Needed{CAP_SETGID, "CAP_SETGID", FindingStatus::kError, "id maps cannot be written"},
    Needed{CAP_SYS_CHROOT, "CAP_SYS_CHROOT", FindingStatus::kError, "exec cannot enter a VPS"},
    Needed{CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE", FindingStatus::kError, "files of VPSes cannot be reached"},
    Needed{CAP_CHOWN, "CAP_CHOWN", FindingStatus::kError, "templates cannot be unpacked"},
    Needed{CAP_MKNOD, "CAP_MKNOD", FindingStatus::kError, "device nodes cannot be made"},
    Needed{CAP_KILL, "CAP_KILL", FindingStatus::kError, "processes of VPSes cannot be signalled"},
    Needed{CAP_SYS_PTRACE, "CAP_SYS_PTRACE", FindingStatus::kError, "namespaces of VPSes cannot be entered"},
    Needed{CAP_NET_ADMIN, "CAP_NET_ADMIN", FindingStatus::kWarning, "networks cannot be configured"},
    Needed{CAP_BPF, "CAP_BPF", FindingStatus::kWarning, "the device filter may not load"},
    Needed{CAP_SYSLOG, "CAP_SYSLOG", FindingStatus::kWarning, "OOM events cannot name the process"},
    Needed{CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE", FindingStatus::kWarning,
           "hard rlimits cannot be raised and oom_score_adj cannot be lowered"},
};

void check_capabilities(Findings& out, const std::string& proc) {
  constexpr std::string_view kKey = "CapEff:\t";
  std::string status = small_file(proc + "/self/status");
  auto at = status.find(kKey);
  std::uint64_t mask = 0;
  if (at != std::string::npos)
    std::from_chars(status.data() + at + kKey.size(), status.data() + status.size(), mask, 16);
  std::size_t missing = 0;
  for (const auto& each : kCapabilities) {
    if ((mask >> each.number & 1) != 0) continue;
    ++missing;
    bad(out, each.name, each.status, fmt::format("vpsd does not have it: {}", each.without),
        "start vpsd with it (CapabilityBoundingSet= of its unit, or of the container that this host is)");
  }
  if (missing == 0) ok(out, "capabilities", "vpsd has all that it needs");
}

void check_filesystems(Findings& out, const Services& services, const std::string& proc) {
  std::string known = small_file(proc + "/filesystems");
  if (known.find("\toverlay") == std::string::npos)
    bad(out, "overlay", FindingStatus::kError, "the kernel does not know overlay", "modprobe overlay");
  else
    ok(out, "overlay", "known to the kernel");

  const std::string& state = services.config.roots.state;
  struct statfs fs{};
  if (::statfs(state.c_str(), &fs) != 0) {
    bad(out, "state directory", FindingStatus::kError, fmt::format("{} cannot be read", state), "");
    return;
  }
  struct Type {
    unsigned long magic;
    const char* name;
  };
  constexpr unsigned long kXfs = 0x58465342;
  constexpr unsigned long kF2fs = 0xF2F52010;
  constexpr std::array kIdmappable = {Type{EXT4_SUPER_MAGIC, "ext4"}, Type{kXfs, "xfs"}, Type{BTRFS_SUPER_MAGIC, "btrfs"},
                                      Type{kF2fs, "f2fs"}, Type{TMPFS_MAGIC, "tmpfs (from 6.3)"}};
  const auto magic = static_cast<unsigned long>(fs.f_type);
  const Type* found = nullptr;
  for (const auto& type : kIdmappable)
    if (type.magic == magic) found = &type;
  if (magic == OVERLAYFS_SUPER_MAGIC) {
    bad(out, "idmapped mounts", FindingStatus::kError, fmt::format("{} is on overlay, which can neither be idmapped nor hold upper layers", state),
        "give it a file system of its own (ext4, xfs or btrfs): vpsd --state-dir");
  } else if (found != nullptr) {
    ok(out, "idmapped mounts", fmt::format("{} is on {}", state, found->name));
  } else {
    bad(out, "idmapped mounts", FindingStatus::kWarning, fmt::format("{} is on a file system that may not take them ({:#x})", state, magic),
        "use ext4, xfs or btrfs for it");
  }
  struct statvfs space{};
  if (::statvfs(state.c_str(), &space) != 0 || space.f_blocks == 0) return;
  const double free = static_cast<double>(space.f_bavail) / static_cast<double>(space.f_blocks);
  constexpr double kLittle = 0.05;
  auto message = fmt::format("{} free on {}", human_size(Bytes{space.f_bavail * space.f_frsize}), state);
  if (free < kLittle || (space.f_files != 0 && space.f_favail == 0))
    bad(out, "free space", FindingStatus::kWarning, message, "make room: creates fail and events stay in memory when it is full");
  else
    ok(out, "free space", message);
}

void check_own_state(Findings& out, const Services& services) {
  auto templates = services.templates.list();
  if (!templates || templates->empty())
    bad(out, "templates", FindingStatus::kWarning, "there is none", "vpsctl template build debian-12");
  else
    ok(out, "templates", fmt::format("{} templates", templates->size()));
  if (auto trouble = services.ledger->trouble(); !trouble.empty())
    bad(out, "event ledger", FindingStatus::kError, trouble, "make room or mend the file system; events are kept in memory meanwhile");
  else
    ok(out, "event ledger", "written");
  auto quarantine = list_dir(services.config.roots.state + "/quarantine");
  if (quarantine && !quarantine->empty())
    bad(out, "quarantine", FindingStatus::kWarning, fmt::format("{} files could not be read and were set aside", quarantine->size()),
        fmt::format("look into {}/quarantine, mend and put back or remove them", services.config.roots.state));
  for (const auto& container : services.registry.list()) {
    auto facts = container->snapshot();
    if (!facts.broken && !facts.doomed) continue;
    bad(out, "vps " + container->id, FindingStatus::kError, facts.error,
        facts.doomed ? "vpsctl destroy " + container->id : "vpsctl apply a good definition, or destroy it");
  }
}

}  // namespace

std::string_view finding_status_name(FindingStatus status) {
  switch (status) {
    case FindingStatus::kOk: return "ok";
    case FindingStatus::kWarning: return "warning";
    case FindingStatus::kError: return "error";
  }
  return "error";
}

std::vector<Finding> examine_host(const Services& services, const DoctorRoots& roots) {
  Findings out;
  const std::string& proc = roots.proc;
  check_kernel(out);
  check_cgroups(out, services.host);
  if (!path_exists(proc + "/self/ns/user"))
    bad(out, "user namespaces", FindingStatus::kError, "the kernel has none", "use a kernel with CONFIG_USER_NS");
  else
    check_sysctl(out, proc, "user.max_user_namespaces", 1024, FindingStatus::kError, "each VPS takes one or more");
  check_filesystems(out, services, proc);
  std::string actions = small_file(proc + "/sys/kernel/seccomp/actions_avail");
  if (actions.find("errno") == std::string::npos)
    bad(out, "seccomp", FindingStatus::kError, "the kernel has no seccomp filters", "use a kernel with CONFIG_SECCOMP_FILTER");
  else
    ok(out, "seccomp", "filters are available");
  check_capabilities(out, proc);
  check_sysctl(out, proc, "fs.inotify.max_user_instances", 1024, FindingStatus::kWarning, "each systemd takes some, of one pool for all root users");
  check_sysctl(out, proc, "fs.inotify.max_user_watches", 524288, FindingStatus::kWarning, "programs in VPSes share them");
  check_sysctl(out, proc, "kernel.pid_max", 131072, FindingStatus::kWarning, "all VPSes share the numbers");
  check_sysctl(out, proc, "kernel.keys.maxkeys", 2000, FindingStatus::kWarning, "each systemd takes some");
  if (path_exists(proc + "/pressure"))
    ok(out, "pressure", "PSI is on");
  else
    bad(out, "pressure", FindingStatus::kWarning, "PSI is off: stats have no pressure figures", "boot with psi=1");
  if (::access("/dev/kmsg", R_OK) == 0)
    ok(out, "kernel log", "readable: OOM events name the process");
  else
    bad(out, "kernel log", FindingStatus::kWarning, "/dev/kmsg cannot be read: OOM events cannot name the process",
        "make it available to vpsd");
  check_own_state(out, services);
  examine_networks(services, proc, out);
  return out;
}

}  // namespace vps::daemon
