// Which init a tree carries. Needs only base, so that the static supervisor can ask the same question of a root that it is
// about to start (target vps_storage_init). Re-entrant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace vps::storage {

enum class InitKind { kNone, kSystemd, kSysvinit, kOpenrc, kBusybox, kOther };
[[nodiscard]] std::string_view init_kind_name(InitKind kind);             // "none", "systemd", "sysvinit" ...
[[nodiscard]] InitKind init_kind_from_name(std::string_view name);        // unknown names are kNone

// What `program` (or /sbin/init, /etc/init, /bin/init ... when empty) of the tree is, resolved inside the root only: links
// that point out of it are followed as the VPS would follow them. A program without a slash is searched in the usual PATH.
// kNone: nothing there is an executable file; `looked_for` then lists the paths tried, in order.
struct DetectedInit {
  InitKind kind = InitKind::kNone;
  std::string path;                     // "/sbin/init", as pid 1 is to be started
  std::string resolved;                 // what that is after following links: "/usr/lib/systemd/systemd"
  std::vector<std::string> looked_for;  // in order; the last one is `path` when something was found
};
Result<DetectedInit> detect_init(int root_fd, const std::string& program = {});

}  // namespace vps::storage
