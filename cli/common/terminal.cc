#include "cli/common/terminal.h"

#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace vps::cli {
namespace {

// A background process that sets terminal modes is stopped by SIGTTOU; while it is blocked the call just works.
void set_modes(int fd, const termios& modes) {
  sigset_t block;
  sigset_t before;
  sigemptyset(&block);
  sigaddset(&block, SIGTTOU);
  ::sigprocmask(SIG_BLOCK, &block, &before);
  while (::tcsetattr(fd, TCSADRAIN, &modes) != 0 && errno == EINTR) {
  }
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

std::optional<WindowSize> window_size(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return std::nullopt;
  return WindowSize{size.ws_row, size.ws_col};
}

Result<> set_window_size(int fd, WindowSize size) {
  winsize value{};
  value.ws_row = size.rows;
  value.ws_col = size.columns;
  if (::ioctl(fd, TIOCSWINSZ, &value) != 0) return fail_errno(errno, "set the window size");
  return {};
}

Result<RawMode> RawMode::enter(int fd) {
  RawMode mode;
  if (!is_terminal(fd)) return mode;
  if (::tcgetattr(fd, &mode.saved_) != 0) return fail_errno(errno, "read the terminal's modes");
  mode.fd_ = fd;
  mode.raw_ = mode.saved_;
  ::cfmakeraw(&mode.raw_);
  mode.again();
  return mode;
}

RawMode::RawMode(RawMode&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), active_(std::exchange(other.active_, false)), saved_(other.saved_), raw_(other.raw_) {}

void RawMode::restore() {
  if (!active_) return;
  set_modes(fd_, saved_);
  active_ = false;
}

void RawMode::again() {
  if (fd_ < 0) return;
  set_modes(fd_, raw_);
  active_ = true;
}

Result<Signals> Signals::take(std::initializer_list<int> signals) {
  Signals taken;
  sigset_t set;
  sigemptyset(&set);
  for (int signo : signals) sigaddset(&set, signo);
  if (::sigprocmask(SIG_BLOCK, &set, &taken.before_) != 0) return fail_errno(errno, "block signals");
  taken.fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!taken.fd_) return fail_errno(errno, "signalfd");
  return taken;
}

Signals::Signals(Signals&& other) noexcept
    : fd_(std::move(other.fd_)), before_(other.before_), restore_(std::exchange(other.restore_, false)) {}

Signals::~Signals() {
  if (restore_) ::sigprocmask(SIG_SETMASK, &before_, nullptr);
}

std::optional<int> Signals::next() const {
  signalfd_siginfo info{};
  if (::read(fd_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return std::nullopt;
  return static_cast<int>(info.ssi_signo);
}

}  // namespace vps::cli
