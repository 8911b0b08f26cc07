// How a session ends, for the loops that run one.
#pragma once

#include <optional>

#include "base/error.h"
#include "base/seqpacket.h"
#include "cli/common/context.h"
#include "runtime/supervisor/protocol.h"

namespace vps::cli {

// The exit code when `packet` is the last one (an error of the other side has been printed then); nullopt: it goes on.
// No packet at all is an error: the supervisor went away without a word.
Result<std::optional<int>> session_end(Context& context, const std::optional<Packet>& packet);

// Like Seqpacket::receive. A peer that closed with words of ours unread shows as ECONNRESET, once and before what it had
// said itself (unix(7) sockets keep that): its last packet must not be lost for it.
Result<std::optional<Packet>> receive_packet(const Seqpacket& session);

}  // namespace vps::cli
