#include "daemon/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <stdexcept>
#include <thread>

namespace vps::daemon {
namespace {

using std::chrono::milliseconds;

TEST(WorkersTest, RunsEverythingBeforeItStops) {
  std::atomic<int> done = 0;
  {
    Workers workers(4);
    for (int i = 0; i < 1'000; ++i) ASSERT_TRUE(workers.post([&] { ++done; }));
    EXPECT_LE(workers.threads(), 4u);
    workers.stop();
    EXPECT_EQ(done, 1'000);
    EXPECT_FALSE(workers.post([] {}));
  }
}

TEST(WorkersTest, BlockedJobsDoNotHoldUpOthers) {
  Workers workers(16);
  std::latch all(16);
  // Each job waits for all the others, so this ends only if sixteen threads run at the same time.
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(workers.post([&] { all.arrive_and_wait(); }));
  workers.stop();
  EXPECT_TRUE(all.try_wait());
}

TEST(WorkersTest, AnExceptionEndsItsJobOnly) {
  std::atomic<bool> ran = false;
  Workers workers(1);
  ASSERT_TRUE(workers.post([] { throw std::runtime_error("x"); }));
  ASSERT_TRUE(workers.post([&] { ran = true; }));
  workers.stop();
  EXPECT_TRUE(ran);
}

TEST(WorkersTest, IdleThreadsGoAway) {
  Workers workers(8, milliseconds(1));
  std::latch all(8);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(workers.post([&] { all.arrive_and_wait(); }));
  while (workers.threads() > 0) std::this_thread::yield();
  std::latch again(1);
  ASSERT_TRUE(workers.post([&] { again.count_down(); }));
  again.wait();
}

}  // namespace
}  // namespace vps::daemon
