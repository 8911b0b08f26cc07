#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/files.h"
#include "namespaces/mounts.h"
#include "namespaces/process.h"
#include "runtime/guest_files.h"
#include "runtime/init_steps.h"
#include "storage/copy_tree.h"

namespace vps::runtime::steps {
namespace {

namespace ns = namespaces;

Result<> apply_attributes(int mount_fd, const ns::MountOptions& options, bool also_own) {
  if (also_own && (options.attr_set | options.attr_clear) != 0)
    VPS_TRY(ns::set_mount_attr(mount_fd, options.attr_set, options.attr_clear, false));
  if ((options.rec_attr_set | options.rec_attr_clear) != 0)
    VPS_TRY(ns::set_mount_attr(mount_fd, options.rec_attr_set, options.rec_attr_clear, true));
  return {};
}

Result<> apply_propagation(int mount_fd, const ns::MountOptions& options) {
  for (auto propagation : options.propagation)
    VPS_TRY(ns::set_mount_attr(mount_fd, 0, 0, (propagation & MS_REC) != 0, propagation));
  return {};
}

// The copy brings the hidden directory's owner and mode along; what the options name stays as they say.
Result<> keep_named_attributes(int root_fd, const struct stat& named, const ns::MountOptions& options) {
  auto given = [&](std::string_view key) { return std::ranges::any_of(options.data, [&](const auto& entry) { return entry.first == key; }); };
  uid_t uid = given("uid") ? named.st_uid : static_cast<uid_t>(-1);
  gid_t gid = given("gid") ? named.st_gid : static_cast<gid_t>(-1);
  if ((given("uid") || given("gid")) && ::fchown(root_fd, uid, gid) != 0) return fail_errno(errno, "chown");
  if (given("mode") && ::fchmod(root_fd, named.st_mode & 07777) != 0) return fail_errno(errno, "chmod");
  return {};
}

// What the mount would hide goes into it first. It is not attached yet: nobody else sees it half full.
Result<> copy_up(int hidden_fd, int mount_fd, const ns::MountOptions& options) {
  bool readonly = (options.attr_set & MOUNT_ATTR_RDONLY) != 0;
  if (readonly) VPS_TRY(ns::set_mount_attr(mount_fd, 0, MOUNT_ATTR_RDONLY, false));
  auto from = VPS_TRY(open_at(hidden_fd, ".", O_RDONLY | O_DIRECTORY));
  auto into = VPS_TRY(open_at(mount_fd, ".", O_RDONLY | O_DIRECTORY));
  struct stat named{};
  if (::fstat(into.get(), &named) != 0) return fail_errno(errno, "stat");
  UniqueFd root(::fcntl(into.get(), F_DUPFD_CLOEXEC, 0));
  if (!root) return fail_errno(errno, "duplicate a descriptor");
  VPS_TRY(storage::copy_tree(from.get(), std::move(into), storage::Progress{}));
  VPS_TRY(keep_named_attributes(root.get(), named, options));
  if (readonly) VPS_TRY(ns::set_mount_attr(mount_fd, MOUNT_ATTR_RDONLY, 0, false));
  return {};
}

// The object that a mount goes on. For proc and sysfs a directory without any link on the way: masks, labels and sysctls are
// found by these names later (CVE-2019-19921, CVE-2023-28642). Onto a file of proc only by its own name, which the plan has
// checked; not through a link.
Result<UniqueFd> target_of(const InitContext& c, const PlannedMount& mount, bool directory) {
  if (mount.fs_type == "proc" || mount.fs_type == "sysfs") {
    auto plain = ns::directory_without_links(c.root.get(), mount.destination);
    if (!plain && plain.error().err() == ELOOP)
      return fail(Code::kNotAllowed, "{} must be an ordinary directory, not a symlink", mount.destination);
    return plain;
  }
  auto target = VPS_TRY(mount.options.dest_nofollow ? ns::mount_target_nofollow(c.root.get(), mount.destination, directory)
                                                    : ns::mount_target(c.root.get(), mount.destination, directory));
  if (ns::is_procfs(target.get()) && !mount.destination.starts_with("/proc"))
    return fail(Code::kNotAllowed, "{} leads into proc", mount.destination);
  return target;
}

Result<> mount_one(InitContext& c, const PlannedMount& mount) {
  const auto& options = mount.options;
  if (options.remount) {
    auto target = VPS_TRY(open_in_root(c.root.get(), mount.destination, O_PATH));
    return apply_attributes(target.get(), options, true);
  }
  if (mount.from_own_tree) {
    auto own = open_in_root(c.root.get(), mount.destination, O_PATH);
    if (!own && own.error().err() == ENOENT) return {};
    if (!own) return std::unexpected(std::move(own).error());
    auto copy = VPS_TRY(ns::clone_mount(own->get(), "", options.recursive_bind));
    VPS_TRY(apply_attributes(copy.get(), options, true));
    return ns::attach_mount(copy.get(), own->get());
  }
  if (mount.fd_index >= 0) {
    auto fd = c.mount_fds.find(mount.fd_index);
    if (fd == c.mount_fds.end()) return fail(Code::kFailed, "its source was not sent");
    auto target = VPS_TRY(target_of(c, mount, c.mount_is_dir[mount.fd_index]));
    VPS_TRY(ns::attach_mount(fd->second.get(), target.get()));
    return {};
  }
  auto fd = VPS_TRY(ns::make_mount(mount.fs_type, options.data, options.attr_set, mount.source));
  VPS_TRY(apply_attributes(fd.get(), options, false));
  auto target = VPS_TRY(target_of(c, mount, true));
  if (options.tmpcopyup) VPS_TRY_CTX("tmpcopyup", copy_up(target.get(), fd.get(), options));
  VPS_TRY(ns::attach_mount(fd.get(), target.get()));
  return apply_propagation(fd.get(), options);
}

mode_t device_type(const std::string& type) {
  if (type == "b") return S_IFBLK;
  if (type == "p") return S_IFIFO;
  return S_IFCHR;
}

Result<> bind_device(InitContext& c, const PlannedDevice& device) {
  UniqueFd source;
  if (device.fd_index >= 0)
    source = std::move(c.mount_fds[device.fd_index]);
  else
    source = VPS_TRY(ns::clone_mount(AT_FDCWD, device.device.path, false));
  struct stat st{};
  if (::fstat(source.get(), &st) != 0) return fail_errno(errno, "stat");
  bool same = (st.st_mode & S_IFMT) == device_type(device.device.type) &&
              (device.device.type == "p" || st.st_rdev == makedev(static_cast<unsigned>(device.device.major),
                                                                  static_cast<unsigned>(device.device.minor)));
  if (!same) return fail(Code::kUnavailable, "the node is another device");
  auto target = VPS_TRY(ns::mount_target(c.root.get(), device.path, false));
  return ns::attach_mount(source.get(), target.get());
}

Result<> make_device(InitContext& c, const oci::Device& device) {
  auto slash = device.path.rfind('/');
  auto parent = VPS_TRY(mkdirs_in_root(c.root.get(), device.path.substr(0, slash), 0755));
  std::string name = device.path.substr(slash + 1);
  mode_t mode = static_cast<mode_t>(device.file_mode.value_or(0666));
  dev_t number = makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
  if (::mknodat(parent.get(), name.c_str(), device_type(device.type) | mode, number) != 0) {
    if (errno != EEXIST) return fail_errno(errno, "mknod");
    return {};
  }
  // mknod's mode went through the umask.
  if (::fchmodat(parent.get(), name.c_str(), mode, 0) != 0) return fail_errno(errno, "chmod");
  if (::fchownat(parent.get(), name.c_str(), device.uid.value_or(0), device.gid.value_or(0), AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno(errno, "chown");
  return {};
}

Result<> place_device(InitContext& c, const PlannedDevice& device) {
  if (device.bind) return bind_device(c, device);
  auto made = make_device(c, device.device);
  // The launcher itself is confined (a user namespace around the engine, say): then the host's node has to do.
  if (!made && made.error().err() == EPERM) return bind_device(c, device);
  return made;
}

Result<> make_link(int dev_fd, const char* target, const char* name) {
  if (::symlinkat(target, dev_fd, name) != 0 && errno != EEXIST) return fail_errno(errno, "symlink {}", name);
  return {};
}

// A path of the container that a mask or a read-only bind goes on; absent paths need none.
Result<UniqueFd> open_present(const InitContext& c, const std::string& path) {
  auto fd = open_in_root(c.root.get(), path, O_PATH);
  if (!fd && (fd.error().err() == ENOENT || fd.error().err() == ENOTDIR)) return UniqueFd();
  return fd;
}

}  // namespace

Result<> attach_root(InitContext& c) {
  VPS_TRY(ns::set_root_propagation(c.in.plan->root_propagation));
  // pivot_root(2) refuses a shared parent mount, and nothing that we mount may travel to the host.
  VPS_TRY(ns::set_root_propagation(MS_PRIVATE));
  auto slash = VPS_TRY(open_path("/", O_PATH | O_DIRECTORY));
  return ns::attach_mount(c.root.get(), slash.get());
}

Result<> mounts(InitContext& c) {
  for (const auto& mount : c.in.plan->mounts) {
    std::string what = mount.fs_type.empty() ? fmt::format("bind {} on {}", mount.source, mount.destination)
                                             : fmt::format("mount {} on {}", mount.fs_type, mount.destination);
    VPS_TRY_CTX(what, mount_one(c, mount));
  }
  return {};
}

Result<> devices(InitContext& c) {
  auto dev = open_in_root(c.root.get(), "/dev", O_RDONLY | O_DIRECTORY);
  if (!dev) return {};  // a root without /dev asks for no devices
  for (const auto& device : c.in.plan->devices)
    VPS_TRY_CTX(fmt::format("device {}", device.path), place_device(c, device));
  VPS_TRY(make_link(dev->get(), "/proc/self/fd", "fd"));
  VPS_TRY(make_link(dev->get(), "/proc/self/fd/0", "stdin"));
  VPS_TRY(make_link(dev->get(), "/proc/self/fd/1", "stdout"));
  VPS_TRY(make_link(dev->get(), "/proc/self/fd/2", "stderr"));
  if (open_in_root(c.root.get(), "/dev/pts/ptmx", O_PATH)) VPS_TRY(make_link(dev->get(), "pts/ptmx", "ptmx"));
  return {};
}

Result<> console(InitContext& c) {
  auto pty = VPS_TRY(open_pty(c.root.get()));
  auto slave_mount = VPS_TRY(ns::clone_mount(pty.slave.get(), "", false));
  auto target = VPS_TRY(ns::mount_target_nofollow(c.root.get(), "/dev/console", false));
  VPS_TRY_CTX("/dev/console", ns::attach_mount(slave_mount.get(), target.get()));
  int master = pty.master.get();
  VPS_TRY(c.channel.send(SyncMessage::kConsole, {}, std::span(&master, 1)));
  if (c.in.request->console_by_pty_name) {
    c.console = std::move(pty.slave);
    return {};
  }
  // Opened under this name, so that ttyname(3) inside says /dev/console.
  c.console = VPS_TRY(open_in_root(c.root.get(), "/dev/console", O_RDWR | O_NOCTTY));
  return {};
}

Result<> etc_files(InitContext& c) {
  const auto& request = *c.in.request;
  for (const auto& file : request.etc_files) (void)VPS_TRY(write_in_root(c.root.get(), file.path, file.content, 0644));
  if (request.network != nullptr && request.guest != nullptr)
    VPS_TRY_CTX("its network files", write_guest_files(c.root.get(), *request.network, *request.guest));
  return {};
}

Result<> pivot_root(InitContext& c) {
  if (c.in.request->no_pivot)
    VPS_TRY(ns::chroot_to(c.root.get()));
  else
    VPS_TRY(ns::pivot_to(c.root.get()));
  c.root = VPS_TRY(open_path("/", O_PATH | O_DIRECTORY));
  c.mount_fds.clear();
  return {};
}

Result<> root_propagation(InitContext& c) {
  if (!c.in.plan->final_propagation) return {};
  return ns::set_root_propagation(c.in.plan->root_propagation);
}

Result<> sysctl(InitContext& c) {
  if (c.linux_section().sysctl.empty()) return {};
  auto proc = VPS_TRY(ns::open_procfs("/proc"));
  for (const auto& [key, value] : c.linux_section().sysctl) VPS_TRY(ns::apply_sysctl(proc.get(), key, value));
  return {};
}

Result<> root_readonly(InitContext& c) {
  if (!c.spec().root || !c.spec().root->readonly) return {};
  return ns::set_mount_attr(c.root.get(), MOUNT_ATTR_RDONLY, 0, false);
}

Result<> masked_paths(InitContext& c) {
  const auto& paths = c.linux_section().masked_paths;
  if (paths.empty()) return {};
  auto null = VPS_TRY_CTX("/dev/null", open_in_root(c.root.get(), "/dev/null", O_PATH | O_NOFOLLOW));
  struct stat st{};
  // A tenant's /dev/null that is something else would show that something at every masked path (CVE-2025-31133).
  if (::fstat(null.get(), &st) != 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
    return fail(Code::kNotAllowed, "/dev/null of the container is not the null device");
  for (const auto& path : paths) {
    auto target = VPS_TRY(open_present(c, path));
    if (!target) continue;
    if (::fstat(target.get(), &st) != 0) return fail_errno(errno, "stat {}", path);
    UniqueFd cover;
    if (S_ISDIR(st.st_mode))
      cover = VPS_TRY(ns::make_mount("tmpfs", {{"mode", "0555"}, {"size", "0"}, {"nr_inodes", "1"}},
                                     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
    else
      cover = VPS_TRY(ns::clone_mount(null.get(), "", false));
    VPS_TRY_CTX(path, ns::attach_mount(cover.get(), target.get()));
  }
  return {};
}

Result<> readonly_paths(InitContext& c) {
  for (const auto& path : c.linux_section().readonly_paths) {
    auto target = VPS_TRY(open_present(c, path));
    if (!target) continue;
    // What has been bound onto itself needs no second mount: this is what it was made for.
    const bool own = std::ranges::any_of(c.in.plan->mounts, [&](const PlannedMount& mount) { return mount.from_own_tree && mount.destination == path; });
    if (own) {
      VPS_TRY_CTX(path, ns::set_mount_attr(target.get(), MOUNT_ATTR_RDONLY, 0, false));
      continue;
    }
    // Recursive, so that mounts below keep their own mode (/proc/sys/net stays writable); only the top turns read-only.
    auto copy = VPS_TRY_CTX(path, ns::clone_mount(target.get(), "", true));
    VPS_TRY_CTX(path, ns::set_mount_attr(copy.get(), MOUNT_ATTR_RDONLY, 0, false));
    VPS_TRY_CTX(path, ns::attach_mount(copy.get(), target.get()));
  }
  return {};
}

}  // namespace vps::runtime::steps
