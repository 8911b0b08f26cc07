#include "runtime/sync.h"

#include <cerrno>

#include "base/wire.h"

namespace vps::runtime {

std::string_view sync_message_name(SyncMessage message) {
  switch (message) {
    case SyncMessage::kWantIdMap: return "want-id-map";
    case SyncMessage::kWantMounts: return "want-mounts";
    case SyncMessage::kConsole: return "console";
    case SyncMessage::kRootfsReady: return "rootfs-ready";
    case SyncMessage::kSeccompListener: return "seccomp-listener";
    case SyncMessage::kReady: return "ready";
    case SyncMessage::kFailure: return "failure";
    case SyncMessage::kLog: return "log";
    case SyncMessage::kExecuting: return "executing";
    case SyncMessage::kIdMapDone: return "id-map-done";
    case SyncMessage::kMountFd: return "mount-fd";
    case SyncMessage::kMountsDone: return "mounts-done";
    case SyncMessage::kHooksDone: return "hooks-done";
    case SyncMessage::kExec: return "exec";
  }
  return "unknown";
}

std::string encode(const Failure& failure) {
  WireWriter w;
  w.string(failure.step);
  w.i32(static_cast<std::int32_t>(failure.error.code()));
  w.i32(failure.error.err());
  w.string(failure.error.message());
  return w.data();
}

Result<Failure> decode_failure(std::string_view body) {
  WireReader r(body);
  Failure failure;
  failure.step = r.string();
  auto code = static_cast<Code>(r.i32());
  int err = r.i32();
  failure.error = Error(code, err, r.string());
  VPS_TRY(r.finish("failure"));
  return failure;
}

Result<> SyncChannel::send(SyncMessage message, std::string_view body, std::span<const int> fds) const {
  return socket_.send(static_cast<std::uint32_t>(message), body, fds);
}

void SyncChannel::send_log(log::Level level, std::string_view text) const {
  WireWriter w;
  w.u8(static_cast<std::uint8_t>(level));
  w.string(text.substr(0, 4096));
  (void)send(SyncMessage::kLog, w.data());  // a log line is never a reason to fail
}

void SyncChannel::send_failure(const Failure& failure) const {
  (void)send(SyncMessage::kFailure, encode(failure));  // with the parent gone there is nobody to tell
}

Result<std::optional<Packet>> SyncChannel::receive() const {
  while (true) {
    auto packet = VPS_TRY(socket_.receive());
    if (!packet) return packet;
    auto type = static_cast<SyncMessage>(packet->type);
    if (type == SyncMessage::kLog) {
      WireReader r(packet->body);
      auto level = static_cast<log::Level>(r.u8());
      auto text = r.string();
      if (r.ok() && level <= log::Level::kError) log::write(level, text);
      continue;
    }
    if (type == SyncMessage::kFailure) {
      auto failure = VPS_TRY(decode_failure(packet->body));
      return std::unexpected(std::move(failure.error).wrap(failure.step));
    }
    return packet;
  }
}

Result<Packet> SyncChannel::expect(SyncMessage expected) const {
  auto packet = VPS_TRY(receive());
  if (!packet) return fail_errno(EPIPE, "waiting for {}", sync_message_name(expected));
  auto type = static_cast<SyncMessage>(packet->type);
  if (type != expected)
    return fail(Code::kFailed, "expected {}, got {}", sync_message_name(expected), sync_message_name(type));
  return std::move(*packet);
}

}  // namespace vps::runtime
