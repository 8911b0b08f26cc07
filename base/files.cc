#include "base/files.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace vps {
namespace {

struct DirCloser {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

// One directory on the way down, by identity: the way up again is "..", so that neither the depth of a tree (its tenant may
// have made it as deep as he liked) nor its longest path costs more than one descriptor.
struct RemovalLevel {
  std::string name;
  dev_t device = 0;
  ino_t inode = 0;
  std::vector<std::string> todo;  // directories in it
};

// Removes everything of the directory `fd` but its directories, which are listed in the result.
Result<RemovalLevel> remove_files(int fd, const std::string& name, dev_t device) {
  struct stat st{};
  if (::fstat(fd, &st) != 0) return fail_errno(errno, "stat {}", name);
  // A bind mount of the same file system has the same device; what is behind it is not ours to remove either.
  struct statx more{};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &more) != 0) return fail_errno(errno, "stat {}", name);
  if (st.st_dev != device || (more.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0)
    return fail(Code::kBusy, "remove {}: a file system is mounted there", name);
  RemovalLevel level{name, st.st_dev, st.st_ino, {}};
  for (auto& child : VPS_TRY_CTX(name, list_dir_at(fd))) {
    if (::unlinkat(fd, child.c_str(), 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) return fail_errno(errno, "remove {}/{}", name, child);
    level.todo.push_back(std::move(child));
  }
  return level;
}

Result<> remove_tree_at(int dirfd, const std::string& name, dev_t device) {
  if (::unlinkat(dirfd, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return fail_errno(errno, "remove {}", name);
  constexpr int kOpen = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
  auto fd = VPS_TRY(open_at(dirfd, name, kOpen));
  std::vector<RemovalLevel> levels;
  levels.push_back(VPS_TRY(remove_files(fd.get(), name, device)));
  while (true) {
    auto& level = levels.back();
    if (!level.todo.empty()) {
      std::string child = std::move(level.todo.back());
      level.todo.pop_back();
      auto down = open_at(fd.get(), child, kOpen);
      if (!down && down.error().err() == ENOENT) continue;
      // EPERM from unlink was no directory after all: an immutable file.
      if (!down && down.error().err() == ENOTDIR) return fail_errno(EPERM, "remove {}/{}", level.name, child);
      if (!down) return std::unexpected(std::move(down).error());
      auto next = VPS_TRY(remove_files(down->get(), child, device));
      fd = std::move(*down);
      levels.push_back(std::move(next));
      continue;
    }
    const std::string done = std::move(level.name);
    levels.pop_back();
    if (!levels.empty()) {
      fd = VPS_TRY(open_at(fd.get(), "..", kOpen));
      struct stat st{};
      if (::fstat(fd.get(), &st) != 0) return fail_errno(errno, "stat the directory of {}", done);
      if (st.st_dev != levels.back().device || st.st_ino != levels.back().inode)
        return fail(Code::kBusy, "remove {}: it was moved meanwhile", done);
    }
    if (::unlinkat(levels.empty() ? dirfd : fd.get(), done.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
      return fail_errno(errno, "remove directory {}", done);
    if (levels.empty()) return {};
  }
}

std::string parent_of(const std::string& path) {
  auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  if (slash == 0) return "/";
  return path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

Result<UniqueFd> open_at(int dirfd, const std::string& path, int flags, mode_t mode) {
  int fd = ::openat(dirfd, path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return fail_errno(errno, "open {}", path);
  return UniqueFd(fd);
}

Result<UniqueFd> open_dir(const std::string& path) { return open_path(path, O_RDONLY | O_DIRECTORY); }

Result<UniqueFd> open_in_root(int root_fd, const std::string& path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags) | O_CLOEXEC;
  how.mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  // A rename elsewhere in the tree during resolution makes the kernel answer EAGAIN; a bounded retry is openat2(2)'s advice.
  constexpr int kTries = 32;
  for (int i = 0; i < kTries; ++i) {
    long fd = ::syscall(SYS_openat2, root_fd, path.c_str(), &how, sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return fail_errno(errno, "open {} in the root", path);
}

Result<UniqueFd> mkdirs_in_root(int root_fd, const std::string& path, mode_t mode) {
  auto current = VPS_TRY(open_in_root(root_fd, ".", O_PATH | O_DIRECTORY));
  std::string done;
  std::size_t pos = 0;
  while (pos < path.size()) {
    auto next = std::min(path.find('/', pos), path.size());
    std::string part = path.substr(pos, next - pos);
    pos = next + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") return fail(Code::kUsage, "path {} contains ..", path);
    done += "/" + part;
    auto fd = open_in_root(root_fd, done, O_PATH | O_DIRECTORY);
    if (!fd && fd.error().err() == ENOENT) {
      if (::mkdirat(current.get(), part.c_str(), mode) != 0 && errno != EEXIST)
        return fail_errno(errno, "make directory {}", done);
      fd = open_in_root(root_fd, done, O_PATH | O_DIRECTORY);
    }
    if (!fd) return std::unexpected(std::move(fd).error());
    current = std::move(*fd);
  }
  return current;
}

Result<std::string> read_fd(int fd, std::size_t limit) {
  std::string data;
  char buffer[16384];
  while (true) {
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0) {
      if (errno == EINTR) continue;
      return fail_errno(errno, "read");
    }
    if (n == 0) return data;
    if (data.size() + static_cast<std::size_t>(n) > limit)
      return fail(Code::kUsage, "larger than {} bytes", limit);
    data.append(buffer, static_cast<std::size_t>(n));
  }
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  return read_file_at(AT_FDCWD, path, limit);
}

Result<std::string> read_file_at(int dirfd, const std::string& path, std::size_t limit) {
  auto fd = VPS_TRY(open_at(dirfd, path, O_RDONLY));
  return VPS_TRY_CTX(path, read_fd(fd.get(), limit));
}

Result<> write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return fail_errno(errno, "write");
    }
    data.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<> write_kernel_file_at(int dirfd, const std::string& path, std::string_view data) {
  auto fd = VPS_TRY(open_at(dirfd, path, O_WRONLY));
  ssize_t n = 0;
  do n = ::write(fd.get(), data.data(), data.size());
  while (n < 0 && errno == EINTR);
  if (n < 0) return fail_errno(errno, "write '{}' to {}", data, path);
  if (static_cast<std::size_t>(n) != data.size()) return fail(Code::kFailed, "short write to {}", path);
  return {};
}

Result<> write_file_atomic(const std::string& path, std::string_view data, mode_t mode) {
  auto dir = VPS_TRY(open_dir(parent_of(path)));
  return write_file_atomic_at(dir.get(), name_of(path), data, mode);
}

namespace {

Result<> replace(int dirfd, const std::string& name, std::string_view data, mode_t mode, bool durable) {
  std::string temp = fmt::format(".tmp-{}-{}", name, random_hex(6));
  auto fd = VPS_TRY(open_at(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL, mode));
  auto write = [&]() -> Result<> {
    VPS_TRY_CTX(name, write_all(fd.get(), data));
    if (durable && ::fsync(fd.get()) != 0) return fail_errno(errno, "fsync {}", name);
    if (::renameat(dirfd, temp.c_str(), dirfd, name.c_str()) != 0) return fail_errno(errno, "rename to {}", name);
    return {};
  }();
  if (!write) {
    ::unlinkat(dirfd, temp.c_str(), 0);
    return write;
  }
  if (durable && ::fsync(dirfd) != 0) return fail_errno(errno, "fsync directory of {}", name);
  return {};
}

}  // namespace

Result<> write_file_atomic_at(int dirfd, const std::string& name, std::string_view data, mode_t mode) {
  return replace(dirfd, name, data, mode, true);
}

Result<> replace_file_at(int dirfd, const std::string& name, std::string_view data, mode_t mode) {
  return replace(dirfd, name, data, mode, false);
}

Result<> remove_leftover_temporaries(const std::string& directory) {
  auto dir = open_dir(directory);
  if (!dir) {
    if (dir.error().err() == ENOENT) return {};
    return std::unexpected(std::move(dir).error());
  }
  for (const auto& name : VPS_TRY(list_dir_at(dir->get())))
    if (name.starts_with(".tmp-") && ::unlinkat(dir->get(), name.c_str(), 0) != 0 && errno != ENOENT && errno != EISDIR)
      return fail_errno(errno, "remove {}/{}", directory, name);
  return {};
}

Result<> fsync_dir(const std::string& path) {
  auto fd = VPS_TRY(open_dir(path));
  if (::fsync(fd.get()) != 0) return fail_errno(errno, "fsync {}", path);
  return {};
}

Result<> make_dirs(const std::string& path, mode_t mode) {
  for (std::size_t pos = 1; pos <= path.size(); ++pos) {
    pos = std::min(path.find('/', pos), path.size());
    std::string prefix = path.substr(0, pos);
    if (::mkdir(prefix.c_str(), mode) == 0 || errno == EEXIST) continue;
    int err = errno;
    struct stat st{};
    if (::stat(prefix.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) continue;
    return fail_errno(err, "make directory {}", prefix);
  }
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) return fail_errno(ENOTDIR, "make directory {}", path);
  return {};
}

bool path_exists(const std::string& path) {
  struct stat st{};
  return ::lstat(path.c_str(), &st) == 0;
}

Result<std::string> read_link_at(int dirfd, const std::string& path) {
  std::string target(4096, '\0');
  ssize_t n = ::readlinkat(dirfd, path.c_str(), target.data(), target.size());
  if (n < 0) return fail_errno(errno, "readlink {}", path);
  target.resize(static_cast<std::size_t>(n));
  return target;
}

Result<std::vector<std::string>> list_dir(const std::string& path) {
  auto fd = VPS_TRY(open_dir(path));
  return list_dir_at(fd.get());
}

Result<std::vector<std::string>> list_dir_at(int dirfd) {
  // A second description: readdir moves the offset, and the caller's fd must not be consumed by closedir.
  auto own = VPS_TRY(open_at(dirfd, ".", O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, DirCloser> dir(::fdopendir(own.get()));
  if (!dir) return fail_errno(errno, "read directory");
  (void)own.release();
  std::vector<std::string> names;
  while (true) {
    errno = 0;  // at the end readdir leaves it alone, on failure it sets it
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) break;
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return fail_errno(errno, "read directory");
  std::ranges::sort(names);
  return names;
}

Result<> remove_tree(const std::string& path) {
  std::string clean = path;
  while (clean.size() > 1 && clean.ends_with('/')) clean.pop_back();
  auto name = name_of(clean);
  if (name.empty() || name == "." || name == "..") return fail(Code::kUsage, "will not remove '{}'", path);
  struct stat st{};
  if (::lstat(clean.c_str(), &st) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno(errno, "remove {}", path);
  }
  auto parent = VPS_TRY(open_path(parent_of(clean), O_PATH | O_DIRECTORY));
  return remove_tree_at(parent.get(), name, st.st_dev);
}

Result<> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno(errno, "remove {}", path);
  return {};
}

Result<UniqueFd> lock_file(const std::string& path, bool wait) {
  auto fd = VPS_TRY(open_path(path, O_RDWR | O_CREAT, 0600));
  while (::flock(fd.get(), wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return fail(Code::kBusy, "{} is locked by another process", path);
    return fail_errno(errno, "lock {}", path);
  }
  return fd;
}

std::string random_hex(std::size_t bytes) {
  std::string raw(bytes, '\0');
  std::size_t done = 0;
  while (done < bytes) {
    ssize_t n = ::getrandom(raw.data() + done, bytes - done, 0);
    if (n > 0) done += static_cast<std::size_t>(n);
  }
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (char c : raw) {
    auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace vps
