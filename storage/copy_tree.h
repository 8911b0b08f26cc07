// Copies a directory tree: owners, modes, times, xattrs, ACLs, hard links, holes, FIFOs and devices. Content is shared with
// the source where the file system can (FICLONE), copied inside the kernel otherwise.
//
// Other file systems mounted in the source are not entered: their mount points become empty directories, with a note.
// Sockets are left out with a note. Symlinks are copied, never followed. The source should not change meanwhile.
#pragma once

#include <sys/types.h>

#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "storage/progress.h"

namespace vps::storage {

using FileId = std::pair<dev_t, ino_t>;

// `skip`: directories that are left out, with a note. After an error the target holds what was copied so far: the caller
// removes it.
Result<> copy_tree(int source_fd, UniqueFd target, const Progress& progress, const std::vector<FileId>& skip = {});

}  // namespace vps::storage
