#include "daemon/loop_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

namespace vps::daemon {
namespace {

TEST(LoopThreadTest, RunsJobsInOrderInOneThread) {
  auto loop = LoopThread::start();
  ASSERT_TRUE(loop);
  std::vector<int> seen;
  std::latch done(1);
  for (int i = 0; i < 100; ++i) (*loop)->post([&, i] { seen.push_back(i); });
  (*loop)->post([&] { done.count_down(); });
  done.wait();
  ASSERT_EQ(seen.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i);
}

TEST(LoopThreadTest, TimersAndJobsFromJobs) {
  auto loop = LoopThread::start();
  ASSERT_TRUE(loop);
  std::latch done(2);
  auto* thread = loop->get();
  thread->post([&, thread] {
    thread->loop().after(std::chrono::milliseconds(1), [&] { done.count_down(); });
    thread->post([&] { done.count_down(); });
  });
  done.wait();
}

TEST(LoopThreadTest, StopsFromManyPosters) {
  std::atomic<int> ran = 0;
  auto loop = LoopThread::start();
  ASSERT_TRUE(loop);
  {
    std::vector<std::jthread> posters;
    for (int t = 0; t < 4; ++t)
      posters.emplace_back([&] {
        for (int i = 0; i < 100; ++i) (*loop)->post([&] { ++ran; });
      });
  }
  (*loop)->stop();
  EXPECT_EQ(ran, 400);
  (*loop)->post([&] { ++ran; });
  (*loop)->stop();
  EXPECT_EQ(ran, 400);
}

}  // namespace
}  // namespace vps::daemon
