#include "namespaces/mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/files.h"

namespace vps::namespaces {
namespace {

// The kernel explains a refused mount in the context's own log, one line a read ("e overlay: ...").
std::string context_log(int context_fd) {
  std::string text;
  std::array<char, 512> line{};
  for (int i = 0; i < 8; ++i) {
    ssize_t n = ::read(context_fd, line.data(), line.size());
    if (n <= 2) break;
    std::string_view message(line.data() + 2, static_cast<std::size_t>(n) - 2);
    while (message.ends_with('\n')) message.remove_suffix(1);
    if (line[0] != 'e') continue;
    text += text.empty() ? " (" : "; ";
    text += message;
  }
  if (!text.empty()) text += ")";
  return text;
}

Result<> configure(int context, const std::string& key, const std::string& value, std::string_view fs_type) {
  int rc = value.empty() ? ::fsconfig(context, FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
                         : ::fsconfig(context, FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0);
  if (rc != 0) {
    int err = errno;
    return fail_errno(err, "mount {}: option {}{}{}{}", fs_type, key, value.empty() ? "" : "=", value,
                      context_log(context));
  }
  return {};
}

// A path usable by the overlay driver's comma and colon separated option syntax.
std::string escape_overlay(const std::string& path, bool in_list) {
  std::string out;
  for (char c : path) {
    if (c == '\\' || (in_list && c == ':')) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

Result<UniqueFd> make_mount(std::string_view fs_type, const std::vector<std::pair<std::string, std::string>>& data,
                            std::uint64_t attrs, std::string_view source) {
  UniqueFd context(::fsopen(std::string(fs_type).c_str(), FSOPEN_CLOEXEC));
  if (!context) return fail_errno(errno, "file system type {}", fs_type);
  if (!source.empty()) VPS_TRY(configure(context.get(), "source", std::string(source), fs_type));
  for (const auto& [key, value] : data) VPS_TRY(configure(context.get(), key, value, fs_type));
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    int err = errno;
    return fail_errno(err, "create a {} file system{}", fs_type, context_log(context.get()));
  }
  UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attrs)));
  if (!mount) {
    int err = errno;
    return fail_errno(err, "mount {} ({}){}", fs_type, mount_attr_names(attrs), context_log(context.get()));
  }
  return mount;
}

Result<UniqueFd> clone_mount(int dirfd, const std::string& path, bool recursive) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  if (path.empty()) flags |= AT_EMPTY_PATH;
  if (recursive) flags |= AT_RECURSIVE;
  UniqueFd mount(::open_tree(dirfd, path.c_str(), flags));
  if (!mount) return fail_errno(errno, "clone the mount of {}", path);
  return mount;
}

Result<> set_mount_attr(int mount_fd, std::uint64_t set, std::uint64_t clear, bool recursive, std::uint64_t propagation) {
  mount_attr attr{};
  attr.attr_set = set;
  attr.attr_clr = clear;
  attr.propagation = propagation & ~static_cast<std::uint64_t>(MS_REC);
  unsigned flags = AT_EMPTY_PATH;
  if (recursive) flags |= AT_RECURSIVE;
  if (::mount_setattr(mount_fd, "", flags, &attr, sizeof attr) != 0)
    return fail_errno(errno, "set mount attributes ({})", mount_attr_names(set));
  return {};
}

Result<> idmap_mount(int mount_fd, int userns_fd, bool recursive) {
  mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_IDMAP;
  attr.userns_fd = static_cast<std::uint64_t>(userns_fd);
  unsigned flags = AT_EMPTY_PATH;
  if (recursive) flags |= AT_RECURSIVE;
  if (::mount_setattr(mount_fd, "", flags, &attr, sizeof attr) != 0) {
    if (errno == EINVAL)
      return std::unexpected(Error(Code::kUnavailable, EINVAL, "idmap a mount (this file system cannot be idmapped)"));
    return fail_errno(errno, "idmap a mount");
  }
  return {};
}

Result<> attach_mount(int mount_fd, int target_fd) {
  if (::move_mount(mount_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
    return fail_errno(errno, "attach a mount");
  return {};
}

namespace {

// `path` with each symlink on it replaced by what it says, for links to what is still to be made. Only a text: whatever is done
// with it stays in the root all the same.
Result<std::string> follow_links(int root_fd, const std::string& path) {
  constexpr int kMostLinks = 40;
  std::vector<std::string> done;
  std::string rest = path;
  auto joined = [&] {
    std::string text;
    for (const auto& part : done) text += "/" + part;
    return text;
  };
  for (int links = 0; !rest.empty();) {
    auto slash = std::min(rest.find('/'), rest.size());
    std::string part = rest.substr(0, slash);
    rest.erase(0, slash + 1);
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!done.empty()) done.pop_back();
      continue;
    }
    auto object = open_in_root(root_fd, joined() + "/" + part, O_PATH | O_NOFOLLOW);
    struct stat st{};
    if (!object || ::fstat(object->get(), &st) != 0 || !S_ISLNK(st.st_mode)) {
      done.push_back(std::move(part));
      continue;
    }
    if (++links > kMostLinks) return fail_errno(ELOOP, "mount target {}", path);
    auto target = VPS_TRY(read_link_at(object->get(), ""));
    if (target.starts_with('/')) done.clear();
    rest = target + "/" + rest;
  }
  return joined().empty() ? "/" : joined();
}

}  // namespace

