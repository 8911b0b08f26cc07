#include "base/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace vps {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(UniqueFd, OwnsAndCloses) {
  int number = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  {
    UniqueFd fd(number);
    EXPECT_TRUE(fd);
    EXPECT_EQ(fd.get(), number);
    UniqueFd moved = std::move(fd);
    EXPECT_FALSE(fd);
    EXPECT_TRUE(is_open(number));
    fd = std::move(moved);
    EXPECT_EQ(fd.get(), number);
  }
  EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, SelfMoveKeepsIt) {
  UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  int number = fd.get();
  auto& alias = fd;
  fd = std::move(alias);
  EXPECT_EQ(fd.get(), number);
  EXPECT_TRUE(is_open(number));
}

TEST(UniqueFd, ReleaseAndReset) {
  UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  int number = fd.release();
  EXPECT_FALSE(fd);
  EXPECT_TRUE(is_open(number));
  fd.reset(number);
  fd.reset();
  EXPECT_FALSE(is_open(number));
}

}  // namespace
}  // namespace vps
