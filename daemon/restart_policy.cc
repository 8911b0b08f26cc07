#include "daemon/restart_policy.h"

#include <fmt/core.h>

#include <cstring>

namespace vps::daemon {

using supervisor::ExitReason;

bool is_failure(ExitReason reason, ExitStatus exit) {
  switch (reason) {
    case ExitReason::kPoweroff:
    case ExitReason::kReboot: return false;
    case ExitReason::kExited: return exit.shell_code() != 0;
    case ExitReason::kNone:
    case ExitReason::kKilled:
    case ExitReason::kOom:
    case ExitReason::kStartFailed: return true;
  }
  return true;
}

AfterExit after_exit(RestartPolicy policy, bool asked, ExitReason reason, ExitStatus exit) {
  if (asked) return AfterExit::kStay;
  if (reason == ExitReason::kReboot) return AfterExit::kStartAgain;
  // A poweroff from inside is a wish, whatever the policy says.
  if (reason == ExitReason::kPoweroff || policy == RestartPolicy::kNever) return AfterExit::kStay;
  if (policy == RestartPolicy::kAlways || is_failure(reason, exit)) return AfterExit::kBackOff;
  return AfterExit::kStay;
}

std::string describe_exit(ExitReason reason, ExitStatus exit) {
  auto how = [&] {
    if (exit.signal == 0) return fmt::format("exited with code {}", exit.code);
    const char* name = ::sigabbrev_np(exit.signal);
    return fmt::format("killed by signal {}{}", exit.signal, name != nullptr ? fmt::format(" (SIG{})", name) : "");
  };
  switch (reason) {
    case ExitReason::kReboot: return "rebooted";
    case ExitReason::kPoweroff: return "powered off";
    case ExitReason::kOom: return "init killed for using too much memory";
    case ExitReason::kStartFailed: return "did not start";
    case ExitReason::kNone:
    case ExitReason::kExited:
    case ExitReason::kKilled: return how();
  }
  return how();
}

}  // namespace vps::daemon
