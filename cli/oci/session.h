// A process in the foreground, for run and exec: waits for it, passes signals on, and moves bytes between our terminal and
// its own when it has one. Single-threaded.
#pragma once

#include "base/error.h"
#include "base/fd.h"
#include "base/pidfd.h"

namespace vps::vpsrun {

// Signals from the moment that it is made; they are delivered to the process of wait().
class Foreground {
 public:
  static Result<Foreground> begin();
  Foreground(Foreground&& other) noexcept;
  Foreground& operator=(Foreground&&) = delete;
  Foreground(const Foreground&) = delete;
  Foreground& operator=(const Foreground&) = delete;
  ~Foreground();

  // `console`: the master of the process's terminal, or nothing. `own_child`: else its end is known, not its exit code.
  Result<ExitStatus> wait(const PidFd& process, UniqueFd console);

 private:
  Foreground() = default;
  struct State;
  State* state_ = nullptr;
};

}  // namespace vps::vpsrun
