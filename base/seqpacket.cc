#include "base/seqpacket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/files.h"

namespace vps {
namespace {

// sun_path holds 108 bytes; a deeper path is addressed through an open directory.
struct Address {
  sockaddr_un value{};
  UniqueFd directory;
};

Result<Address> make_address(const std::string& path) {
  Address address;
  address.value.sun_family = AF_UNIX;
  std::string shown = path;
  if (shown.size() >= sizeof address.value.sun_path) {
    auto slash = path.rfind('/');
    if (slash == std::string::npos) return fail(Code::kUsage, "socket name {} is too long", path);
    address.directory = VPS_TRY(open_path(path.substr(0, slash), O_PATH | O_DIRECTORY));
    shown = fmt::format("/proc/self/fd/{}/{}", address.directory.get(), path.substr(slash + 1));
    if (shown.size() >= sizeof address.value.sun_path) return fail(Code::kUsage, "socket name {} is too long", path);
  }
  std::memcpy(address.value.sun_path, shown.c_str(), shown.size() + 1);
  return address;
}

Result<UniqueFd> make_socket() {
  int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail_errno(errno, "make a socket");
  return UniqueFd(fd);
}

}  // namespace

Result<std::pair<Seqpacket, Seqpacket>> Seqpacket::make_pair() {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0)
    return fail_errno(errno, "make a socket pair");
  return std::pair(Seqpacket(UniqueFd(fds[0])), Seqpacket(UniqueFd(fds[1])));
}

Result<Seqpacket> Seqpacket::connect(const std::string& path) {
  auto fd = VPS_TRY(make_socket());
  auto address = VPS_TRY(make_address(path));
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.value), sizeof address.value) != 0)
    if (errno != EINTR) return fail_errno(errno, "connect to {}", path);
  return Seqpacket(std::move(fd));
}

Result<UniqueFd> Seqpacket::listen(const std::string& path, mode_t mode) {
  auto fd = VPS_TRY(make_socket());
  auto address = VPS_TRY(make_address(path));
  VPS_TRY(remove_file(path));
  // fchmod before bind sets the mode that the socket file is born with, so that there is no wider moment.
  if (::fchmod(fd.get(), mode) != 0) return fail_errno(errno, "set the mode of {}", path);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.value), sizeof address.value) != 0)
    return fail_errno(errno, "bind {}", path);
  if (::listen(fd.get(), SOMAXCONN) != 0) return fail_errno(errno, "listen on {}", path);
  return fd;
}

Result<Seqpacket> Seqpacket::accept(int listener) {
  int fd = -1;
  do fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return fail_errno(errno, "accept");
  return Seqpacket(UniqueFd(fd));
}

Result<> Seqpacket::send(std::uint32_t type, std::string_view body, std::span<const int> fds) const {
  if (body.size() + sizeof type > kMaxPacket) return fail(Code::kUsage, "message of {} bytes is too long", body.size());
  if (fds.size() > kMaxPacketFds) return fail(Code::kUsage, "too many descriptors in one message");
  std::array<iovec, 2> parts{{{&type, sizeof type}, {const_cast<char*>(body.data()), body.size()}}};
  msghdr header{};
  header.msg_iov = parts.data();
  header.msg_iovlen = parts.size();
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxPacketFds)> control{};
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* message = CMSG_FIRSTHDR(&header);
    message->cmsg_level = SOL_SOCKET;
    message->cmsg_type = SCM_RIGHTS;
    message->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(message), fds.data(), sizeof(int) * fds.size());
  }
  while (::sendmsg(fd_.get(), &header, MSG_NOSIGNAL) < 0)
    if (errno != EINTR) return fail_errno(errno, "send a message");
  return {};
}

Result<std::optional<Packet>> Seqpacket::receive() const {
  Packet packet;
  // The size first: a buffer for the largest packet would be touched in every process that ever waits for a message.
  ssize_t size = 0;
  do size = ::recv(fd_.get(), nullptr, 0, MSG_PEEK | MSG_TRUNC);
  while (size < 0 && errno == EINTR);
  if (size < 0) return fail_errno(errno, "receive a message");
  if (static_cast<std::size_t>(size) > kMaxPacket) size = 0;  // taken off the queue below, and refused as truncated
  packet.body.resize(static_cast<std::size_t>(size));
  std::array<iovec, 2> parts{{{&packet.type, sizeof packet.type}, {packet.body.data(), packet.body.size()}}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxPacketFds)> control{};
  msghdr header{};
  header.msg_iov = parts.data();
  header.msg_iovlen = parts.size();
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t n = 0;
  do n = ::recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  if (n < 0) return fail_errno(errno, "receive a message");
  for (cmsghdr* message = CMSG_FIRSTHDR(&header); message != nullptr; message = CMSG_NXTHDR(&header, message)) {
    if (message->cmsg_level != SOL_SOCKET || message->cmsg_type != SCM_RIGHTS) continue;
    std::size_t count = (message->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(message) + i * sizeof(int), sizeof fd);
      packet.fds.emplace_back(fd);
    }
  }
  if (n == 0) return std::optional<Packet>();
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || static_cast<std::size_t>(n) < sizeof packet.type)
    return fail(Code::kUsage, "malformed message");
  packet.body.resize(static_cast<std::size_t>(n) - sizeof packet.type);
  return std::optional(std::move(packet));
}

Result<PeerCredentials> Seqpacket::peer() const {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd_.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    return fail_errno(errno, "read the peer's credentials");
  return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

Result<> Seqpacket::set_nonblocking(bool on) const {
  int flags = ::fcntl(fd_.get(), F_GETFL);
  if (flags < 0) return fail_errno(errno, "read socket flags");
  flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  if (::fcntl(fd_.get(), F_SETFL, flags) != 0) return fail_errno(errno, "set socket flags");
  return {};
}

}  // namespace vps
