#include "cli/oci/fd_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/files.h"

namespace vps::vpsrun {

Result<UniqueFd> connect_stream(const std::string& path) {
  // Through a descriptor, because sun_path holds 107 characters and engines use long ones.
  auto file = VPS_TRY(open_path(path, O_PATH));
  struct stat st{};
  if (::fstat(file.get(), &st) != 0 || !S_ISSOCK(st.st_mode)) return fail(Code::kUsage, "{} is not a socket", path);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno(errno, "socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  auto link = fmt::format("/proc/self/fd/{}", file.get());
  std::memcpy(address.sun_path, link.c_str(), link.size() + 1);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno(errno, "connect to {}", path);
  return socket;
}

Result<> send_descriptors(int socket, std::string_view text, std::span<const int> fds) {
  constexpr std::size_t kMost = 8;
  if (fds.size() > kMost) return fail(Code::kUsage, "{} descriptors in one message", fds.size());
  iovec data{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMost)> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
  auto* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
  std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  if (sent < 0) return fail_errno(errno, "send descriptors");
  return write_all(socket, text.substr(static_cast<std::size_t>(sent)));
}

Result<> hand_over(const std::string& path, std::string_view text, int fd) {
  auto socket = VPS_TRY(connect_stream(path));
  return send_descriptors(socket.get(), text, std::span(&fd, 1));
}

}  // namespace vps::vpsrun
