// Protection of our own program file. A container whose entry point is /proc/self/exe executes this program from inside, and
// could then open it for writing and change it for the next container (CVE-2019-5736). So the commands that enter a container
// run from a copy which nobody can write: a read-only clone of the mount that the program lies on, or a sealed memfd.
#pragma once

#include <sys/mount.h>

#include <cstdint>

#include "base/error.h"

namespace vps::vpsrun {

inline constexpr const char* kSelf = "/proc/self/exe";
inline constexpr std::uint64_t kCopyAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID;

// Before any parsing, so that what is parsed is parsed once: is one of the words a command that enters a container? Without the
// library, for early.cc.
constexpr bool enters_container(int argc, const char* const* argv) {
  for (const char* name : {"create", "run", "exec"})
    for (int i = 1; i < argc; ++i) {
      int at = 0;
      while (name[at] != 0 && argv[i][at] == name[at]) ++at;
      if (name[at] == 0 && argv[i][at] == 0) return true;
    }
  return false;
}

// Executes this program once more from such a copy; returns when it runs from one already, or when none can be made.
Result<> run_from_protected_copy(char** argv);

}  // namespace vps::vpsrun
