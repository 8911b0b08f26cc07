#include "base/event_loop.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>


namespace vps {
namespace {

using std::chrono::milliseconds;

struct Pipe {
  Pipe() {
    int fds[2];
    if (::pipe(fds) == 0) {
      read.reset(fds[0]);
      write.reset(fds[1]);
    }
  }
  void fill() const { (void)!::write(write.get(), "x", 1); }
  UniqueFd read, write;
};

class EventLoopTest : public testing::Test {
 protected:
  EventLoop loop = std::move(*EventLoop::create());
};

TEST_F(EventLoopTest, DeliversEvents) {
  Pipe pipe;
  std::uint32_t seen = 0;
  ASSERT_TRUE(loop.add(pipe.read.get(), EPOLLIN, [&](std::uint32_t events) { seen = events; }));
  ASSERT_TRUE(loop.step(milliseconds(0)));
  EXPECT_EQ(seen, 0u);
  pipe.fill();
  ASSERT_TRUE(loop.step(milliseconds(1000)));
  EXPECT_EQ(seen, static_cast<std::uint32_t>(EPOLLIN));
  pipe.write.reset();
  ASSERT_TRUE(loop.step(milliseconds(1000)));
  EXPECT_NE(seen & EPOLLHUP, 0u);
}

TEST_F(EventLoopTest, AddTwiceAndModifyUnknownAreErrors) {
  Pipe pipe;
  ASSERT_TRUE(loop.add(pipe.read.get(), EPOLLIN, [](std::uint32_t) {}));
  EXPECT_EQ(loop.add(pipe.read.get(), EPOLLIN, [](std::uint32_t) {}).error().err(), EEXIST);
  EXPECT_EQ(loop.modify(pipe.write.get(), EPOLLOUT).error().err(), ENOENT);
  EXPECT_FALSE(loop.add(-1, EPOLLIN, [](std::uint32_t) {}));
}

TEST_F(EventLoopTest, Modify) {
  Pipe pipe;
  int calls = 0;
  pipe.fill();
  ASSERT_TRUE(loop.add(pipe.read.get(), 0, [&](std::uint32_t) { ++calls; }));
  ASSERT_TRUE(loop.step(milliseconds(0)));
  EXPECT_EQ(calls, 0);
  ASSERT_TRUE(loop.modify(pipe.read.get(), EPOLLIN));
  ASSERT_TRUE(loop.step(milliseconds(1000)));
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, ACallbackMayRemoveItselfAndOthers) {
  Pipe first, second;
  first.fill();
  second.fill();
  int calls = 0;
  auto handler = [&](std::uint32_t) {
    ++calls;
    loop.remove(first.read.get());
    loop.remove(second.read.get());
  };
  ASSERT_TRUE(loop.add(first.read.get(), EPOLLIN, handler));
  ASSERT_TRUE(loop.add(second.read.get(), EPOLLIN, handler));
  ASSERT_TRUE(loop.step(milliseconds(1000)));
  ASSERT_TRUE(loop.step(milliseconds(0)));
  EXPECT_EQ(calls, 1) << "the other one was ready in the same round, but had been removed";
}

TEST_F(EventLoopTest, AReusedDescriptorDoesNotGetOldEvents) {
  Pipe first, second, fresh;
  first.fill();
  second.fill();
  int stale = 0;
  // Whichever is called first closes the other and puts a silent pipe at its number, while the old event is pending.
  auto replace = [&](UniqueFd& victim) {
    int number = victim.get();
    loop.remove(number);
    ASSERT_EQ(::dup2(fresh.read.get(), number), number);
    ASSERT_TRUE(loop.add(number, EPOLLIN, [&](std::uint32_t) { ++stale; }));
  };
  bool done = false;
  ASSERT_TRUE(loop.add(first.read.get(), EPOLLIN, [&](std::uint32_t) {
    if (!std::exchange(done, true)) replace(second.read);
    loop.remove(first.read.get());
  }));
  ASSERT_TRUE(loop.add(second.read.get(), EPOLLIN, [&](std::uint32_t) {
    if (!std::exchange(done, true)) replace(first.read);
    loop.remove(second.read.get());
  }));
  ASSERT_TRUE(loop.step(milliseconds(1000)));
  EXPECT_TRUE(done);
  EXPECT_EQ(stale, 0);
}

TEST_F(EventLoopTest, TimersInOrder) {
  std::string order;
  loop.after(milliseconds(30), [&] {
    order += 'c';
    loop.quit();
  });
  loop.after(milliseconds(10), [&] { order += 'b'; });
  loop.after(milliseconds(0), [&] { order += 'a'; });
  auto cancelled = loop.after(milliseconds(5), [&] { order += 'x'; });
  loop.cancel(cancelled);
  loop.cancel(cancelled);
  loop.cancel(12345);
  ASSERT_TRUE(loop.run());
  EXPECT_EQ(order, "abc");
}

TEST_F(EventLoopTest, ATimerMayAddAndCancelTimers) {
  std::string order;
  EventLoop::TimerId second = 0;
  loop.after(milliseconds(0), [&] {
    order += 'a';
    loop.cancel(second);
    loop.after(milliseconds(0), [&] {
      order += 'c';
      loop.quit();
    });
  });
  second = loop.after(milliseconds(0), [&] { order += 'b'; });
  ASSERT_TRUE(loop.run());
  EXPECT_EQ(order, "ac");
}

TEST_F(EventLoopTest, AFarTimerDoesNotFireNow) {
  bool fired = false;
  loop.after(std::chrono::hours(24 * 365), [&] { fired = true; });
  loop.after(milliseconds(5), [&] { loop.quit(); });
  ASSERT_TRUE(loop.run());
  EXPECT_FALSE(fired);
}

TEST_F(EventLoopTest, StepReturnsAfterItsTimeout) {
  auto before = EventLoop::Clock::now();
  ASSERT_TRUE(loop.step(milliseconds(20)));
  EXPECT_GE(EventLoop::Clock::now() - before, milliseconds(19));
}

TEST_F(EventLoopTest, Signals) {
  sigset_t old;
  ASSERT_EQ(::sigprocmask(SIG_SETMASK, nullptr, &old), 0);
  std::vector<int> seen;
  auto owned = std::make_shared<int>(0);
  ASSERT_TRUE(loop.handle_signals({SIGUSR1}, [&seen, owned](int) { seen.push_back(-1); }));
  ASSERT_TRUE(loop.handle_signals({SIGUSR1, SIGUSR2}, [&](int signo) { seen.push_back(signo); }))
      << "a second call replaces the first";
  EXPECT_EQ(owned.use_count(), 1) << "and lets its handler go";
  ::kill(::getpid(), SIGUSR1);
  ::kill(::getpid(), SIGUSR2);
  ASSERT_TRUE(loop.step(milliseconds(1000)));
  std::ranges::sort(seen);
  EXPECT_EQ(seen, (std::vector<int>{SIGUSR1, SIGUSR2}));
  ::sigprocmask(SIG_SETMASK, &old, nullptr);
}

TEST_F(EventLoopTest, ASignalThatIsNotHandledInterruptsNothing) {
  struct sigaction action{}, old{};
  action.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGALRM, &action, &old), 0);
  ::ualarm(5000, 0);
  EXPECT_TRUE(loop.step(milliseconds(50))) << "EINTR is no failure";
  ::sigaction(SIGALRM, &old, nullptr);
}

TEST_F(EventLoopTest, MovesWithItsHandlers) {
  Pipe pipe;
  int calls = 0;
  ASSERT_TRUE(loop.add(pipe.read.get(), EPOLLIN, [&](std::uint32_t) { ++calls; }));
  EventLoop moved = std::move(loop);
  pipe.fill();
  ASSERT_TRUE(moved.step(milliseconds(1000)));
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace vps