Result<UniqueFd> mount_target(int root_fd, const std::string& wanted, bool directory) {
  std::string path = wanted;
  auto existing = open_in_root(root_fd, path, O_PATH);
  if (existing) {
    struct stat st{};
    if (::fstat(existing->get(), &st) != 0) return fail_errno(errno, "stat {}", path);
    if (S_ISDIR(st.st_mode) != directory)
      return fail_errno(directory ? ENOTDIR : EISDIR, "mount target {}", path);
    return existing;
  }
  if (existing.error().err() != ENOENT) return existing;
  path = VPS_TRY(follow_links(root_fd, path));
  constexpr mode_t kDirMode = 0755;
  if (directory) return mkdirs_in_root(root_fd, path, kDirMode);
  auto slash = path.rfind('/');
  std::string parent = slash == std::string::npos ? "." : path.substr(0, slash);
  VPS_TRY(mkdirs_in_root(root_fd, parent, kDirMode));
  VPS_TRY(open_in_root(root_fd, path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0644));
  return open_in_root(root_fd, path, O_PATH);
}

Result<UniqueFd> mount_target_nofollow(int root_fd, const std::string& path, bool directory) {
  auto link = open_in_root(root_fd, path, O_PATH | O_NOFOLLOW);
  struct stat st{};
  if (link && ::fstat(link->get(), &st) == 0 && S_ISLNK(st.st_mode)) return fail_errno(ELOOP, "mount target {}", path);
  auto target = VPS_TRY(mount_target(root_fd, path, directory));
  // Somebody who shares the tree may have put a link there meanwhile: it must be the same object.
  auto again = VPS_TRY(open_in_root(root_fd, path, O_PATH | O_NOFOLLOW));
  struct stat now{};
  if (::fstat(target.get(), &st) != 0 || ::fstat(again.get(), &now) != 0) return fail_errno(errno, "stat {}", path);
  if (st.st_dev != now.st_dev || st.st_ino != now.st_ino) return fail_errno(ELOOP, "mount target {}", path);
  return target;
}

Result<UniqueFd> directory_without_links(int root_fd, const std::string& path) {
  auto open = [&]() -> Result<UniqueFd> {
    open_how how{};
    how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS;
    long fd = ::syscall(SYS_openat2, root_fd, path.c_str(), &how, sizeof how);
    if (fd < 0) return fail_errno(errno, "open {}", path);
    return UniqueFd(static_cast<int>(fd));
  };
  auto found = open();
  if (found || found.error().err() != ENOENT) return found;
  VPS_TRY(mkdirs_in_root(root_fd, path, 0755));
  return open();
}

bool is_procfs(int fd) {
  struct statfs fs{};
  return ::fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

Result<UniqueFd> make_overlay(const OverlayLayers& layers) {
  std::string lower;
  for (const auto& layer : layers.lower) {
    if (!lower.empty()) lower += ":";
    lower += escape_overlay(layer, true);
  }
  std::vector<std::pair<std::string, std::string>> data{{"lowerdir", lower}};
  if (!layers.upper.empty()) {
    data.emplace_back("upperdir", layers.upper);
    data.emplace_back("workdir", layers.work);
    if (layers.volatile_) data.emplace_back("volatile", "");
  }
  return make_mount("overlay", data, 0, "overlay");
}

Result<> pivot_to(int root_fd) {
  UniqueFd old_root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!old_root) return fail_errno(errno, "open the old root");
  if (::fchdir(root_fd) != 0) return fail_errno(errno, "enter the new root");
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return fail_errno(errno, "pivot_root");
  // Both roots are now stacked on "."; the old one is the upper, and goes without propagating to the host.
  if (::fchdir(old_root.get()) != 0) return fail_errno(errno, "enter the old root");
  if (::mount(nullptr, ".", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) return fail_errno(errno, "make the old root slave");
  if (::umount2(".", MNT_DETACH) != 0) return fail_errno(errno, "detach the old root");
  if (::chdir("/") != 0) return fail_errno(errno, "chdir /");
  return {};
}

Result<> chroot_to(int root_fd) {
  if (::fchdir(root_fd) != 0) return fail_errno(errno, "enter the new root");
  if (::chroot(".") != 0) return fail_errno(errno, "chroot");
  if (::chdir("/") != 0) return fail_errno(errno, "chdir /");
  return {};
}

Result<> set_root_propagation(std::uint64_t flags) {
  if (::mount(nullptr, "/", nullptr, flags, nullptr) != 0) return fail_errno(errno, "set the propagation of /");
  return {};
}

Result<UniqueFd> open_procfs(const std::string& path) {
  auto fd = VPS_TRY(open_path(path, O_PATH | O_DIRECTORY));
  struct statfs fs{};
  struct stat st{};
  if (::fstatfs(fd.get(), &fs) != 0 || ::fstat(fd.get(), &st) != 0) return fail_errno(errno, "stat {}", path);
  constexpr ino_t kProcRootInode = 1;
  if (fs.f_type != PROC_SUPER_MAGIC || st.st_ino != kProcRootInode)
    return fail(Code::kNotAllowed, "{} is not a proc file system", path);
  return fd;
}

}  // namespace vps::namespaces
