#include "cli/vpsctl/console_session.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/files.h"
#include "cli/common/session.h"
#include "cli/common/session_end.h"

namespace vps::cli {
namespace {

using supervisor::Message;

constexpr std::size_t kMaxPending = 64u << 10;
constexpr std::size_t kSeen = 1024;             // enough to be unique in a console log
constexpr std::size_t kMaxReplay = 64u << 10;   // what a supervisor replays at most
constexpr int kReplayPause = 50;                // ms without output: the replay is over
constexpr int kReconnectPause = 1000;           // ms between attempts to reach a vpsd that is away
constexpr char kInterrupt = 3;                  // Ctrl-C in raw mode

constexpr std::string_view kHelp =
    "escapes at the beginning of a line:\n"
    "  ~.  leave the console (the VPS goes on)\n"
    "  ~?  this help\n"
    "  ~~  send one ~\n";

}  // namespace

void ConsoleSession::say(std::string_view text) {
  if (context_.output.quiet()) return;
  bool raw = raw_ && raw_->active();
  std::string shown = raw ? "\r\n" : "";
  for (char c : text) shown += c == '\n' && raw ? "\r\n" : std::string(1, c);
  (void)write_all(err_, shown + (raw ? "\r\n" : "\n"));
}

Result<bool> ConsoleSession::attach() {
  Value body = Value::object();
  if (readonly_) body.set("readonly", true);
  auto answer = context_.api.post(api_path({"containers", id_, "console"}), body);
  if (!answer && answer.error().code() == Code::kWrongState) {
    context_.api.clear_details();
    return false;
  }
  if (!answer) return std::unexpected(std::move(answer).error());
  auto session = attach_session(*answer, {});
  if (!session) {
    // It has ended between the two calls.
    bool ended = session.error().err() == ENOENT || session.error().err() == ECONNREFUSED || session.error().err() == EPIPE;
    if (ended) return false;
    return std::unexpected(std::move(session).error());
  }
  session_ = std::move(*session);
  VPS_TRY(session_.set_nonblocking(true));
  collecting_ = attached_before_;
  attached_before_ = true;
  pending_.clear();
  return true;
}

Result<> ConsoleSession::show(std::string_view output) {
  VPS_TRY(write_all(out_, output));
  seen_ += output;
  if (seen_.size() > kSeen) seen_.erase(0, seen_.size() - kSeen);
  return {};
}

Result<> ConsoleSession::flush_replay() {
  collecting_ = false;
  std::string replay = std::exchange(replay_, {});
  std::string seen = seen_;
  return show(unseen_part(replay, seen));
}

void ConsoleSession::send_size() {
  auto size = window_size(out_);
  if (!size || !session_ || readonly_) return;
  auto body = supervisor::encode(supervisor::Resize{.rows = size->rows, .columns = size->columns});
  (void)session_.send(static_cast<std::uint32_t>(Message::kSessionResize), body);
}

void ConsoleSession::send_pending() {
  constexpr std::size_t kPiece = 4096;
  while (!pending_.empty()) {
    auto piece = std::string_view(pending_).substr(0, kPiece);
    auto sent = session_.send(static_cast<std::uint32_t>(Message::kSessionInput), piece);
    if (!sent && sent.error().err() == EAGAIN) return;
    if (!sent) pending_.clear();  // the end of the session is about to be read
    else pending_.erase(0, piece.size());
  }
}

Result<bool> ConsoleSession::take_packet() {
  auto packet = receive_packet(session_);
  if (!packet && packet.error().err() == EAGAIN) return true;
  if (!packet) return std::unexpected(std::move(packet).error());
  auto type = *packet ? static_cast<Message>((*packet)->type) : Message::kSessionExit;
  switch (type) {
    case Message::kAttached:
      if ((*packet)->body == "reader" && !readonly_) say("[somebody else writes on this console; you see it only]");
      send_size();
      return true;
    case Message::kSessionOutput:
      if (!collecting_) {
        VPS_TRY(show((*packet)->body));
        return true;
      }
      replay_ += (*packet)->body;
      if (replay_.size() >= kMaxReplay) VPS_TRY(flush_replay());
      return true;
    case Message::kSessionError: {
      VPS_TRY(flush_replay());
      auto error = VPS_TRY(supervisor::decode_session_error((*packet)->body));
      if (error.code == Code::kWrongState || error.code == Code::kNotFound) {
        say(fmt::format("[{}]", visible(error.message)));
        return false;
      }
      return std::unexpected(Error(error.code, error.message));
    }
    case Message::kSessionExit: VPS_TRY(flush_replay()); return false;
    default: return true;
  }
}

Result<ConsoleSession::Done> ConsoleSession::take_input() {
  std::array<char, 4096> buffer{};
  ssize_t n = ::read(in_, buffer.data(), buffer.size());
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return Done();
  if (n <= 0) {
    in_ended_ = true;
    // A terminal that hung up, or a script whose words have all been said. Who only looks goes on looking.
    if (readonly_ && !is_terminal(in_)) return Done();
    send_pending();
    return Done(0);
  }
  std::string_view bytes(buffer.data(), static_cast<std::size_t>(n));
  auto step = escape_.feed(bytes);
  if (step.help) say(kHelp);
  if (waiting_) {
    if (step.leave || bytes.find(kInterrupt) != std::string_view::npos) return Done(0);
    return Done();  // nobody is there to read it
  }
  if (!readonly_) pending_ += step.forward;
  send_pending();
  if (step.leave) return Done(0);
  return Done();
}

Result<ConsoleSession::Done> ConsoleSession::take_signals() {
  while (auto signo = signals_->next()) {
    switch (*signo) {
      case SIGWINCH: send_size(); break;
      case SIGTSTP:
        raw_->restore();
        ::raise(SIGSTOP);
        raw_->again();
        break;
      case SIGCONT: raw_->again(); break;
      case SIGPIPE: break;
      default: return Done(128 + *signo);
    }
  }
  return Done();
}

Result<ConsoleSession::Done> ConsoleSession::follow() {
  waiting_ = false;
  while (true) {
    std::array<pollfd, 3> items{{{session_.fd(), static_cast<short>(POLLIN | (pending_.empty() ? 0 : POLLOUT)), 0},
                                 {signals_->fd(), POLLIN, 0},
                                 {in_ended_ || pending_.size() >= kMaxPending ? -1 : in_, POLLIN, 0}}};
    int n = ::poll(items.data(), items.size(), collecting_ ? kReplayPause : -1);
    if (n < 0 && errno != EINTR) return fail_errno(errno, "poll");
    if (n == 0) VPS_TRY(flush_replay());
    if (n <= 0) continue;
    if (items[1].revents != 0)
      if (auto code = VPS_TRY(take_signals())) return code;
    if ((items[0].revents & POLLOUT) != 0) send_pending();
    if ((items[0].revents & ~POLLOUT) != 0 && !VPS_TRY(take_packet())) {
      session_.close();
      return Done();
    }
    if (items[2].revents != 0)
      if (auto code = VPS_TRY(take_input())) return code;
  }
}

// Just after the end of a run vpsd may fail in other ways than by saying that nothing runs (its supervisor is
// going away), so that only what cannot become better ends the wait.
Result<> ConsoleSession::try_again(bool* attached) {
  auto result = attach();
  *attached = result && *result;
  if (result) return {};
  auto code = result.error().code();
  if (code == Code::kNotFound || code == Code::kNotAllowed || code == Code::kUsage) return std::unexpected(std::move(result).error());
  context_.api.clear_details();
  return {};
}

// The events tell when to look again. vpsd may be restarted meanwhile: then it is tried again from time to time.
Result<ConsoleSession::Done> ConsoleSession::wait_for_start() {
  std::optional<HttpStream> events;
  bool attached = false;
  while (true) {
    bool look = false;
    if (!events) {
      std::string since;
      if (auto host = context_.api.get(api_path({"host"}))) since = host->path("events.last").text();
      auto opened = context_.api.stream(api_path({"events"}, {{"since", since}, {"follow", "1"}, {"vps", id_}}));
      if (opened) events = std::move(*opened);
      look = events.has_value();  // after the stream is open, so that a start in between is not missed
    }
    if (look) VPS_TRY(try_again(&attached));
    if (attached) return Done();
    if (!waiting_) say(fmt::format("[{} is not running; waiting for its start, ~. leaves]", id_));
    waiting_ = true;
    std::array<pollfd, 3> items{
        {{events ? events->fd() : -1, POLLIN, 0}, {signals_->fd(), POLLIN, 0}, {in_ended_ ? -1 : in_, POLLIN, 0}}};
    int n = ::poll(items.data(), items.size(), events ? -1 : kReconnectPause);
    if (n < 0 && errno != EINTR) return fail_errno(errno, "poll");
    if (n <= 0) continue;
    if (items[1].revents != 0)
      if (auto code = VPS_TRY(take_signals())) return code;
    if (items[2].revents != 0)
      if (auto code = VPS_TRY(take_input())) return code;
    if (items[0].revents == 0) continue;
    auto news = events->read_ready();
    if (!news || !*news) {
      events.reset();
    } else if (!(*news)->empty()) {
      VPS_TRY(try_again(&attached));
      if (attached) return Done();
    }
  }
}

Result<int> ConsoleSession::run() {
  auto signals = VPS_TRY(Signals::take({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT, SIGPIPE}));
  signals_.emplace(std::move(signals));
  auto raw = VPS_TRY(RawMode::enter(in_));
  raw_.emplace(std::move(raw));
  if (raw_->active()) say(fmt::format("[console of {}; ~. at the beginning of a line leaves, ~? helps]", id_));
  bool attached = VPS_TRY(attach());
  while (true) {
    if (!attached)
      if (auto code = VPS_TRY(wait_for_start())) return *code;
    attached = false;
    if (auto code = VPS_TRY(follow())) return *code;
  }
}

}  // namespace vps::cli
