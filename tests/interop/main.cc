// The main() of the interop tests: namespaces of their own before the first thread and the first engine.
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "base/fd.h"
#include "tests/interop/engine.h"

namespace vps::test {
namespace {

std::string problem;

std::string set_loopback_up() {
  UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  if (!fd || ::ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) return std::string("loopback: ") + std::strerror(errno);
  return "";
}

std::string isolate() {
  if (::geteuid() != 0) return "needs root";
  if (::unshare(CLONE_NEWNS | CLONE_NEWNET) != 0) return std::string("unshare: ") + std::strerror(errno);
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return std::string("mount propagation: ") + std::strerror(errno);
  if (::mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") != 0) return std::string("mount /run: ") + std::strerror(errno);
  return set_loopback_up();
}

}  // namespace

const std::string& isolation_problem() { return problem; }

}  // namespace vps::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!testing::GTEST_FLAG(list_tests)) vps::test::problem = vps::test::isolate();
  return RUN_ALL_TESTS();
}
