// A program on a terminal of its own, as a person would run it: the test holds the master end.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "base/pidfd.h"
#include "tests/support/command.h"

namespace vps::test {

struct PtySize {
  unsigned short rows = 24, columns = 80;
};

class Pty {
 public:
  // argv runs as a session leader with the terminal as its controlling one.
  static Result<Pty> start(const Argv& argv, PtySize size = {}, const CommandOptions& options = {});
  Pty(Pty&&) noexcept = default;
  Pty& operator=(Pty&&) noexcept = default;
  ~Pty();  // kills what still runs

  Result<> write(std::string_view keys) const;
  // Everything that came since the last match, up to and including `text`. kTimedOut says what came instead; kFailed: it ended.
  Result<std::string> read_until(std::string_view text, std::chrono::milliseconds timeout = kCommandTimeout);
  Result<> resize(PtySize size) const;  // the foreground process group gets SIGWINCH
  Result<ExitStatus> finish(std::chrono::milliseconds timeout = kCommandTimeout);
  [[nodiscard]] const std::string& transcript() const { return transcript_; }
  [[nodiscard]] pid_t pid() const { return pidfd_.pid(); }
  // True while the program has the terminal in raw mode.
  [[nodiscard]] bool raw() const;

 private:
  Pty() = default;
  UniqueFd master_;
  PidFd pidfd_;
  std::string transcript_;
  std::size_t matched_ = 0;
};

}  // namespace vps::test
