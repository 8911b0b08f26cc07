#include "daemon/deferred_close.h"

#include <gtest/gtest.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace vps::daemon {
namespace {

struct Pipe {
  UniqueFd read, write;
};

Pipe make_pipe() {
  int fds[2] = {-1, -1};
  if (::pipe2(fds, O_CLOEXEC) != 0) return {};
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::vector<UniqueFd> one(UniqueFd fd) {
  std::vector<UniqueFd> fds;
  fds.push_back(std::move(fd));
  return fds;
}

bool hung_up(const UniqueFd& read) {
  pollfd entry{read.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1 && (entry.revents & POLLHUP) != 0;
}

TEST(DeferredCloseTest, IsClosedWhenTheWaitReturns) {
  DeferredClose closer;
  std::vector<Pipe> pipes;
  DeferredClose::Ticket last = 0;
  for (int i = 0; i < 50; ++i) {
    auto pipe = make_pipe();
    ASSERT_TRUE(pipe.read);
    last = closer.close(one(std::move(pipe.write)));
    pipes.push_back(std::move(pipe));
  }
  closer.wait(last);
  for (const auto& pipe : pipes) EXPECT_TRUE(hung_up(pipe.read));
}

TEST(DeferredCloseTest, NothingToCloseIsClosed) {
  DeferredClose closer;
  closer.wait(closer.close({}));
  closer.wait(0);
}

TEST(DeferredCloseTest, ItsEndClosesWhatIsLeft) {
  auto first = make_pipe();
  auto second = make_pipe();
  {
    DeferredClose closer;
    closer.close(one(std::move(first.write)));
    closer.close(one(std::move(second.write)));
  }
  EXPECT_TRUE(hung_up(first.read));
  EXPECT_TRUE(hung_up(second.read));
}

}  // namespace
}  // namespace vps::daemon
