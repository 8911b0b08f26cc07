// One digest for a whole tree, the same wherever and however the tree is stored.
//
// SHA-256 over one record per entry, in the order of a walk with sorted names: path, type, mode, owner, group, device,
// link target, xattrs, and for regular files the size and every 4 KiB block that is not all zero, with its offset. Further
// names of a file count as links to its first one. Times are left out (a rebuilt tree of the same content is the same
// tree), and so is how holes are stored.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "storage/progress.h"

namespace vps::storage {

struct TreeDigest {
  std::string digest;         // "sha256:<64 hex digits>"
  std::uint64_t size = 0;     // bytes of regular files, each counted once, holes included
  std::uint64_t entries = 0;  // without the root
};

Result<TreeDigest> digest_tree(int root_fd, const Progress& progress);

}  // namespace vps::storage
