// One message per packet over an AF_UNIX SOCK_SEQPACKET socket, with file descriptors beside it (unix(7), SCM_RIGHTS).
// A packet is a 32-bit type followed by the body. Received fds are close-on-exec and owned by the message.
// Not thread-safe: one owner per end.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace vps {

constexpr std::size_t kMaxPacket = 128u << 10;
constexpr std::size_t kMaxPacketFds = 250;  // below the kernel's SCM_MAX_FD (253)

struct Packet {
  std::uint32_t type = 0;
  std::string body;
  std::vector<UniqueFd> fds;
};

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

class Seqpacket {
 public:
  Seqpacket() = default;
  explicit Seqpacket(UniqueFd fd) : fd_(std::move(fd)) {}

  static Result<std::pair<Seqpacket, Seqpacket>> make_pair();
  // Paths longer than sun_path are reached through a directory fd in /proc/self/fd.
  static Result<Seqpacket> connect(const std::string& path);
  // Listening socket; an old socket file of that name is replaced. `mode` is set before listen().
  static Result<UniqueFd> listen(const std::string& path, mode_t mode);
  static Result<Seqpacket> accept(int listener);

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(fd_); }
  [[nodiscard]] int release() { return fd_.release(); }
  void close() { fd_.reset(); }

  // EPIPE/ECONNRESET are errors with that errno. Blocks when the peer does not read, unless the fd is non-blocking.
  Result<> send(std::uint32_t type, std::string_view body, std::span<const int> fds = {}) const;
  // nullopt: the peer has closed. EAGAIN (non-blocking fd) is an error with that errno.
  Result<std::optional<Packet>> receive() const;
  Result<PeerCredentials> peer() const;
  Result<> set_nonblocking(bool on) const;

 private:
  UniqueFd fd_;
};

}  // namespace vps
