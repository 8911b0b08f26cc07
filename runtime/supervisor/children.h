// The short-lived processes of a supervisor: the one that launches the VPS and one per exec. Each is a plain fork that does its
// work with all the memory it likes, hands the result over and ends, so that the supervisor itself stays small. The VPS's
// processes become the supervisor's own children (CLONE_PARENT), so that it is the one that reaps them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "base/pidfd.h"
#include "base/seqpacket.h"
#include "cgroups/cgroup.h"
#include "netns/host.h"
#include "runtime/supervisor/client.h"
#include "runtime/supervisor/protocol.h"

namespace vps::supervisor {

enum class ChildMessage : std::uint32_t {
  kPid = 1,   // i32 pid, with the pidfd: a process that is now the supervisor's child
  kConsole,   // the pty's master as descriptor
  kLimits,    // strings: what enforces each limit
  kStarted,   // execve has happened (of a launch: and the poststart hooks have run)
  kFailed,    // runtime::Failure
};

struct Worker {
  PidFd process;
  Seqpacket channel;
};

// Builds cgroup, root and pid 1 of the plan.
Result<Worker> fork_launcher(const Plan& plan, const cgroups::Host& host);

struct ExecWork {
  PrepareExec request;
  std::array<int, 3> stdio{-1, -1, -1};  // -1: /dev/null
  int session = -1;                      // kAttached and kSessionError go there when >= 0
};
Result<Worker> fork_exec(const Plan& plan, const cgroups::Group& group, const PidFd& init, const ExecWork& work);

// Runs the poststop hooks of the plan's spec in a process of its own; nullopt when there are none.
Result<std::optional<Worker>> fork_poststop(const Plan& plan);

// What netns/ is to know of the host, from its plan.
netns::Host netns_host(const Plan& plan);

// 127 for a missing program, 126 for one that may not be executed, else 125.
int exec_exit_code(const Error& error);

}  // namespace vps::supervisor
