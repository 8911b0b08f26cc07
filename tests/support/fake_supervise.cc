// A supervisor that supervises nothing, for tests of vpsd: speaks runtime/supervisor/protocol.h, leaves state.json, and does
// what the words in <state>/containers/<id>/behaviour and the commands of prepare_exec tell it. One thread, like the real one.
//
// Words: fail-start | slow-start:MS | exit:CODE (as soon as it runs) | exit-after:MS,CODE | not-ready | ignore-stop | stop-takes:MS
// Commands (argv of an exec): exit CODE | reboot | poweroff | crash | oom | fork-bomb | ready | say TEXT | deaf
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/files.h"
#include "base/seqpacket.h"
#include "runtime/supervisor/client.h"
#include "runtime/supervisor/protocol.h"

namespace {

using namespace vps;
using namespace vps::supervisor;
using std::chrono::milliseconds;

std::uint32_t number(Message message) { return static_cast<std::uint32_t>(message); }

class Fake {
 public:
  Fake(Plan plan, EventLoop loop) : plan_(std::move(plan)), loop_(std::move(loop)) {
    auto slash = plan_.console_log.rfind('/');
    if (auto text = read_file(plan_.console_log.substr(0, slash) + "/behaviour")) {
      std::istringstream words(*text);
      for (std::string word; words >> word;) {
        auto colon = word.find(':');
        behaviour_[word.substr(0, colon)] = colon == std::string::npos ? "" : word.substr(colon + 1);
      }
    }
    if (auto boot_id = read_file("/proc/sys/kernel/random/boot_id")) boot_id_ = boot_id->substr(0, boot_id->find('\n'));
    status_.supervisor_pid = ::getpid();
    status_.pid = ::getpid();
  }

  Result<> run(Seqpacket control) {
    listener_ = VPS_TRY(Seqpacket::listen(plan_.socket, 0600));
    VPS_TRY(loop_.add(listener_.get(), EPOLLIN, [this](std::uint32_t) { on_listener(); }));
    VPS_TRY(add(std::move(control), true));
    save();
    loop_.after(milliseconds(argument("slow-start", 0)), [this] { launched(); });
    return loop_.run();
  }

 private:
  struct Connection {
    Seqpacket socket;
    bool control = false;
  };

  long argument(const std::string& word, long otherwise) const {
    auto it = behaviour_.find(word);
    return it == behaviour_.end() ? otherwise : std::atol(it->second.c_str());
  }
  bool has(const std::string& word) const { return behaviour_.contains(word); }

  Result<> add(Seqpacket socket, bool control) {
    int fd = socket.fd();
    connections_[fd] = {std::move(socket), control};
    return loop_.add(fd, EPOLLIN, [this, fd](std::uint32_t) { on_packet(fd); });
  }

  void on_listener() {
    if (auto accepted = Seqpacket::accept(listener_.get())) (void)add(std::move(*accepted), false);
  }

