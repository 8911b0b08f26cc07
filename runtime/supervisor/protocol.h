// What is said on a supervisor's socket (<run>/containers/<id>/supervisor.sock, SOCK_SEQPACKET, mode 0600).
//
// A connection starts with exactly one of: kHello (vpsd: control connection), kAttach (a session that vpsd has prepared).
//   vpsd -> supervisor: kHello, then any time kStop, kSignal, kPause, kResume, kPrepareExec, kPrepareConsole
//   supervisor -> vpsd: kStatus after kHello and at every change; kReply to each request, in order
//   CLI  -> supervisor: kAttach{token} with fds [stdin, stdout, stderr] for an exec without tty, none otherwise;
//                       then kSessionSignal (exec), kSessionInput and kSessionResize (a console's writer)
//   supervisor -> CLI : kAttached (with the pty master as fd for an exec with tty; body "writer" or "reader" for a console), then kSessionOutput (console), at the end
//                       kSessionExit{status} or kSessionError{code, message}
// Messages are encoded with base/wire.h; both ends are of one build, and the version in kHello is compared anyway, so that a
// new vpsd can refuse politely to drive an old supervisor that it does not understand.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/pidfd.h"

namespace vps::supervisor {

constexpr std::uint32_t kProtocolVersion = 1;

enum class Message : std::uint32_t {
  kHello = 1,
  kStatus,
  kReply,
  kStop,
  kSignal,
  kPause,
  kResume,
  kPrepareExec,
  kPrepareConsole,
  kAttach = 32,
  kAttached,
  kSessionSignal,
  kSessionInput,
  kSessionOutput,
  kSessionExit,
  kSessionError,
  kSessionResize,
};

enum class Phase : std::uint8_t { kStarting, kRunning, kStopping, kExited, kFailed };
std::string_view phase_name(Phase phase);

enum class ExitReason : std::uint8_t { kNone, kExited, kPoweroff, kReboot, kKilled, kOom, kStartFailed };
std::string_view exit_reason_name(ExitReason reason);

struct IncidentReport {
  std::string kind;     // "oom", "pids-limit"
  std::string message;  // for people: "hog (pid 4711) was killed: memory limit 64M reached (memory.max)"
  std::string data;     // a JSON object: kind, process, pid, limit, file, value, count
  bool operator==(const IncidentReport&) const = default;
};

struct Status {
  Phase phase = Phase::kStarting;
  bool paused = false;
  bool ready = false;              // READY=1 was seen (or the init kind has no such notion and it runs)
  std::int32_t pid = 0;            // of pid 1, as the host sees it
  std::int32_t supervisor_pid = 0;
  std::uint64_t started_unix_ms = 0;
  ExitStatus exit;                 // when kExited
  ExitReason reason = ExitReason::kNone;
  std::string status_text;         // the last STATUS= of the init
  Error error;                     // when kFailed: why the start failed
  bool has_error = false;
  std::vector<std::string> limits; // JSON objects {limit,value,state,file,reason}: what enforces each, as applied
  // Limits hit since the last status; each is sent once on a control connection.
  std::vector<IncidentReport> incidents;
};

struct Hello {
  std::uint32_t version = kProtocolVersion;
};
struct Reply {
  bool ok = true;
  Error error;
  std::string token;  // kPrepareExec, kPrepareConsole
};
struct Stop {
  bool force = false;              // kill the whole cgroup at once
  std::uint64_t timeout_ms = 0;    // then the whole cgroup is killed
};
struct PrepareExec {
  std::vector<std::string> argv, env;  // env as K=V
  std::string cwd, user;               // "" is "/" (or the user's home with login) and root; user as NAME, UID or UID:GID
  bool tty = false;
  bool detach = false;
  bool login = false;                  // take shell, HOME, USER from the VPS's passwd; argv may be empty then
};
struct PrepareConsole {
  bool readonly = false;
};
struct Resize {
  std::uint16_t rows = 0, columns = 0;
};
struct SessionError {
  Code code = Code::kFailed;
  int exit_code = 125;  // 125 runtime error, 126 cannot execute, 127 not found
  std::string message;
};

std::string encode(const Status& value);
std::string encode(const Hello& value);
std::string encode(const Reply& value);
std::string encode(const Stop& value);
std::string encode(const PrepareExec& value);
std::string encode(const PrepareConsole& value);
std::string encode(const SessionError& value);
Result<Status> decode_status(std::string_view body);
Result<Hello> decode_hello(std::string_view body);
Result<Reply> decode_reply(std::string_view body);
Result<Stop> decode_stop(std::string_view body);
Result<PrepareExec> decode_prepare_exec(std::string_view body);
Result<PrepareConsole> decode_prepare_console(std::string_view body);
Result<SessionError> decode_session_error(std::string_view body);
std::string encode(const Resize& value);            // kSessionResize, of a console's writer
Result<Resize> decode_resize(std::string_view body);
std::string encode_session_exit(ExitStatus value);  // kSessionExit
Result<ExitStatus> decode_session_exit(std::string_view body);
std::string encode_signal(int signo);               // kSignal, kSessionSignal; the kAttach body is the token as it is
Result<int> decode_signal(std::string_view body);

}  // namespace vps::supervisor
