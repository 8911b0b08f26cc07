#include "namespaces/process.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/files.h"

namespace vps::namespaces {

Result<> apply_oom_score_adj(int proc_dirfd, int value) {
  if (value < -1000 || value > 1000) return fail(Code::kUsage, "oom_score_adj {} is not in -1000..1000", value);
  return write_kernel_file_at(proc_dirfd, "self/oom_score_adj", std::to_string(value));
}

Result<> bring_loopback_up() {
  UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "bring loopback up: socket");
  ifreq request{};
  std::ranges::copy(std::string_view("lo"), request.ifr_name);
  if (::ioctl(fd.get(), SIOCGIFFLAGS, &request) != 0) return fail_errno(errno, "read the flags of lo");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) return fail_errno(errno, "bring loopback up");
  return {};
}

}  // namespace vps::namespaces
