// Programs run by tests: no shell, a time limit on everything, output captured. Waiting is done on a pidfd and the pipes, not
// by sleeping. run() may be called from several threads at once; a Process belongs to one thread at a time.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/pidfd.h"

namespace vps::test {

using Argv = std::vector<std::string>;
constexpr std::chrono::milliseconds kCommandTimeout{60'000};

struct CommandOptions {
  std::chrono::milliseconds timeout = kCommandTimeout;  // then the process is killed and timed_out set
  std::string input{};                                  // written to its stdin, which is then closed
  std::map<std::string, std::string> env{};             // on top of this process's own environment
  std::string cwd{};
};

struct CommandResult {
  int code = -1;        // exit code, or 128 + signal
  bool timed_out = false;
  std::string out, err;
  // "vpsctl start 101: exit 5\nstdout: ...\nstderr: ..." for assertion messages.
  [[nodiscard]] std::string describe() const;
  std::string command;
};

// Runs argv (argv[0] is looked up in PATH) to its end. An error means that it could not be started.
Result<CommandResult> run(const Argv& argv, const CommandOptions& options = {});

// A program that runs while the test goes on: its stdin, stdout and stderr are ours.
class Process {
 public:
  static Result<Process> start(const Argv& argv, const CommandOptions& options = {});
  Process(Process&&) noexcept = default;
  Process& operator=(Process&&) noexcept = default;
  ~Process();  // kills what still runs

  Result<> write(std::string_view text);
  void close_input() { input_.reset(); }
  // Reads until `text` has appeared in stdout or stderr; kTimedOut (with what came instead), kFailed when the program ended.
  Result<> read_until(std::string_view text, std::chrono::milliseconds timeout = kCommandTimeout);
  // Reads what comes next; kTimedOut when nothing does, kFailed when both outputs have ended.
  Result<> read_more(std::chrono::milliseconds timeout);
  // Reads to the end of both and reaps it; kTimedOut leaves it running.
  Result<CommandResult> finish(std::chrono::milliseconds timeout = kCommandTimeout);
  Result<> signal(int signo) const { return pidfd_.signal(signo); }
  [[nodiscard]] pid_t pid() const { return pidfd_.pid(); }
  [[nodiscard]] const std::string& out() const { return result_.out; }
  [[nodiscard]] const std::string& err() const { return result_.err; }

 private:
  Process() = default;
  // One round of poll over the pipes and the pidfd. False: nothing left to wait for.
  Result<bool> pump(std::chrono::steady_clock::time_point deadline);

  PidFd pidfd_;
  UniqueFd input_, out_, err_;
  CommandResult result_;
};

// Calls `condition` until it is true or `timeout` is over, for states that have no descriptor to wait on.
bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds timeout = std::chrono::seconds(10));

}  // namespace vps::test
