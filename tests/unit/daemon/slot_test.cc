#include "daemon/slot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace vps::daemon {
namespace {

using namespace std::chrono_literals;

SteadyTime in(std::chrono::milliseconds delay) { return std::chrono::steady_clock::now() + delay; }

TEST(SlotTest, OneAtATime) {
  OperationSlot slot;
  ASSERT_TRUE(slot.try_acquire({"op-1", "start"}));
  EXPECT_FALSE(slot.try_acquire({"op-2", "stop"}));
  EXPECT_EQ(slot.holder().operation, "op-1");
  EXPECT_EQ(slot.busy_error().code(), Code::kBusy);
  EXPECT_THAT(slot.busy_error().to_string(), testing::HasSubstr("start is under way (op-1)"));
  slot.release();
  EXPECT_EQ(slot.holder().operation, "");
  EXPECT_TRUE(slot.try_acquire({"op-2", "stop"}));
}

TEST(SlotTest, WaitingEndsAtTheDeadlineWithBusy) {
  OperationSlot slot;
  ASSERT_TRUE(slot.try_acquire({"op-1", "start"}));
  auto mine = slot.acquire({"op-2", "stop"}, in(5ms), {});
  ASSERT_FALSE(mine);
  EXPECT_EQ(mine.error().code(), Code::kBusy);
  slot.release();
  EXPECT_TRUE(slot.try_acquire({"op-3", "stop"}));
}

TEST(SlotTest, WaitingCanBeCancelled) {
  OperationSlot slot;
  ASSERT_TRUE(slot.try_acquire({"op-1", "start"}));
  std::stop_source cancel;
  std::jthread canceller([&] { cancel.request_stop(); });
  auto mine = slot.acquire({"op-2", "stop"}, in(60s), cancel.get_token());
  ASSERT_FALSE(mine);
  EXPECT_THAT(mine.error().to_string(), testing::HasSubstr("cancelled"));
}

TEST(SlotTest, TheNextInLineGetsItAlthoughOneBeforeGaveUp) {
  OperationSlot slot;
  ASSERT_TRUE(slot.try_acquire({"op-1", "start"}));
  std::jthread impatient([&] { EXPECT_FALSE(slot.acquire({"op-2", "x"}, in(20ms), {})); });
  std::jthread patient([&] { EXPECT_TRUE(slot.acquire({"op-3", "x"}, in(60s), {})); });
  impatient.join();
  slot.release();
  patient.join();
  EXPECT_EQ(slot.holder().operation, "op-3");
}

TEST(SlotTest, FirstComeFirstServed) {
  OperationSlot slot;
  ASSERT_TRUE(slot.try_acquire({"op-0", "x"}));
  std::mutex mutex;
  std::vector<int> order;
  std::vector<std::jthread> waiters;
  for (int i = 1; i <= 5; ++i) {
    std::atomic<bool> entered = false;
    waiters.emplace_back([&, i] {
      entered = true;
      ASSERT_TRUE(slot.acquire({"op-" + std::to_string(i), "x"}, in(60s), {}));
      std::scoped_lock lock(mutex);
      order.push_back(i);
      slot.release();
    });
    while (!entered) std::this_thread::yield();
    std::this_thread::sleep_for(20ms);  // from "entered" to standing in line
    // Somebody waits, so nobody may slip in.
    EXPECT_FALSE(slot.try_acquire({"op-x", "x"}));
  }
  slot.release();
  waiters.clear();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4, 5}));
}

TEST(SlotTest, ManyThreadsNeverMeet) {
  OperationSlot slot;
  std::atomic<int> inside = 0;
  std::atomic<int> total = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 16; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          ASSERT_TRUE(slot.acquire({"op", "x"}, in(60s), {}));
          SlotLease lease(slot);
          EXPECT_EQ(++inside, 1);
          ++total;
          --inside;
        }
      });
  }
  EXPECT_EQ(total, 800);
}

}  // namespace
}  // namespace vps::daemon
