#include "daemon/backoff.h"

#include <gtest/gtest.h>

namespace vps::daemon {
namespace {

using std::chrono::milliseconds;

TEST(BackoffTest, DoublesUpToTheMaximum) {
  Backoff backoff({milliseconds(1'000), milliseconds(60'000), milliseconds(600'000)});
  std::vector<std::int64_t> delays;
  for (int i = 0; i < 9; ++i) delays.push_back(backoff.next(milliseconds(10)).count());
  EXPECT_EQ(delays, (std::vector<std::int64_t>{1'000, 2'000, 4'000, 8'000, 16'000, 32'000, 60'000, 60'000, 60'000}));
  EXPECT_EQ(backoff.attempts(), 9u);
}

TEST(BackoffTest, ALongRunStartsOver) {
  Backoff backoff({milliseconds(1'000), milliseconds(60'000), milliseconds(600'000)});
  for (int i = 0; i < 5; ++i) (void)backoff.next(milliseconds(599'999));
  EXPECT_EQ(backoff.next(milliseconds(599'999)).count(), 32'000);
  EXPECT_EQ(backoff.next(milliseconds(600'000)).count(), 1'000);
  EXPECT_EQ(backoff.attempts(), 1u);
}

TEST(BackoffTest, TenThousandFailuresDoNotOverflow) {
  Backoff backoff({milliseconds(1), milliseconds(60'000), milliseconds(600'000)});
  for (int i = 0; i < 10'000; ++i) {
    auto delay = backoff.next(milliseconds(0));
    ASSERT_GT(delay.count(), 0);
    ASSERT_LE(delay.count(), 60'000);
  }
}

}  // namespace
}  // namespace vps::daemon
