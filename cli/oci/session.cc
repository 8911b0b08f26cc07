#include "cli/oci/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "base/files.h"
#include "cli/common/terminal.h"

namespace vps::vpsrun {
namespace {

// Everything that a process may be sent and that means nothing to us.
constexpr std::initializer_list<int> kForwarded = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,
                                                   SIGWINCH, SIGCONT, SIGTSTP, SIGPIPE, SIGALRM, SIGCHLD};
constexpr std::size_t kBuffer = 32768;

void copy_window_size(int from, int to) {
  auto size = cli::window_size(from);
  if (size) (void)cli::set_window_size(to, *size);
}

// One direction of the relay: reads when nothing is left to be written.
struct Stream {
  int from = -1, to = -1;
  std::string pending{};
  bool open = true;

  // Reads what is there; false at the end.
  void read_some() {
    std::array<char, kBuffer> buffer{};
    ssize_t n = ::read(from, buffer.data(), buffer.size());
    if (n > 0) pending.assign(buffer.data(), static_cast<std::size_t>(n));
    // A pty's master says EIO when no slave is open any more.
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) open = false;
  }
  void write_some() {
    ssize_t n = ::write(to, pending.data(), pending.size());
    if (n > 0) pending.erase(0, static_cast<std::size_t>(n));
    if (n < 0 && errno != EINTR && errno != EAGAIN) {
      pending.clear();
      open = false;
    }
  }
};

void reap_others(pid_t except) {
  // As a subreaper we get the container's orphans when it has no pid namespace of its own.
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0 && info.si_pid != except) {
    siginfo_t reaped{};
    ::waitid(P_PID, static_cast<id_t>(info.si_pid), &reaped, WEXITED | WNOHANG);
    info = {};
  }
}

}  // namespace

struct Foreground::State {
  explicit State(cli::Signals taken) : signals(std::move(taken)) {}
  cli::Signals signals;
};

Result<Foreground> Foreground::begin() {
  Foreground foreground;
  foreground.state_ = new State(VPS_TRY(cli::Signals::take(kForwarded)));
  return foreground;
}
Foreground::Foreground(Foreground&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
Foreground::~Foreground() { delete state_; }

Result<ExitStatus> Foreground::wait(const PidFd& process, UniqueFd console) {
  cli::RawMode raw;
  std::optional<cli::RawMode> terminal;
  Stream input{.from = STDIN_FILENO, .to = console.get(), .open = static_cast<bool>(console)};
  Stream output{.from = console.get(), .to = STDOUT_FILENO, .open = static_cast<bool>(console)};
  if (console) {
    if (cli::is_terminal(STDIN_FILENO)) terminal.emplace(VPS_TRY(cli::RawMode::enter(STDIN_FILENO)));
    copy_window_size(STDIN_FILENO, console.get());
  }
  bool ended = false;
  // After its end what the terminal still holds is shown, to the end of file: the kernel passes on the last words from a work queue,
  // a moment later. A descendant that keeps the terminal open does not keep us once it is silent.
  constexpr int kLastWordsMs = 200;
  while (!ended || output.open) {
    std::array<pollfd, 4> items{{{ended ? -1 : process.fd(), POLLIN, 0},
                                 {state_->signals.fd(), POLLIN, 0},
                                 {-1, 0, 0},
                                 {-1, 0, 0}}};
    if (input.open && !ended) items[2] = {input.pending.empty() ? input.from : input.to, static_cast<short>(input.pending.empty() ? POLLIN : POLLOUT), 0};
    if (output.open) items[3] = {output.pending.empty() ? output.from : output.to, static_cast<short>(output.pending.empty() ? POLLIN : POLLOUT), 0};
    int ready = ::poll(items.data(), items.size(), ended && output.pending.empty() ? kLastWordsMs : -1);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail_errno(errno, "poll");
    if (ready == 0) break;
    while (auto signo = state_->signals.next()) {
      if (*signo == SIGCHLD) {
        reap_others(process.pid());
      } else if (*signo == SIGWINCH && console) {
        copy_window_size(STDIN_FILENO, console.get());
      } else {
        (void)process.signal(*signo);
      }
    }
    if (items[2].revents != 0) input.pending.empty() ? input.read_some() : input.write_some();
    if (items[3].revents != 0) output.pending.empty() ? output.read_some() : output.write_some();
    if (items[0].revents != 0) ended = true;
  }
  if (!output.pending.empty()) (void)write_all(STDOUT_FILENO, output.pending);
  terminal.reset();
  return process.wait();
}

}  // namespace vps::vpsrun
