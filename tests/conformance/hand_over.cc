#include "tests/conformance/hand_over.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace vps::test {

Result<HandOverSocket> HandOverSocket::listen(const std::string& path) {
  HandOverSocket result;
  result.listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(Code::kUsage, "{} is too long", path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (::bind(result.listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return fail_errno(errno, "bind {}", path);
  if (::listen(result.listener_.get(), 4) != 0) return fail_errno(errno, "listen");
  return result;
}

Result<HandedOver> HandOverSocket::take() {
  constexpr int kPatience = 60'000;
  pollfd item{listener_.get(), POLLIN, 0};
  if (::poll(&item, 1, kPatience) != 1) return fail(Code::kTimedOut, "nobody connected");
  UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) return fail_errno(errno, "accept");
  std::array<char, 16384> text{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec data{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t n = ::recvmsg(connection.get(), &message, MSG_CMSG_CLOEXEC);
  if (n <= 0) return fail_errno(n == 0 ? ECONNRESET : errno, "recvmsg");
  auto* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return fail(Code::kFailed, "no descriptor came along");
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return HandedOver{std::string(text.data(), static_cast<std::size_t>(n)), UniqueFd(fd)};
}

}  // namespace vps::test
