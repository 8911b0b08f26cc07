#include "netns/inside.h"

#include <sched.h>

#include <cerrno>
#include <cstdlib>

#include "base/files.h"

namespace vps::netns {

Result<Socket> open_socket_inside(int netns_fd) {
  auto home = VPS_TRY(open_path("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (::setns(netns_fd, CLONE_NEWNET) != 0) return fail_errno(errno, "enter the VPS's network namespace");
  auto socket = Socket::open();
  // All that follows would act on the VPS instead of the host.
  if (::setns(home.get(), CLONE_NEWNET) != 0) std::abort();
  return socket;
}

}  // namespace vps::netns
