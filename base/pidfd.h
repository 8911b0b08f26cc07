// A process by handle, never by number: a pidfd cannot be reused by a stranger (pidfd_open(2), pidfd_send_signal(2)).
#pragma once

#include <sys/types.h>

#include <optional>

#include "base/error.h"
#include "base/fd.h"

namespace vps {

// How a process ended, as waitid(2) tells it.
struct ExitStatus {
  int code = 0;    // exit code when signal == 0
  int signal = 0;  // terminating signal, or 0

  // The shell's convention: the code, or 128 + signal.
  [[nodiscard]] int shell_code() const { return signal != 0 ? 128 + signal : code; }
  bool operator==(const ExitStatus&) const = default;
};

class PidFd {
 public:
  PidFd() = default;
  PidFd(UniqueFd fd, pid_t pid) : fd_(std::move(fd)), pid_(pid) {}

  // Opens a handle on a running process; kNotFound when it is gone.
  static Result<PidFd> open(pid_t pid);

  [[nodiscard]] int fd() const { return fd_.get(); }  // polls readable when the process has ended
  [[nodiscard]] pid_t pid() const { return pid_; }    // for printing and /proc paths only
  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(fd_); }

  Result<> signal(int signo) const;              // an ended process is success: nothing is left to signal
  [[nodiscard]] bool alive() const;              // polls; true until it has ended (a zombie has ended)
  // Children only. nullopt: still running.
  Result<std::optional<ExitStatus>> try_wait() const;
  Result<ExitStatus> wait() const;               // blocks

 private:
  UniqueFd fd_;
  pid_t pid_ = -1;
};

// Start time in clock ticks since boot (proc(5), /proc/PID/stat field 22): with the pid it names a process for good.
Result<unsigned long long> process_start_time(pid_t pid);

}  // namespace vps
