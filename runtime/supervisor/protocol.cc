#include "runtime/supervisor/protocol.h"

#include <array>

#include "base/wire.h"

namespace vps::supervisor {
namespace {

void put(WireWriter& w, const Error& error) {
  w.i32(static_cast<std::int32_t>(error.code()));
  w.i32(error.err());
  w.string(error.message());
}

Error get_error(WireReader& r) {
  auto code = static_cast<Code>(r.i32());
  int err = r.i32();
  return Error(code, err, r.string());
}

}  // namespace

std::string_view phase_name(Phase phase) {
  constexpr std::array<std::string_view, 5> kNames = {"starting", "running", "stopping", "exited", "failed"};
  auto index = static_cast<std::size_t>(phase);
  return index < kNames.size() ? kNames[index] : "failed";
}

std::string_view exit_reason_name(ExitReason reason) {
  constexpr std::array<std::string_view, 7> kNames = {"none", "exited", "poweroff", "reboot", "killed", "oom", "start-failed"};
  auto index = static_cast<std::size_t>(reason);
  return index < kNames.size() ? kNames[index] : "none";
}

std::string encode(const Status& value) {
  WireWriter w;
  w.u8(static_cast<std::uint8_t>(value.phase));
  w.boolean(value.paused);
  w.boolean(value.ready);
  w.i32(value.pid);
  w.i32(value.supervisor_pid);
  w.u64(value.started_unix_ms);
  w.i32(value.exit.code);
  w.i32(value.exit.signal);
  w.u8(static_cast<std::uint8_t>(value.reason));
  w.string(value.status_text);
  w.boolean(value.has_error);
  put(w, value.error);
  w.strings(value.limits);
  w.u32(static_cast<std::uint32_t>(value.incidents.size()));
  for (const auto& incident : value.incidents) {
    w.string(incident.kind);
    w.string(incident.message);
    w.string(incident.data);
  }
  return w.data();
}

Result<Status> decode_status(std::string_view body) {
  WireReader r(body);
  Status value;
  value.phase = static_cast<Phase>(r.u8());
  value.paused = r.boolean();
  value.ready = r.boolean();
  value.pid = r.i32();
  value.supervisor_pid = r.i32();
  value.started_unix_ms = r.u64();
  value.exit.code = r.i32();
  value.exit.signal = r.i32();
  value.reason = static_cast<ExitReason>(r.u8());
  value.status_text = r.string();
  value.has_error = r.boolean();
  value.error = get_error(r);
  value.limits = r.strings();
  for (std::uint32_t n = r.u32(); n > 0 && r.ok(); --n) {
    auto& incident = value.incidents.emplace_back();
    incident.kind = r.string();
    incident.message = r.string();
    incident.data = r.string();
  }
  VPS_TRY(r.finish("status"));
  if (value.phase > Phase::kFailed || value.reason > ExitReason::kStartFailed)
    return fail(Code::kUsage, "malformed message status");
  return value;
}

std::string encode(const Hello& value) {
  WireWriter w;
  w.u32(value.version);
  return w.data();
}

Result<Hello> decode_hello(std::string_view body) {
  WireReader r(body);
  Hello value{.version = r.u32()};
  VPS_TRY(r.finish("hello"));
  return value;
}

std::string encode(const Reply& value) {
  WireWriter w;
  w.boolean(value.ok);
  put(w, value.error);
  w.string(value.token);
  return w.data();
}

Result<Reply> decode_reply(std::string_view body) {
  WireReader r(body);
  Reply value;
  value.ok = r.boolean();
  value.error = get_error(r);
  value.token = r.string();
  VPS_TRY(r.finish("reply"));
  return value;
}

std::string encode(const Stop& value) {
  WireWriter w;
  w.boolean(value.force);
  w.u64(value.timeout_ms);
  return w.data();
}

Result<Stop> decode_stop(std::string_view body) {
  WireReader r(body);
  Stop value;
  value.force = r.boolean();
  value.timeout_ms = r.u64();
  VPS_TRY(r.finish("stop"));
  return value;
}

std::string encode(const PrepareExec& value) {
  WireWriter w;
  w.strings(value.argv);
  w.strings(value.env);
  w.string(value.cwd);
  w.string(value.user);
  w.boolean(value.tty);
  w.boolean(value.detach);
  w.boolean(value.login);
  return w.data();
}

Result<PrepareExec> decode_prepare_exec(std::string_view body) {
  WireReader r(body);
  PrepareExec value;
  value.argv = r.strings();
  value.env = r.strings();
  value.cwd = r.string();
  value.user = r.string();
  value.tty = r.boolean();
  value.detach = r.boolean();
  value.login = r.boolean();
  VPS_TRY(r.finish("prepare-exec"));
  return value;
}

std::string encode(const PrepareConsole& value) {
  WireWriter w;
  w.boolean(value.readonly);
  return w.data();
}

Result<PrepareConsole> decode_prepare_console(std::string_view body) {
  WireReader r(body);
  PrepareConsole value{.readonly = r.boolean()};
  VPS_TRY(r.finish("prepare-console"));
  return value;
}

std::string encode(const SessionError& value) {
  WireWriter w;
  w.i32(static_cast<std::int32_t>(value.code));
  w.i32(value.exit_code);
  w.string(value.message);
  return w.data();
}

Result<SessionError> decode_session_error(std::string_view body) {
  WireReader r(body);
  SessionError value;
  value.code = static_cast<Code>(r.i32());
  value.exit_code = r.i32();
  value.message = r.string();
  VPS_TRY(r.finish("session-error"));
  return value;
}

std::string encode(const Resize& value) {
  WireWriter w;
  w.u32(value.rows);
  w.u32(value.columns);
  return w.data();
}

Result<Resize> decode_resize(std::string_view body) {
  WireReader r(body);
  Resize value;
  value.rows = static_cast<std::uint16_t>(r.u32());
  value.columns = static_cast<std::uint16_t>(r.u32());
  VPS_TRY(r.finish("resize"));
  return value;
}

std::string encode_session_exit(ExitStatus value) {
  WireWriter w;
  w.i32(value.code);
  w.i32(value.signal);
  return w.data();
}

Result<ExitStatus> decode_session_exit(std::string_view body) {
  WireReader r(body);
  ExitStatus value;
  value.code = r.i32();
  value.signal = r.i32();
  VPS_TRY(r.finish("session-exit"));
  return value;
}

std::string encode_signal(int signo) {
  WireWriter w;
  w.i32(signo);
  return w.data();
}

Result<int> decode_signal(std::string_view body) {
  WireReader r(body);
  int signo = r.i32();
  VPS_TRY(r.finish("signal"));
  return signo;
}

}  // namespace vps::supervisor