  void save() {
    RunState state;
    state.id = plan_.id;
    state.status = status_;
    state.boot_id = boot_id_;
    (void)write_file_atomic(plan_.run_state, format_run_state(state), 0600);
  }
  void changed() {
    save();
    for (auto& [fd, connection] : connections_)
      if (connection.control) (void)connection.socket.send(number(Message::kStatus), encode(status_));
    status_.incidents.clear();
  }
  void console(std::string_view text) {
    auto log = open_path(plan_.console_log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (log) (void)write_all(log->get(), std::string(text) + "\n");
  }

  void launched() {
    if (status_.phase != Phase::kStarting) return;
    if (has("fail-start")) {
      status_.phase = Phase::kFailed;
      status_.reason = ExitReason::kStartFailed;
      status_.has_error = true;
      status_.error = Error(Code::kUnavailable, ENOSYS, "mount proc on /proc");
      return finish();
    }
    using namespace std::chrono;
    status_.phase = Phase::kRunning;
    status_.ready = !plan_.notify_ready && !has("not-ready");
    status_.started_unix_ms =
        static_cast<std::uint64_t>(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
    status_.limits = {R"({"limit":"memory.limit","value":"64M","state":"enforced","file":"memory.max","reason":""})"};
    console("booting");
    changed();
    if (has("exit")) end(ExitReason::kExited, {.code = static_cast<int>(argument("exit", 0)), .signal = 0});
    if (has("exit-after")) {
      auto words = behaviour_["exit-after"];
      int code = std::atoi(words.substr(words.find(',') + 1).c_str());
      loop_.after(milliseconds(std::atol(words.c_str())), [this, code] { end(ExitReason::kExited, {.code = code, .signal = 0}); });
    }
  }

  void end(ExitReason reason, ExitStatus exit) {
    if (status_.phase == Phase::kExited || status_.phase == Phase::kFailed) return;
    status_.phase = Phase::kExited;
    status_.reason = reason;
    status_.exit = exit;
    status_.pid = 0;
    finish();
  }
  void finish() {
    changed();
    (void)remove_file(plan_.socket);
    loop_.quit();
  }

  void on_packet(int fd) {
    auto& connection = connections_.at(fd);
    auto packet = connection.socket.receive();
    if (!packet || !*packet) {
      loop_.remove(fd);
      connections_.erase(fd);
      return;
    }
    if (deaf_) return;
    if ((*packet)->type == number(Message::kHello)) {
      connection.control = true;
      (void)connection.socket.send(number(Message::kStatus), encode(status_));
      return;
    }
    Reply reply;
    auto token = serve(static_cast<Message>((*packet)->type), (*packet)->body);
    if (token) {
      reply.token = *token;
    } else {
      reply.ok = false;
      reply.error = token.error();
    }
    (void)connection.socket.send(number(Message::kReply), encode(reply));
  }

  Result<std::string> serve(Message type, const std::string& body) {
    switch (type) {
      case Message::kStop: return stop(VPS_TRY(decode_stop(body)));
      case Message::kPause:
      case Message::kResume:
        status_.paused = type == Message::kPause;
        loop_.after(milliseconds(0), [this] { changed(); });
        return std::string();
      case Message::kPrepareExec: return command(VPS_TRY(decode_prepare_exec(body)).argv);
      case Message::kPrepareConsole: return std::string("console-token");
      default: return fail(Code::kUsage, "unknown request");
    }
  }

  Result<std::string> stop(const Stop& request) {
    status_.phase = Phase::kStopping;
    status_.paused = false;
    auto delay = request.force ? 0 : has("ignore-stop") ? static_cast<long>(request.timeout_ms) : argument("stop-takes", 0);
    bool killed = request.force || has("ignore-stop");
    loop_.after(milliseconds(delay), [this, killed] {
      end(killed ? ExitReason::kKilled : ExitReason::kPoweroff, {.code = 0, .signal = killed ? SIGKILL : SIGINT});
    });
    return std::string();
  }

  Result<std::string> command(const std::vector<std::string>& argv) {
    auto later = [this](auto job) { loop_.after(milliseconds(0), job); };
    const std::string& name = argv.at(0);
    if (name == "exit") {
      int code = std::atoi(argv.at(1).c_str());
      later([this, code] { end(ExitReason::kExited, {.code = code, .signal = 0}); });
    } else if (name == "reboot") {
      later([this] { end(ExitReason::kReboot, {.code = 0, .signal = SIGHUP}); });
    } else if (name == "poweroff") {
      later([this] { end(ExitReason::kPoweroff, {.code = 0, .signal = SIGINT}); });
    } else if (name == "crash") {
      later([] { ::kill(::getpid(), SIGKILL); });
    } else if (name == "oom" || name == "fork-bomb") {
      const bool oom = name == "oom";
      status_.incidents = {{oom ? "oom" : "pids-limit", oom ? "hog was killed" : "a fork was refused",
                            oom ? R"({"kind":"oom","process":"hog","pid":42,"limit":"memory.limit"})"
                                : R"({"kind":"pids-limit","limit":"pids.limit","count":3})"}};
      later([this] { changed(); });
    } else if (name == "ready") {
      status_.ready = true;
      later([this] { changed(); });
    } else if (name == "say") {
      console(argv.at(1));
    } else if (name == "deaf") {
      deaf_ = true;
    } else {
      return fail(Code::kNotFound, "no command {}", name);
    }
    return std::string("exec-token");
  }

  Plan plan_;
  EventLoop loop_;
  Status status_;
  std::string boot_id_;
  std::map<std::string, std::string> behaviour_;
  std::map<int, Connection> connections_;
  UniqueFd listener_;
  bool deaf_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  Seqpacket control{UniqueFd(3)};
  ::fcntl(control.fd(), F_SETFD, FD_CLOEXEC);
  auto text = read_file(argv[2]);
  auto plan = text ? parse_plan(*text) : Result<Plan>(std::unexpected(text.error()));
  if (!plan) {
    std::fprintf(stderr, "%s\n", plan.error().to_string().c_str());
    return 1;
  }
  pid_t child = ::fork();
  if (child != 0) return child < 0 ? 1 : 0;
  ::setsid();
  ::signal(SIGPIPE, SIG_IGN);
  // Nobody reaps the output of a test's supervisor, and a test that fails must not leave one behind for good.
  constexpr unsigned kLongestTest = 300;
  ::alarm(kLongestTest);
  auto null = open_path("/dev/null", O_RDWR);
  if (null)
    for (int fd = 0; fd < 3; ++fd) ::dup2(null->get(), fd);
  auto loop = EventLoop::create();
  if (!loop) return 1;
  return Fake(std::move(*plan), std::move(*loop)).run(std::move(control)) ? 0 : 1;
}
