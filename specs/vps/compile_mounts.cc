// What a VPS sees as its file systems and devices. Sources: runtime-spec config-linux.md "Default Filesystems", "Default
// Devices"; what systemd asks of a container manager (its CONTAINER_INTERFACE document).
#include "specs/vps/compile_parts.h"

namespace vps::compile {
namespace {

oci::Mount file_system(std::string destination, std::string type, std::string source, oci::Strings options) {
  oci::Mount mount;
  mount.destination = std::move(destination);
  mount.type = std::move(type);
  mount.source = std::move(source);
  mount.options = std::move(options);
  return mount;
}

// A part of the VPS's own /proc that stays writable when /proc/sys turns read-only: a bind of a path below /proc onto itself
// is taken from the container's own tree, not from the host's (docs/design/security.md "Mounts").
oci::Mount writable_again(std::string path) {
  auto source = path;
  return file_system(std::move(path), "bind", std::move(source), {"bind", "nosuid", "nodev", "noexec"});
}

// Kernel parameters that belong to the VPS's own namespaces.
std::vector<std::string> own_parameters(bool user_namespace) {
  std::vector<std::string> paths = {
      "/proc/sys/net",           "/proc/sys/fs/mqueue",     "/proc/sys/kernel/msgmax",
      "/proc/sys/kernel/msgmnb", "/proc/sys/kernel/msgmni", "/proc/sys/kernel/sem",
      "/proc/sys/kernel/shmall", "/proc/sys/kernel/shmmax", "/proc/sys/kernel/shmmni",
      "/proc/sys/kernel/shm_rmid_forced"};
  // With a user namespace the kernel keeps these two to root of the host, and sethostname(2) does the same work.
  // /proc/sys/user asks for CAP_SYS_RESOURCE, which no VPS has unless it was given.
  if (!user_namespace) {
    paths.emplace_back("/proc/sys/kernel/hostname");
    paths.emplace_back("/proc/sys/kernel/domainname");
  }
  return paths;
}

// A tmpfs may not promise more than the VPS has. `divisor` is the part of the memory that the file system would get on a
// machine of that size; without a limit the kernel's own default stands.
oci::Strings sized(oci::Strings options, const Definition& definition, std::uint64_t divisor) {
  constexpr std::uint64_t kLeast = 4ull << 20;
  if (const auto& limit = definition.resources.memory.limit)
    options.push_back(fmt::format("size={}", std::max(limit->value / divisor, kLeast)));
  return options;
}

oci::Mount volume(const VpsMount& from, bool user_namespace) {
  oci::Strings options = {"rbind", "rprivate", "rnodev"};
  if (user_namespace) options.emplace_back("ridmap");
  if (from.readonly) options.emplace_back("rro");
  return file_system(from.target, "bind", from.source, std::move(options));
}

struct Node {
  const char* feature;  // "": always
  const char* path;     // to be made; "" when another mount provides it
  std::int64_t major, minor;  // -1: any
};

// /dev/console is a pseudo-terminal of the VPS's own, so the machine's console (5:1) is not here.
constexpr Node kNodes[] = {
    {"", "", 1, 3},    // null
    {"", "", 1, 5},    // zero
    {"", "", 1, 7},    // full
    {"", "", 1, 8},    // random
    {"", "", 1, 9},    // urandom
    {"", "", 5, 0},    // tty
    {"", "", 5, 2},    // ptmx
    {"", "", 136, -1},  // pts/*
    {"tun", "/dev/net/tun", 10, 200},
    {"fuse", "/dev/fuse", 10, 229},
};

bool wanted(const Node& node, const Definition& definition) {
  const std::string_view feature = node.feature;
  return feature.empty() || has_feature(definition, feature);
}

oci::DeviceRule rule(bool allow, std::string type, std::int64_t major, std::int64_t minor, std::string access) {
  oci::DeviceRule result;
  result.allow = allow;
  result.type = std::move(type);
  if (major >= 0) result.major = major;
  if (minor >= 0) result.minor = minor;
  result.access = std::move(access);
  return result;
}

}  // namespace

std::vector<oci::Mount> mounts(const CompileInput& input, const VpsPaths& paths) {
  const auto& definition = input.definition;
  const bool user_namespace = has_user_namespace(input);
  std::vector<oci::Mount> list;
  list.push_back(file_system("/proc", "proc", "proc", {"nosuid", "nodev", "noexec"}));
  // /proc/sys first: it is a mount of its own then, which turns read-only as it is. Covered by another one, all of these would be there twice.
  list.push_back(writable_again("/proc/sys"));
  for (auto& path : own_parameters(user_namespace)) list.push_back(writable_again(std::move(path)));
  // Read-only, which also keeps systemd from starting udev.
  list.push_back(file_system("/sys", "sysfs", "sysfs", {"nosuid", "nodev", "noexec", "ro"}));
  list.push_back(file_system("/sys/fs/cgroup", "cgroup2", "cgroup", {"nosuid", "nodev", "noexec"}));
  list.push_back(file_system("/dev", "tmpfs", "tmpfs", {"nosuid", "noexec", "mode=755", "size=4m"}));
  list.push_back(file_system("/dev/pts", "devpts", "devpts",
                             {"nosuid", "noexec", "newinstance", "gid=5", "mode=620", "ptmxmode=666"}));
  list.push_back(file_system("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "nodev", "noexec"}));
  list.push_back(file_system("/dev/shm", "tmpfs", "shm", sized({"nosuid", "nodev", "mode=1777"}, definition, 2)));
  list.push_back(file_system("/run", "tmpfs", "tmpfs", sized({"nosuid", "nodev", "mode=755"}, definition, 5)));
  // Holds the notify socket. A socket can be written to on a read-only mount.
  list.push_back(file_system("/run/host", "bind", paths.host_dir, {"bind", "rprivate", "ro", "nosuid", "nodev", "noexec"}));
  if (has_feature(definition, "nesting") && user_namespace) {
    // The kernel lets an unprivileged container mount a proc or sysfs only where it sees one that nothing covers; the VPS's
    // own stay masked, these two are it. Not read-only: what is mounted then would have to be so as well. Root of the host
    // could do anything with them, so a VPS without a user namespace does not get them.
    list.push_back(file_system("/dev/.nesting/proc", "proc", "proc", {"nosuid", "nodev", "noexec"}));
    list.push_back(file_system("/dev/.nesting/sys", "sysfs", "sysfs", {"nosuid", "nodev", "noexec"}));
  }
  for (const auto& mount : definition.mounts) list.push_back(volume(mount, user_namespace));
  return list;
}

std::vector<oci::Device> devices(const Definition& definition) {
  std::vector<oci::Device> list;
  for (const auto& node : kNodes) {
    if (!wanted(node, definition) || *node.path == '\0') continue;
    oci::Device device;
    device.path = node.path;
    device.type = "c";
    device.major = node.major;
    device.minor = node.minor;
    device.file_mode = 0666;
    device.uid = device.gid = 0;
    list.push_back(std::move(device));
  }
  return list;
}

std::vector<oci::DeviceRule> device_rules(const Definition& definition) {
  std::vector<oci::DeviceRule> list;
  list.push_back(rule(false, "a", -1, -1, "rwm"));
  // To make a node is harmless where it cannot be opened; package scripts do.
  list.push_back(rule(true, "c", -1, -1, "m"));
  list.push_back(rule(true, "b", -1, -1, "m"));
  for (const auto& node : kNodes)
    if (wanted(node, definition)) list.push_back(rule(true, "c", node.major, node.minor, "rwm"));
  return list;
}

}  // namespace vps::compile
