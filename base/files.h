// Files and directories: whole-file reads and writes, atomic replacement, paths below a root that someone else owns.
//
// Everything opened here is close-on-exec. Sizes are bytes. Functions are re-entrant and thread-safe.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace vps {

constexpr std::size_t kMaxFileSize = 16u << 20;

Result<UniqueFd> open_at(int dirfd, const std::string& path, int flags, mode_t mode = 0);
inline Result<UniqueFd> open_path(const std::string& path, int flags, mode_t mode = 0) {
  return open_at(AT_FDCWD, path, flags, mode);
}
Result<UniqueFd> open_dir(const std::string& path);

// openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: `path` is resolved as if `root_fd` were "/", so that neither
// "..", an absolute symlink nor a race of the tenant's can leave the tree. The only way to open a tenant's path.
Result<UniqueFd> open_in_root(int root_fd, const std::string& path, int flags, mode_t mode = 0);
// Creates missing directories of `path` below `root_fd` the same way and returns an O_PATH fd of the last one.
Result<UniqueFd> mkdirs_in_root(int root_fd, const std::string& path, mode_t mode);

// Reads a whole file; more than `limit` is an error. /proc and /sys files (size 0) work.
Result<std::string> read_file(const std::string& path, std::size_t limit = kMaxFileSize);
Result<std::string> read_file_at(int dirfd, const std::string& path, std::size_t limit = kMaxFileSize);
Result<std::string> read_fd(int fd, std::size_t limit = kMaxFileSize);
Result<> write_all(int fd, std::string_view data);
// Plain write into an existing file: for kernel files (cgroup, proc, sysctl). One write(2), so the kernel sees one value.
Result<> write_kernel_file_at(int dirfd, const std::string& path, std::string_view data);

// temp file, fsync, rename over `path`, fsync of the directory: a reader sees the old or the new content, also after a
// crash. A crash may leave a temporary ".tmp-<name>-*" behind, which no reader looks at.
Result<> write_file_atomic(const std::string& path, std::string_view data, mode_t mode = 0644);
Result<> write_file_atomic_at(int dirfd, const std::string& name, std::string_view data, mode_t mode = 0644);
// The same without the syncs, for files that die with the boot anyway (/run): readers see the old or the new content.
Result<> replace_file_at(int dirfd, const std::string& name, std::string_view data, mode_t mode = 0644);
// For recovery, while nobody writes there: removes the temporaries in `directory` (not below). No directory is success.
Result<> remove_leftover_temporaries(const std::string& directory);
Result<> fsync_dir(const std::string& path);

Result<> make_dirs(const std::string& path, mode_t mode = 0755);  // like mkdir -p
[[nodiscard]] bool path_exists(const std::string& path);          // lstat; a dangling symlink exists
Result<std::string> read_link_at(int dirfd, const std::string& path);
Result<std::vector<std::string>> list_dir(const std::string& path);  // names without . and .., sorted
Result<std::vector<std::string>> list_dir_at(int dirfd);

// Removes a tree of any depth without following symlinks. A mount point in it (bind mounts too) is kBusy; what stands
// before it is gone by then. Already gone is success; "/", "." and ".." at the end of the path are refused.
Result<> remove_tree(const std::string& path);
Result<> remove_file(const std::string& path);  // already gone is success

// Advisory lock (flock) on a file made if missing. With wait=false: kBusy when another holds it.
Result<UniqueFd> lock_file(const std::string& path, bool wait);

std::string random_hex(std::size_t bytes);  // getrandom(2); for names and tokens

}  // namespace vps
