// Protection of our own program file. A container whose entry point is /proc/self/exe executes this program from inside, and
// could then open it for writing and change it for the next container (CVE-2019-5736). So the commands that enter a container
// run from a copy which nobody can write: a read-only clone of the mount that the program lies on, or a sealed memfd.
#pragma once

#include "base/error.h"

namespace vps::vpsrun {

// Executes this program once more from such a copy; returns when it runs from one already, or when none can be made.
Result<> run_from_protected_copy(char** argv);

}  // namespace vps::vpsrun
