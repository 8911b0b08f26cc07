#include "base/pidfd.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace vps {
namespace {

// A child that waits for a byte on a pipe, then exits with `code`.
struct Child {
  explicit Child(int code) {
    int fds[2];
    if (::pipe(fds) != 0) return;
    pid = ::fork();
    if (pid == 0) {
      ::close(fds[1]);
      char byte = 0;
      (void)!::read(fds[0], &byte, 1);
      ::_exit(code);
    }
    ::close(fds[0]);
    gate = UniqueFd(fds[1]);
  }
  pid_t pid = -1;
  UniqueFd gate;
};

bool readable(int fd) {
  pollfd item{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&item, 1, 5000) == 1;
}

TEST(PidFd, ExitCode) {
  Child child(42);
  auto process = PidFd::open(child.pid);
  ASSERT_TRUE(process);
  EXPECT_EQ(process->pid(), child.pid);
  EXPECT_TRUE(process->alive());
  auto none = process->try_wait();
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->has_value());
  child.gate.reset();
  EXPECT_TRUE(readable(process->fd()));
  EXPECT_FALSE(process->alive()) << "a zombie has ended";
  auto status = process->wait();
  ASSERT_TRUE(status);
  EXPECT_EQ(*status, (ExitStatus{.code = 42, .signal = 0}));
  EXPECT_EQ(status->shell_code(), 42);
  EXPECT_FALSE(process->try_wait()) << "it has been waited for";
  EXPECT_EQ(PidFd::open(child.pid).error().code(), Code::kNotFound);
}

TEST(PidFd, Signal) {
  Child child(0);
  auto process = PidFd::open(child.pid);
  ASSERT_TRUE(process);
  ASSERT_TRUE(process->signal(SIGTERM));
  auto status = process->wait();
  ASSERT_TRUE(status);
  EXPECT_EQ(*status, (ExitStatus{.code = 0, .signal = SIGTERM}));
  EXPECT_EQ(status->shell_code(), 128 + SIGTERM);
  EXPECT_TRUE(process->signal(SIGTERM)) << "nothing is left to signal";
}

TEST(PidFd, TryWaitReaps) {
  Child child(7);
  auto process = PidFd::open(child.pid);
  ASSERT_TRUE(process);
  child.gate.reset();
  ASSERT_TRUE(readable(process->fd()));
  auto status = process->try_wait();
  ASSERT_TRUE(status && status->has_value());
  EXPECT_EQ((*status)->code, 7);
}

TEST(PidFd, BadPids) {
  EXPECT_FALSE(PidFd::open(-1));
  EXPECT_FALSE(PidFd::open(0));
  EXPECT_FALSE(PidFd());
  EXPECT_FALSE(process_start_time(-1));
}

TEST(PidFd, StartTimeNamesAProcess) {
  auto own = process_start_time(::getpid());
  ASSERT_TRUE(own);
  EXPECT_GT(*own, 0u);
  EXPECT_EQ(*process_start_time(::getpid()), *own);
  // A command may hold spaces and parentheses, which stand before the field in /proc/PID/stat.
  char old_name[16] = {};
  ASSERT_EQ(::prctl(PR_GET_NAME, old_name), 0);
  ASSERT_EQ(::prctl(PR_SET_NAME, ") R 1 (x"), 0);
  auto named = process_start_time(::getpid());
  ::prctl(PR_SET_NAME, old_name);
  ASSERT_TRUE(named);
  EXPECT_EQ(*named, *own);
}

}  // namespace
}  // namespace vps
