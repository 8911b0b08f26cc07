#include "storage/tree_writer.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <iterator>

#include "base/files.h"

namespace vps::storage {
namespace {

constexpr uid_t kHighestVpsId = 65535;

// Like open_in_root(), but leaving the tree is an error (EXDEV) instead of being led back into it.
Result<UniqueFd> open_beneath(int root_fd, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags) | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  constexpr int kTries = 32;  // EAGAIN: a rename raced with "..", openat2(2) advises to try again
  for (int i = 0; i < kTries; ++i) {
    long fd = ::syscall(SYS_openat2, root_fd, path.c_str(), &how, sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  if (errno == EXDEV)
    return fail(Code::kNotAllowed, "{}: goes through a symbolic link that leads out of the tree", path);
  return fail_errno(errno, "open {}", path);
}

// There is no setxattrat(2) before Linux 6.13: the entry is named through its parent's fd instead. All threads of the
// process share the fd table, so this is as exact as the *at calls.
std::string proc_path(int parent, const std::string& name) { return fmt::format("/proc/self/fd/{}/{}", parent, name); }

Result<> xattr_failure(int err, const std::string& path, const Xattr& xattr) {
  if (err == EOPNOTSUPP)
    return fail(Code::kUnavailable, "{}: this file system does not keep the extended attribute {}", path, xattr.name);
  return fail_errno(err, "{}: set extended attribute {}", path, xattr.name);
}

Result<> set_xattrs_at(int parent, const std::string& name, const std::string& path, const std::vector<Xattr>& xattrs) {
  for (const auto& xattr : xattrs)
    if (::lsetxattr(proc_path(parent, name).c_str(), xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0) != 0)
      return xattr_failure(errno, path, xattr);
  return {};
}

// The order matters: a change of owner clears setuid bits and file capabilities; an access ACL sets its own mask bits.
Result<> apply_to_fd(int fd, const std::string& path, const Metadata& metadata) {
  if (::fchown(fd, metadata.uid, metadata.gid) != 0)
    return fail_errno(errno, "{}: set owner {}:{}", path, metadata.uid, metadata.gid);
  if (::fchmod(fd, metadata.mode & 07777) != 0) return fail_errno(errno, "{}: set mode {:o}", path, metadata.mode & 07777);
  for (const auto& xattr : metadata.xattrs)
    if (::fsetxattr(fd, xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0) != 0)
      return xattr_failure(errno, path, xattr);
  const timespec times[2] = {metadata.atime, metadata.mtime};
  if (::futimens(fd, times) != 0) return fail_errno(errno, "{}: set times", path);
  return {};
}

}  // namespace

Result<std::string> normalize_entry_path(std::string_view name) {
  if (name.size() > kMaxPathLength)
    return fail(Code::kUsage, "entry name of {} bytes is too long (at most {}): {}...", name.size(), kMaxPathLength,
                name.substr(0, 64));
  std::string path;
  std::size_t depth = 0;
  for (std::size_t pos = 0; pos < name.size();) {
    auto next = std::min(name.find('/', pos), name.size());
    auto part = name.substr(pos, next - pos);
    pos = next + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") return fail(Code::kNotAllowed, "{}: the name contains '..'", name);
    if (part.find('\0') != std::string_view::npos) return fail(Code::kUsage, "{}: the name contains a NUL", name);
    if (part.size() > kMaxNameLength)
      return fail(Code::kUsage, "{}...: a name of {} bytes is too long (at most {})", name.substr(0, 64), part.size(),
                  kMaxNameLength);
    if (++depth > kMaxPathDepth)
      return fail(Code::kUsage, "{}...: more than {} directories deep", name.substr(0, 64), kMaxPathDepth);
    if (!path.empty()) path += '/';
    path += part;
  }
  return path;
}

Result<bool> xattr_allowed(std::string_view name) {
  if (name.starts_with("trusted.overlay."))
    return fail(Code::kNotAllowed, "extended attribute {} belongs to a mounted overlay (is this its upper layer?)", name);
  // Labels and signatures of the security modules of the machine it comes from.
  for (std::string_view host : {"security.selinux", "security.SMACK64", "security.apparmor", "security.evm", "security.ima",
                                "security.sehash"})
    if (name.starts_with(host)) return false;
  return true;
}

TreeWriter::TreeWriter(UniqueFd root) : root_(std::move(root)) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  remember(".", Metadata{.mode = 0755, .mtime = now, .atime = now, .xattrs = {}});
}

void TreeWriter::count_owner(const Metadata& metadata) {
  if (metadata.uid > kHighestVpsId || metadata.gid > kHighestVpsId) ++unmapped_;
}

void TreeWriter::remember(const std::string& path, Metadata metadata) {
  auto [at, added] = directory_index_.try_emplace(path, directories_.size());
  if (!added) {
    directories_[at->second].first.clear();
    at->second = directories_.size();
  }
  directories_.emplace_back(path, std::move(metadata));
}

Result<int> TreeWriter::parent_fd(const std::string& directory) {
  if (directory.empty()) return root_.get();
  if (cached_parent_ && cached_path_ == directory) return cached_parent_.get();
  auto fd = open_beneath(root_.get(), directory, O_PATH | O_DIRECTORY);
  if (!fd && fd.error().err() == ENOENT) {
    // An archive need not name the directories that it uses.
    auto above = VPS_TRY(place(directory));
    if (::mkdirat(above.parent, above.name.c_str(), 0700) != 0) {
      if (errno == EEXIST) return fail(Code::kUsage, "{}: is a symbolic link that leads nowhere", directory);
      return fail_errno(errno, "make directory {}", directory);
    }
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    remember(directory, Metadata{.mode = 0755, .mtime = now, .atime = now, .xattrs = {}});
    fd = open_beneath(root_.get(), directory, O_PATH | O_DIRECTORY);
  }
  if (!fd) {
    if (fd.error().err() == ENOTDIR) return fail(Code::kUsage, "{}: is not a directory", directory);
    return std::unexpected(std::move(fd).error());
  }
  cached_parent_ = std::move(*fd);
  cached_path_ = directory;
  return cached_parent_.get();
}

Result<TreeWriter::Place> TreeWriter::place(const std::string& path) {
  if (path.empty()) return fail(Code::kUsage, "the root of the tree can only be a directory");
  auto slash = path.rfind('/');
  if (slash == std::string::npos) return Place{root_.get(), path};
  int parent = VPS_TRY(parent_fd(path.substr(0, slash)));
  return Place{parent, path.substr(slash + 1)};
}

// A later entry of the same name replaces the earlier one, as in tar; but a directory only when it is empty.
Result<> TreeWriter::clear_place(const Place& at, const std::string& path) {
  if (::unlinkat(at.parent, at.name.c_str(), 0) == 0) {
    // It may have been a symlink that cached and deferred paths go through.
    if (cached_parent_.get() != at.parent) cached_parent_.reset();
    return {};
  }
  if (errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return fail_errno(errno, "replace {}", path);
  if (::unlinkat(at.parent, at.name.c_str(), AT_REMOVEDIR) != 0) {
    if (errno == ENOTEMPTY || errno == EEXIST)
      return fail(Code::kUsage, "{}: replaces a directory that is not empty", path);
    return fail_errno(errno, "replace {}", path);
  }
  if (auto known = directory_index_.find(path); known != directory_index_.end()) {
    directories_[known->second].first.clear();
    directory_index_.erase(known);
  }
  if (cached_parent_.get() != at.parent) cached_parent_.reset();
  return {};
}

Result<> TreeWriter::apply_at(const Place& at, const std::string& path, const Metadata& metadata, bool link) {
  count_owner(metadata);
  const char* name = at.name.c_str();
  if (::fchownat(at.parent, name, metadata.uid, metadata.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno(errno, "{}: set owner {}:{}", path, metadata.uid, metadata.gid);
  // Nobody else writes here and `name` was just made: when it is no link, there is none that chmod could follow.
  if (!link && ::fchmodat(at.parent, name, metadata.mode & 07777, 0) != 0)
    return fail_errno(errno, "{}: set mode {:o}", path, metadata.mode & 07777);
  VPS_TRY(set_xattrs_at(at.parent, at.name, path, metadata.xattrs));
  const timespec times[2] = {metadata.atime, metadata.mtime};
  if (::utimensat(at.parent, name, times, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno(errno, "{}: set times", path);
  return {};
}

Result<> TreeWriter::directory(const std::string& path, Metadata metadata) {
  if (!path.empty()) {
    auto at = VPS_TRY(place(path));
    if (::mkdirat(at.parent, at.name.c_str(), 0700) != 0) {
      if (errno != EEXIST) return fail_errno(errno, "make directory {}", path);
      struct stat st{};
      if (::fstatat(at.parent, at.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno(errno, "stat {}", path);
      if (!S_ISDIR(st.st_mode)) {
        VPS_TRY(clear_place(at, path));
        if (::mkdirat(at.parent, at.name.c_str(), 0700) != 0) return fail_errno(errno, "make directory {}", path);
      }
    }
  }
  remember(path.empty() ? "." : path, std::move(metadata));  // "." is the root
  return {};
}

Result<UniqueFd> TreeWriter::create_file(const std::string& path) {
  auto at = VPS_TRY(place(path));
  constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
  auto fd = open_at(at.parent, at.name, kFlags, 0600);
  if (!fd && fd.error().err() == EEXIST) {
    VPS_TRY(clear_place(at, path));
    fd = open_at(at.parent, at.name, kFlags, 0600);
  }
  return VPS_TRY_CTX(path, std::move(fd));
}

Result<> TreeWriter::finish_file(int fd, const std::string& path, const Metadata& metadata) {
  count_owner(metadata);
  return apply_to_fd(fd, path, metadata);
}

Result<> TreeWriter::symlink(const std::string& path, const std::string& target, const Metadata& metadata) {
  if (target.empty()) return fail(Code::kUsage, "{}: symbolic link to nothing", path);
  if (target.size() > kMaxPathLength) return fail(Code::kUsage, "{}: symbolic link of {} bytes", path, target.size());
  auto at = VPS_TRY(place(path));
  VPS_TRY(clear_place(at, path));
  if (::symlinkat(target.c_str(), at.parent, at.name.c_str()) != 0) return fail_errno(errno, "make symbolic link {}", path);
  return apply_at(at, path, metadata, true);
}

Result<> TreeWriter::hard_link(const std::string& path, const std::string& target) {
  if (path == target) return fail(Code::kUsage, "{}: hard link to itself", path);
  // The parent of `target` gets its own fd: place() keeps one only.
  auto slash = target.rfind('/');
  auto source = slash == std::string::npos ? open_at(root_.get(), ".", O_PATH | O_DIRECTORY)
                                           : open_beneath(root_.get(), target.substr(0, slash), O_PATH | O_DIRECTORY);
  auto missing = [&] { return fail(Code::kUsage, "{}: hard link to {}, which is no earlier entry", path, target); };
  if (!source) {
    if (source.error().err() == ENOENT || source.error().err() == ENOTDIR) return missing();
    return std::unexpected(std::move(source).error().wrap(fmt::format("{}: hard link to {}", path, target)));
  }
  std::string source_name = slash == std::string::npos ? target : target.substr(slash + 1);
  struct stat st{};
  if (::fstatat(source->get(), source_name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return missing();
  if (S_ISDIR(st.st_mode)) return fail(Code::kUsage, "{}: hard link to the directory {}", path, target);
  auto at = VPS_TRY(place(path));
  VPS_TRY(clear_place(at, path));
  if (::linkat(source->get(), source_name.c_str(), at.parent, at.name.c_str(), 0) != 0)
    return fail_errno(errno, "{}: hard link to {}", path, target);
  return {};
}

Result<> TreeWriter::node(const std::string& path, const Metadata& metadata, dev_t device) {
  if (S_ISCHR(metadata.mode) && device == 0)
    return fail(Code::kNotAllowed, "{}: character device 0:0 is the mark of a deleted file in an overlay layer", path);
  auto at = VPS_TRY(place(path));
  VPS_TRY(clear_place(at, path));
  if (::mknodat(at.parent, at.name.c_str(), (metadata.mode & S_IFMT) | 0600, S_ISFIFO(metadata.mode) ? 0 : device) != 0)
    return fail_errno(errno, "make device node or fifo {}", path);
  return apply_at(at, path, metadata, false);
}

Result<UniqueFd> TreeWriter::reopen_file(const std::string& path) {
  auto at = VPS_TRY(place(path));
  auto fd = VPS_TRY(open_at(at.parent, at.name, O_PATH | O_NOFOLLOW));
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0) return fail_errno(errno, "stat {}", path);
  if (!S_ISREG(st.st_mode)) return fail(Code::kUsage, "{}: comes with content but is no regular file", path);
  return VPS_TRY_CTX(path, open_at(at.parent, at.name, O_RDWR | O_NOFOLLOW | O_NONBLOCK));
}

Result<> TreeWriter::add_xattrs(const std::string& path, std::vector<Xattr> xattrs) {
  if (auto late = directory_index_.find(path); late != directory_index_.end()) {
    std::ranges::move(xattrs, std::back_inserter(directories_[late->second].second.xattrs));
    return {};
  }
  auto at = VPS_TRY(place(path));
  return set_xattrs_at(at.parent, at.name, path, xattrs);
}

Result<> TreeWriter::finish() {
  cached_parent_.reset();
  for (const auto& [path, metadata] : directories_) {
    if (path.empty()) continue;  // was replaced by something else
    // By fd and without following a last link: what a path led to when it was written, a later entry may have changed.
    auto fd = VPS_TRY(open_beneath(root_.get(), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    count_owner(metadata);
    VPS_TRY(apply_to_fd(fd.get(), path, metadata));
  }
  directories_.clear();
  directory_index_.clear();
  return {};
}

}  // namespace vps::storage
