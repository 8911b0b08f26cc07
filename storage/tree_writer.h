// Writes a file tree below a pinned root, entry by entry, whatever order and whatever hostility the entries come in.
//
// Paths are relative to the root. Each parent is resolved by openat2(2) with RESOLVE_BENEATH: an entry that would be
// written through a symlink that leads out of the tree (absolute, or by "..") is refused, not redirected. The tree must
// have no other writer. umask and working directory of the process play no part, so threads may write different trees.
// What cannot be kept (an xattr that the file system refuses, an owner that it cannot hold) is an error, never dropped.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace vps::storage {

struct Xattr {
  std::string name, value;
  auto operator<=>(const Xattr&) const = default;
};

struct Metadata {
  mode_t mode = 0;  // permission bits incl. setuid, setgid, sticky; type bits only for node()
  uid_t uid = 0;
  gid_t gid = 0;
  timespec mtime{}, atime{};
  std::vector<Xattr> xattrs;  // ACLs are among them, as system.posix_acl_access and system.posix_acl_default
};

constexpr std::size_t kMaxPathLength = 4095;   // PATH_MAX without its NUL
constexpr std::size_t kMaxNameLength = 255;    // NAME_MAX
constexpr std::size_t kMaxPathDepth = 256;     // so that walking and removing a tree needs a bounded number of fds

// Brings an entry's name to the form "a/b/c" ("" is the root itself): leading "/" and "./" go, as tar does it. kUsage for
// "..", names that are too long or too deep.
Result<std::string> normalize_entry_path(std::string_view name);

// May this attribute come into a tree at all? False: it belongs to the machine it comes from (security.selinux ...) and is
// left out. An error: it would change what the overlay above the tree shows (trusted.overlay.*).
Result<bool> xattr_allowed(std::string_view name);

class TreeWriter {
 public:
  // `root` is an open directory (not O_PATH only).
  explicit TreeWriter(UniqueFd root);

  // Makes it now; its metadata is applied by finish(), after everything in it was written.
  Result<> directory(const std::string& path, Metadata metadata);
  // A new empty file, open for reading and writing; anything but a directory of that name is replaced.
  Result<UniqueFd> create_file(const std::string& path);
  // Owner, mode, xattrs and times of an open file, after its content was written. `path` is for messages.
  Result<> finish_file(int fd, const std::string& path, const Metadata& metadata);
  Result<> symlink(const std::string& path, const std::string& target, const Metadata& metadata);
  // `target` is the path of an earlier entry.
  Result<> hard_link(const std::string& path, const std::string& target);
  // FIFO, character or block device by metadata.mode's type bits.
  Result<> node(const std::string& path, const Metadata& metadata, dev_t device);
  // Opens an existing regular file for writing (content that comes with a later hard link).
  Result<UniqueFd> reopen_file(const std::string& path);

  // More xattrs for an entry that is there already.
  Result<> add_xattrs(const std::string& path, std::vector<Xattr> xattrs);

  // The metadata of directories, the root's too. Directories that no entry named are root's, 0755.
  Result<> finish();

  [[nodiscard]] int root() const { return root_.get(); }
  // Entries whose owner or group is above 65535, which no VPS has: they will show up as nobody.
  [[nodiscard]] std::uint64_t unmapped_owners() const { return unmapped_; }

 private:
  struct Place {  // a parent directory and a name in it; valid until the next call of place()
    int parent = -1;
    std::string name;
  };
  Result<Place> place(const std::string& path);
  Result<int> parent_fd(const std::string& directory);
  Result<> clear_place(const Place& at, const std::string& path);
  Result<> apply_at(const Place& at, const std::string& path, const Metadata& metadata, bool link);
  void remember(const std::string& path, Metadata metadata);
  void count_owner(const Metadata& metadata);

  UniqueFd root_;
  UniqueFd cached_parent_;
  std::string cached_path_;
  // Directories and what finish() gives them. A vector, because one directory may be named in two ways (through a
  // symlink) and the later entry has to win; the map finds an entry by its path.
  std::vector<std::pair<std::string, Metadata>> directories_;
  std::unordered_map<std::string, std::size_t> directory_index_;
  std::uint64_t unmapped_ = 0;
};

}  // namespace vps::storage
