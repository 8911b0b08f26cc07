// Unpacks an archive into a directory: any tar or cpio, plain or compressed, that libarchive reads. libarchive only reads;
// what is written, and where, TreeWriter decides.
//
// Kept: owners (by number), modes, times, xattrs, POSIX ACLs, hard links, holes, FIFOs and devices. Sockets are left out
// with a note. Refused with the entry's name: '..', links and names that lead out of the tree, unknown types, what is
// truncated or is no archive. After an error the directory holds what was written so far: the caller removes it.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "base/fd.h"
#include "storage/progress.h"

namespace vps::storage {

struct UnpackLimits {  // 0: none but the disk's
  std::uint64_t bytes = 0, entries = 0;
};

// `archive_fd` is a regular file at its beginning; `root` an empty directory. Notes go to `progress` as "note: ...".
Result<> unpack_archive(int archive_fd, UniqueFd root, const Progress& progress, const UnpackLimits& limits = {});

}  // namespace vps::storage
