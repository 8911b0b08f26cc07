#include "tests/support/pty.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"

extern char** environ;

namespace vps::test {
namespace {

using Clock = std::chrono::steady_clock;

int remaining_ms(Clock::time_point deadline) {
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return left <= 0 ? 0 : static_cast<int>(left);
}

// In the child between fork and exec: async-signal-safe calls only.
[[noreturn]] void run_on_terminal(const char* slave_path, char* const* argv, char* const* environment, const char* cwd) {
  ::setsid();
  int slave = ::open(slave_path, O_RDWR);  // the first terminal that a session leader opens becomes its controlling one
  if (slave < 0) ::_exit(125);
  (void)::ioctl(slave, TIOCSCTTY, 0);
  for (int fd = 0; fd < 3; ++fd) (void)::dup2(slave, fd);
  if (slave > 2) ::close(slave);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signo = 1; signo < 32; ++signo) ::signal(signo, SIG_DFL);
  if (cwd[0] != '\0' && ::chdir(cwd) != 0) ::_exit(125);
  ::execvpe(argv[0], argv, environment);
  ::_exit(127);
}

}  // namespace

Result<Pty> Pty::start(const Argv& argv, PtySize size, const CommandOptions& options) {
  Pty pty;
  pty.master_ = UniqueFd(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.master_) return fail_errno(errno, "open a pty");
  char slave[64];
  if (::grantpt(pty.master_.get()) != 0 || ::unlockpt(pty.master_.get()) != 0 ||
      ::ptsname_r(pty.master_.get(), slave, sizeof slave) != 0)
    return fail_errno(errno, "set up a pty");
  VPS_TRY(pty.resize(size));

  Argv arguments = argv;
  std::vector<char*> pointers;
  for (auto& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string_view view(*entry);
    if (!view.starts_with("TERM=") && !options.env.contains(std::string(view.substr(0, view.find('='))))) environment.emplace_back(view);
  }
  environment.emplace_back("TERM=xterm");
  for (const auto& [key, value] : options.env) environment.push_back(key + "=" + value);
  std::vector<char*> environment_pointers;
  for (auto& entry : environment) environment_pointers.push_back(entry.data());
  environment_pointers.push_back(nullptr);

  pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "fork");
  if (pid == 0) run_on_terminal(slave, pointers.data(), environment_pointers.data(), options.cwd.c_str());
  pty.pidfd_ = VPS_TRY(PidFd::open(pid));
  return pty;
}

Pty::~Pty() {
  if (!pidfd_) return;
  (void)pidfd_.signal(SIGKILL);
  (void)pidfd_.wait();
}

Result<> Pty::write(std::string_view keys) const { return write_all(master_.get(), keys); }

Result<std::string> Pty::read_until(std::string_view text, std::chrono::milliseconds timeout) {
  auto deadline = Clock::now() + timeout;
  for (;;) {
    if (auto at = transcript_.find(text, matched_); at != std::string::npos) {
      std::string part = transcript_.substr(matched_, at + text.size() - matched_);
      matched_ = at + text.size();
      return part;
    }
    pollfd wait{master_.get(), POLLIN, 0};
    int ready = ::poll(&wait, 1, remaining_ms(deadline));
    if (ready == 0) return fail(Code::kTimedOut, "no '{}' on the terminal, but: {}", text, transcript_.substr(matched_));
    char buffer[65536];
    ssize_t n = ::read(master_.get(), buffer, sizeof buffer);
    // EIO: the last holder of the slave end has closed it.
    if (n <= 0) return fail(Code::kFailed, "the program ended without '{}': {}", text, transcript_.substr(matched_));
    transcript_.append(buffer, static_cast<std::size_t>(n));
  }
}

Result<> Pty::resize(PtySize size) const {
  winsize ws{};
  ws.ws_row = size.rows;
  ws.ws_col = size.columns;
  if (::ioctl(master_.get(), TIOCSWINSZ, &ws) != 0) return fail_errno(errno, "set the terminal's size");
  return {};
}

bool Pty::raw() const {
  termios mode{};
  if (::tcgetattr(master_.get(), &mode) != 0) return false;
  return (mode.c_lflag & static_cast<tcflag_t>(ICANON | ECHO)) == 0;
}

Result<ExitStatus> Pty::finish(std::chrono::milliseconds timeout) {
  auto deadline = Clock::now() + timeout;
  for (;;) {
    pollfd waits[2] = {{pidfd_.fd(), POLLIN, 0}, {master_.get(), POLLIN, 0}};
    if (::poll(waits, 2, remaining_ms(deadline)) == 0)
      return fail(Code::kTimedOut, "the program on the terminal does not end: {}", transcript_.substr(matched_));
    if ((waits[1].revents & POLLIN) != 0) {
      char buffer[65536];
      ssize_t n = ::read(master_.get(), buffer, sizeof buffer);
      if (n > 0) transcript_.append(buffer, static_cast<std::size_t>(n));
      if (n > 0) continue;
    }
    if (waits[0].revents != 0) break;
    // Only the hang-up of the slave side is left to see: wait for the process alone.
    if ((waits[1].revents & POLLHUP) != 0 && ::poll(waits, 1, remaining_ms(deadline)) > 0) break;
  }
  auto status = VPS_TRY(pidfd_.wait());
  pidfd_ = PidFd();
  return status;
}

}  // namespace vps::test
