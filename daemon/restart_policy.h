// What becomes of a VPS whose pid 1 has ended: pure.
#pragma once

#include <string>

#include "base/pidfd.h"
#include "runtime/supervisor/protocol.h"
#include "specs/vps/definition.h"

namespace vps::daemon {

enum class AfterExit {
  kStay,          // stopped, by its own or the operator's wish
  kStartAgain,    // reboot: a full fresh start at once
  kBackOff,       // started again after a delay
};

// `asked`: an operator's stop was under way.
AfterExit after_exit(RestartPolicy policy, bool asked, supervisor::ExitReason reason, ExitStatus exit);
// Is this end a failure of the VPS (as opposed to a wish)?
bool is_failure(supervisor::ExitReason reason, ExitStatus exit);
// For events and `show`: "rebooted", "exited with code 3", "killed by signal 9 (SIGKILL)", "killed for using too much memory".
std::string describe_exit(supervisor::ExitReason reason, ExitStatus exit);

}  // namespace vps::daemon
