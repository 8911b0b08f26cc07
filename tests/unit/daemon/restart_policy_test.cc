#include "daemon/restart_policy.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace vps::daemon {
namespace {

using supervisor::ExitReason;

// Every policy against every way to end: what then?
struct Row {
  ExitReason reason;
  ExitStatus exit;
  AfterExit never, on_failure, always;
};
constexpr auto kStay = AfterExit::kStay;
constexpr auto kAgain = AfterExit::kStartAgain;
constexpr auto kLater = AfterExit::kBackOff;
const Row kRows[] = {
    {ExitReason::kReboot, {.code = 0, .signal = SIGHUP}, kAgain, kAgain, kAgain},
    {ExitReason::kPoweroff, {.code = 0, .signal = SIGINT}, kStay, kStay, kStay},
    {ExitReason::kExited, {.code = 0, .signal = 0}, kStay, kStay, kLater},
    {ExitReason::kExited, {.code = 3, .signal = 0}, kStay, kLater, kLater},
    {ExitReason::kKilled, {.code = 0, .signal = SIGKILL}, kStay, kLater, kLater},
    {ExitReason::kOom, {.code = 0, .signal = SIGKILL}, kStay, kLater, kLater},
    {ExitReason::kStartFailed, {}, kStay, kLater, kLater},
    {ExitReason::kNone, {}, kStay, kLater, kLater},
};

TEST(RestartPolicyTest, Table) {
  for (const auto& row : kRows) {
    SCOPED_TRACE(exit_reason_name(row.reason));
    EXPECT_EQ(after_exit(RestartPolicy::kNever, false, row.reason, row.exit), row.never);
    EXPECT_EQ(after_exit(RestartPolicy::kOnFailure, false, row.reason, row.exit), row.on_failure);
    EXPECT_EQ(after_exit(RestartPolicy::kAlways, false, row.reason, row.exit), row.always);
    for (auto policy : {RestartPolicy::kNever, RestartPolicy::kOnFailure, RestartPolicy::kAlways})
      EXPECT_EQ(after_exit(policy, true, row.reason, row.exit), kStay) << "an operator's stop stands";
  }
}

TEST(RestartPolicyTest, Words) {
  EXPECT_EQ(describe_exit(ExitReason::kExited, {.code = 3, .signal = 0}), "exited with code 3");
  EXPECT_EQ(describe_exit(ExitReason::kKilled, {.code = 0, .signal = SIGKILL}), "killed by signal 9 (SIGKILL)");
  EXPECT_EQ(describe_exit(ExitReason::kKilled, {.code = 0, .signal = 63}), "killed by signal 63");
  EXPECT_EQ(describe_exit(ExitReason::kReboot, {.code = 0, .signal = SIGHUP}), "rebooted");
}

}  // namespace
}  // namespace vps::daemon
