// The few messages of criu's RPC (protobuf, /usr/include/criu/rpc.proto, https://criu.org/RPC) that checkpoint and restore speak with "criu
// swrk": one request, then for a restore notifications that wait for a reply each, some with a descriptor, then the answer. A message
// is one packet. What its command line has not is the way terminals come back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "cli/oci/criu.h"

namespace vps::vpsrun {

// Whole requests. kUsage for an option that has no field there. Pure but for the inodes of namespaces.
Result<std::string> dump_request(const CriuOptions& options, pid_t pid, const External& external, const oci::Spec& spec, const CriuDirs& dirs, bool pre_dump);
Result<std::string> restore_request(const CriuOptions& options, const External& external, const oci::Spec& spec, const RestorePlaces& places);
std::string notify_reply(bool success);

struct CriuMessage {
  enum class Kind : std::uint8_t { kAnswer, kNotification };
  Kind kind = Kind::kAnswer;
  bool success = false;
  pid_t pid = 0;       // of the first process; 0: not said
  std::string script;  // of a notification: "setup-namespaces", "orphan-pts-master" ...
};
// kFailed when the bytes are no criu_resp.
Result<CriuMessage> parse_criu_message(std::string_view bytes);

struct CriuPacket {
  CriuMessage message;
  UniqueFd fd;
};
// nullopt: criu is gone.
Result<std::optional<CriuPacket>> receive_from_criu(int socket);
Result<> send_to_criu(int socket, std::string_view bytes);
// In a process of its own, for good: becomes criu with `socket` as its end. Returns only what went wrong.
Error execute_criu(const std::string& program, int socket);

}  // namespace vps::vpsrun
