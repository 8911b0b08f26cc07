// Directories of a cgroup hierarchy: making, listing, emptying, removing. Used by Group only.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace vps::cgroups {

constexpr std::chrono::milliseconds kSettleTimeout{10'000};  // freeze, kill: what the kernel finishes on its own

// "/vps//101/" -> "vps/101". kUsage for "", ".", "..", control characters, names over 255 bytes, over 32 levels.
Result<std::string> normal_path(std::string_view path);

// The first word behind `key` in a "key value" file of `dirfd`; kNotFound when the file or key is missing.
Result<std::string> keyed_word(int dirfd, const char* file, std::string_view key);

// Waits with poll(2) until `file` says "key value". kTimedOut after `timeout`.
Result<> wait_for(int dirfd, const char* file, std::string_view key, std::string_view value,
                  std::chrono::milliseconds timeout);

// Names of the groups right below `dirfd`; none when it has just been removed.
Result<std::vector<std::string>> sub_groups(int dirfd);

// Pids of the group and all below it, from cgroup.procs; a group that vanishes meanwhile counts as empty.
Result<std::vector<pid_t>> subtree_processes(int dirfd);

// The sum of `key` in a "key number" file of the group and all below it; groups without the file count nothing.
Result<std::uint64_t> subtree_sum(int dirfd, const char* file, std::string_view key);

// SIGKILL for everything in the subtree until a look at it finds nothing, waiting on pidfds in between. For v1 hierarchies
// and kernels without cgroup.kill. kTimedOut when processes do not die.
Result<> kill_by_signal(int dirfd, std::chrono::milliseconds timeout);

// Removes the groups below `dirfd`, deepest first. kBusy when one holds processes.
Result<> remove_children(int dirfd);
// Removes the group `name` of `parent` with everything below; already gone is success.
Result<> remove_group(int parent, const std::string& name);

}  // namespace vps::cgroups
