#include "cli/common/session.h"

#include <poll.h>
#include <signal.h>

#include <cerrno>

#include "cli/common/session_end.h"
#include "cli/common/terminal.h"

namespace vps::cli {

using supervisor::Message;

Result<Seqpacket> attach_session(const Value& answer, std::span<const int> fds) {
  const auto& socket = answer.get("socket").string();
  const auto& token = answer.get("token").string();
  if (socket.empty() || token.empty()) return fail(Code::kFailed, "vpsd's answer is malformed: no session");
  auto session = VPS_TRY_CTX("reach the VPS's supervisor", Seqpacket::connect(socket));
  VPS_TRY(session.send(static_cast<std::uint32_t>(Message::kAttach), token, fds));
  return session;
}

Result<std::optional<Packet>> receive_packet(const Seqpacket& session) {
  auto packet = session.receive();
  if (!packet && packet.error().err() == ECONNRESET) return session.receive();
  return packet;
}

Result<std::optional<int>> session_end(Context& context, const std::optional<Packet>& packet) {
  if (!packet) return fail(Code::kFailed, "the session broke off: its supervisor is gone");
  switch (static_cast<Message>(packet->type)) {
    case Message::kSessionExit: return std::optional(VPS_TRY(supervisor::decode_session_exit(packet->body)).shell_code());
    case Message::kSessionError: {
      auto error = VPS_TRY(supervisor::decode_session_error(packet->body));
      return std::optional(report_error(context, context.action, context.subject, Error(error.code, error.message), error.exit_code));
    }
    default: return std::optional<int>();
  }
}

Result<int> run_plain_session(Context& context, const Seqpacket& session) {
  auto signals = VPS_TRY(Signals::take({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH}));
  while (true) {
    std::array<pollfd, 2> items{{{session.fd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}}};
    if (::poll(items.data(), items.size(), -1) < 0 && errno != EINTR) return fail_errno(errno, "poll");
    while (auto signo = signals.next())
      (void)session.send(static_cast<std::uint32_t>(Message::kSessionSignal), supervisor::encode_signal(*signo));
    if (items[0].revents == 0) continue;
    auto packet = VPS_TRY(receive_packet(session));
    if (auto code = VPS_TRY(session_end(context, packet))) return *code;
  }
}

Result<int> run_detached_session(Context& context, const Seqpacket& session) {
  while (true) {
    auto packet = VPS_TRY(receive_packet(session));
    if (packet && packet->type == static_cast<std::uint32_t>(Message::kAttached)) return 0;
    if (auto code = VPS_TRY(session_end(context, packet))) return *code;
  }
}

}  // namespace vps::cli
