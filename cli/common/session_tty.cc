// An exec with a terminal: the local terminal in raw mode on one side, the master of the VPS's pty on the other.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "base/files.h"
#include "cli/common/session.h"
#include "cli/common/session_end.h"
#include "cli/common/terminal.h"

namespace vps::cli {
namespace {

using supervisor::Message;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kChunk = 16u << 10;
constexpr std::size_t kMaxPending = 64u << 10;  // input that the VPS has not taken yet; then ours is not read
constexpr std::size_t kMaxDrain = 1u << 20;     // after the end, when something in the background goes on writing
constexpr int kLastWordsMs = 200;               // silence of a terminal that somebody in the background keeps open
constexpr char kEndOfFile = 4;                  // VEOF of a fresh terminal

class TtySession {
 public:
  TtySession(Context& context, const Seqpacket& session, Signals signals, RawMode raw, int in, int out)
      : context_(context), session_(session), signals_(std::move(signals)), raw_(std::move(raw)), in_(in), out_(out) {}

  Result<int> run() {
    while (true) {
      std::array<pollfd, 4> items{{{session_.fd(), POLLIN, 0},
                                   {signals_.fd(), POLLIN, 0},
                                   {master_.get(), static_cast<short>(POLLIN | (pending_.empty() ? 0 : POLLOUT)), 0},
                                   {master_ && !in_ended_ && pending_.size() < kMaxPending ? in_ : -1, POLLIN, 0}}};
      int n = ::poll(items.data(), items.size(), timeout());
      if (n < 0 && errno != EINTR) return fail_errno(errno, "poll");
      if (n == 0 && leaving_) return 128 + *leaving_;
      if (n <= 0) continue;
      if (items[1].revents != 0)
        if (auto code = VPS_TRY(take_signals())) return *code;
      if ((items[2].revents & POLLOUT) != 0) write_pending();
      if ((items[2].revents & ~POLLOUT) != 0) VPS_TRY(copy_output());
      if (items[3].revents != 0) read_input();
      if (items[0].revents != 0)
        if (auto code = VPS_TRY(take_packet())) return *code;
    }
  }

 private:
  [[nodiscard]] int timeout() const {
    if (!leaving_) return -1;
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(left, 0));
  }

  Result<std::optional<int>> take_packet() {
    auto packet = VPS_TRY(receive_packet(session_));
    if (packet && packet->type == static_cast<std::uint32_t>(Message::kAttached)) {
      if (packet->fds.size() != 1) return fail(Code::kFailed, "the supervisor sent no terminal");
      master_ = std::move(packet->fds[0]);
      int flags = ::fcntl(master_.get(), F_GETFL);
      if (::fcntl(master_.get(), F_SETFL, flags | O_NONBLOCK) != 0) return fail_errno(errno, "set the terminal's flags");
      resize();
      return std::optional<int>();
    }
    bool exited = packet && packet->type == static_cast<std::uint32_t>(Message::kSessionExit);
    if (exited) VPS_TRY(drain());
    // Whatever is printed about the end belongs on a terminal in its own modes.
    if (!packet || packet->type == static_cast<std::uint32_t>(Message::kSessionError)) raw_.restore();
    return session_end(context_, packet);
  }

  // A signal from outside goes to the command; one that should end us does so at the latest a little later: closing the
  // master then hangs up what is left inside.
  Result<std::optional<int>> take_signals() {
    while (auto signo = signals_.next()) {
      switch (*signo) {
        case SIGWINCH: resize(); break;
        case SIGTSTP:
          raw_.restore();
          ::raise(SIGSTOP);
          raw_.again();
          resize();
          break;
        case SIGCONT:
          raw_.again();
          resize();
          break;
        case SIGPIPE: break;
        default:
          (void)session_.send(static_cast<std::uint32_t>(Message::kSessionSignal), supervisor::encode_signal(*signo));
          if (*signo == SIGUSR1 || *signo == SIGUSR2) break;
          if (leaving_) return std::optional(128 + *signo);
          leaving_ = *signo;
          deadline_ = Clock::now() + std::chrono::seconds(*signo == SIGHUP ? 1 : 5);
      }
    }
    return std::optional<int>();
  }

  void resize() {
    if (!master_) return;
    auto size = window_size(in_);
    if (!size) size = window_size(out_);
    if (size) (void)set_window_size(master_.get(), *size);
  }

  void write_pending() {
    ssize_t n = ::write(master_.get(), pending_.data(), pending_.size());
    if (n > 0) pending_.erase(0, static_cast<std::size_t>(n));
    if (n < 0 && errno != EAGAIN && errno != EINTR) pending_.clear();  // nobody reads there any more
  }

  void read_input() {
    std::array<char, kChunk> buffer{};
    ssize_t n = ::read(in_, buffer.data(), buffer.size());
    if (n > 0) {
      pending_.append(buffer.data(), static_cast<std::size_t>(n));
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
      in_ended_ = true;
      pending_ += kEndOfFile;
    }
  }

  // One read; the master reports EIO when no process has the terminal open any more.
  Result<> copy_output() {
    std::array<char, kChunk> buffer{};
    ssize_t n = ::read(master_.get(), buffer.data(), buffer.size());
    if (n > 0) return write_all(out_, std::string_view(buffer.data(), static_cast<std::size_t>(n)));
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) master_.reset();
    return {};
  }

  Result<> drain() {
    for (std::size_t total = 0; master_ && total < kMaxDrain; total += kChunk) {
      pollfd item{master_.get(), POLLIN, 0};
      // The kernel passes on the last words from a work queue: they may come a moment after the end, then EIO.
      if (::poll(&item, 1, kLastWordsMs) <= 0) return {};
      VPS_TRY(copy_output());
    }
    return {};
  }

  Context& context_;
  const Seqpacket& session_;
  Signals signals_;
  RawMode raw_;
  int in_, out_;
  UniqueFd master_;
  std::string pending_;
  bool in_ended_ = false;
  std::optional<int> leaving_;  // the signal that ends us
  Clock::time_point deadline_{};
};

}  // namespace

Result<int> run_tty_session(Context& context, const Seqpacket& session, int in, int out) {
  // Before raw mode: a signal in between would leave the terminal as it is. SIGPIPE becomes the error of a write.
  auto signals = VPS_TRY(
      Signals::take({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT, SIGPIPE}));
  auto raw = VPS_TRY(RawMode::enter(in));
  return TtySession(context, session, std::move(signals), std::move(raw), in, out).run();
}

}  // namespace vps::cli
