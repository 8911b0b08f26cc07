#include "tests/support/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "base/files.h"

extern char** environ;

namespace vps::test {
namespace {

using Clock = std::chrono::steady_clock;

int remaining_ms(Clock::time_point deadline) {
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return left <= 0 ? 0 : static_cast<int>(std::min<long long>(left, 1'000'000'000));
}

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& extra) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string_view view(*entry);
    if (!extra.contains(std::string(view.substr(0, view.find('='))))) result.emplace_back(view);
  }
  for (const auto& [key, value] : extra) result.push_back(key + "=" + value);
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (auto& s : strings) result.push_back(s.data());
  result.push_back(nullptr);
  return result;
}

std::string join(const Argv& argv) {
  std::string text;
  for (const auto& arg : argv) text += (text.empty() ? "" : " ") + arg;
  return text;
}

// posix_spawn's file actions and attributes, freed on every way out.
struct SpawnSetup {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  SpawnSetup() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
};

}  // namespace

std::string CommandResult::describe() const {
  return command + (timed_out ? ": timed out" : ": exit " + std::to_string(code)) + "\nstdout: " + out + "\nstderr: " + err;
}

Result<Process> Process::start(const Argv& argv, const CommandOptions& options) {
  auto in = VPS_TRY(make_pipe());
  auto out = VPS_TRY(make_pipe());
  auto err = VPS_TRY(make_pipe());
  SpawnSetup setup;
  posix_spawn_file_actions_adddup2(&setup.actions, in.read.get(), 0);
  posix_spawn_file_actions_adddup2(&setup.actions, out.write.get(), 1);
  posix_spawn_file_actions_adddup2(&setup.actions, err.write.get(), 2);
  if (!options.cwd.empty()) posix_spawn_file_actions_addchdir_np(&setup.actions, options.cwd.c_str());
  // Test programs block and ignore signals of their own; children start clean.
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  for (int signo : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&defaults, signo);
  posix_spawnattr_setsigmask(&setup.attributes, &none);
  posix_spawnattr_setsigdefault(&setup.attributes, &defaults);
  posix_spawnattr_setflags(&setup.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  Argv arguments = argv;
  auto environment = merged_environment(options.env);
  pid_t pid = -1;
  int rc = ::posix_spawnp(&pid, arguments.at(0).c_str(), &setup.actions, &setup.attributes, pointers(arguments).data(),
                          pointers(environment).data());
  if (rc != 0) return fail_errno(rc, "start {}", arguments[0]);

  Process process;
  process.pidfd_ = VPS_TRY(PidFd::open(pid));
  process.input_ = std::move(in.write);
  process.out_ = std::move(out.read);
  process.err_ = std::move(err.read);
  process.result_.command = join(argv);
  (void)::fcntl(process.input_.get(), F_SETFL, O_NONBLOCK);
  return process;
}

Process::~Process() {
  if (!pidfd_) return;
  (void)pidfd_.signal(SIGKILL);
  (void)pidfd_.wait();
}

Result<> Process::write(std::string_view text) {
  while (!text.empty()) {
    ssize_t n = ::write(input_.get(), text.data(), text.size());
    if (n < 0 && errno == EAGAIN) {
      pollfd wait{input_.get(), POLLOUT, 0};
      if (::poll(&wait, 1, 10'000) <= 0) return fail(Code::kTimedOut, "{} does not read its input", result_.command);
      continue;
    }
    if (n < 0) return fail_errno(errno, "write to {}", result_.command);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<bool> Process::pump(Clock::time_point deadline) {
  pollfd waits[2] = {{out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}};
  if (!out_ && !err_) return false;
  int ready = ::poll(waits, 2, remaining_ms(deadline));
  if (ready < 0 && errno != EINTR) return fail_errno(errno, "poll");
  if (ready == 0) return fail(Code::kTimedOut, "{}", result_.describe());
  UniqueFd* fds[2] = {&out_, &err_};
  std::string* texts[2] = {&result_.out, &result_.err};
  for (int i = 0; i < 2; ++i) {
    if (waits[i].revents == 0) continue;
    char buffer[65536];
    ssize_t n = ::read(fds[i]->get(), buffer, sizeof buffer);
    if (n > 0) texts[i]->append(buffer, static_cast<std::size_t>(n));
    if (n == 0) fds[i]->reset();
  }
  return true;
}

Result<> Process::read_until(std::string_view text, std::chrono::milliseconds timeout) {
  auto deadline = Clock::now() + timeout;
  while (result_.out.find(text) == std::string::npos && result_.err.find(text) == std::string::npos)
    if (!VPS_TRY(pump(deadline))) return fail(Code::kFailed, "ended without '{}': {}", text, result_.describe());
  return {};
}

Result<> Process::read_more(std::chrono::milliseconds timeout) {
  if (!VPS_TRY(pump(Clock::now() + timeout))) return fail(Code::kFailed, "ended: {}", result_.describe());
  return {};
}

Result<CommandResult> Process::finish(std::chrono::milliseconds timeout) {
  auto deadline = Clock::now() + timeout;
  // A grandchild may hold the pipes open: the end of the process itself is what counts, then what is in the pipes.
  while (out_ || err_) {
    pollfd waits[3] = {{pidfd_.fd(), POLLIN, 0}, {out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}};
    int ready = ::poll(waits, 3, remaining_ms(deadline));
    if (ready < 0 && errno != EINTR) return fail_errno(errno, "poll");
    if (ready == 0) return fail(Code::kTimedOut, "{}", result_.describe());
    bool data = waits[1].revents != 0 || waits[2].revents != 0;
    if (!data && waits[0].revents != 0) break;
    if (data) (void)VPS_TRY(pump(deadline));
  }
  pollfd end{pidfd_.fd(), POLLIN, 0};
  if (::poll(&end, 1, remaining_ms(deadline)) <= 0) return fail(Code::kTimedOut, "{}", result_.describe());
  auto status = VPS_TRY(pidfd_.wait());
  pidfd_ = PidFd();
  result_.code = status.shell_code();
  return result_;
}

Result<CommandResult> run(const Argv& argv, const CommandOptions& options) {
  auto process = VPS_TRY(Process::start(argv, options));
  // A program that ends without reading its input is no error of the test.
  if (!options.input.empty()) (void)process.write(options.input);
  process.close_input();
  auto result = process.finish(options.timeout);
  if (result) return result;
  if (result.error().code() != Code::kTimedOut) return result;
  VPS_TRY(process.signal(SIGKILL));
  CommandResult timed_out;
  timed_out.command = join(argv);
  timed_out.timed_out = true;
  timed_out.out = process.out();
  timed_out.err = process.err();
  return timed_out;
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds timeout) {
  auto deadline = Clock::now() + timeout;
  while (!condition()) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

}  // namespace vps::test
