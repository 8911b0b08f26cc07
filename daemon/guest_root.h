// Single files of a guest, below a descriptor of its root: every path is resolved inside (openat2, RESOLVE_IN_ROOT), and what the
// tenant has put in a file's place is never followed. Thread-safe.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/error.h"
#include "specs/vps/compile.h"

namespace vps::daemon {

// A regular file of a reasonable size; anything else is an error.
Result<std::string> read_in_root(int root, const std::string& path);
// The new file beside the old one, then in its place: who reads in this moment sees one of the two. Owner and mode are those of the old
// one; a new one is the guest's root's (`ids`) with `mode`.
Result<> replace_in_root(int root, IdRange ids, const std::string& path, std::string_view content, mode_t mode);

}  // namespace vps::daemon
