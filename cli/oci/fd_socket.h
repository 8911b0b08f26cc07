// Descriptors handed to an engine over a listening AF_UNIX stream socket of its own (--console-socket, --pidfd-socket,
// linux.seccomp.listenerPath): one message with the descriptors beside it (unix(7), SCM_RIGHTS).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace vps::vpsrun {

// Connects to `path`, of any length. kUsage when it is no socket.
Result<UniqueFd> connect_stream(const std::string& path);
// `text` must not be empty: a message of descriptors alone does not exist on a stream.
Result<> send_descriptors(int socket, std::string_view text, std::span<const int> fds);
Result<> hand_over(const std::string& path, std::string_view text, int fd);

}  // namespace vps::vpsrun
