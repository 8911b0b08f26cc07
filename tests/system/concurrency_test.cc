// Many clients at once: a VPS is never in two operations, and nobody gets a wrong answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <thread>

#include "tests/support/vpsd_fixture.h"

namespace vps::test {
namespace {

class ConcurrencyTest : public VpsdTest {
 protected:
  // Runs `work(i)` in `n` threads and counts the exit codes.
  std::map<int, int> crowd(int n, const std::function<CommandResult(int)>& work) {
    std::map<int, int> codes;
    std::mutex mutex;
    std::vector<std::thread> threads;
    for (int i = 0; i < n; ++i)
      threads.emplace_back([&, i] {
        auto result = work(i);
        std::lock_guard lock(mutex);
        ++codes[result.code];
        if (result.code != 0 && result.code != 5 && result.code != 7 && result.code != 4) details_ += result.describe() + "\n";
      });
    for (auto& thread : threads) thread.join();
    return codes;
  }
  std::string details_;
};

TEST_F(ConcurrencyTest, TwentyClientsStartAndStopOneVps) {
  make_vps("101", false);
  for (int round = 0; round < 3; ++round) {
    auto codes = crowd(20, [&](int i) { return vpsd_->ctl(i % 2 == 0 ? Argv{"start", "101"} : Argv{"stop", "--force", "101"}); });
    int known = codes[0] + codes[5] + codes[7];
    EXPECT_EQ(known, 20) << details_;
    EXPECT_GE(codes[0], 1);
    EXPECT_THAT(state_of("101"), testing::AnyOf("running", "stopped"));
  }
  if (state_of("101") == "running") ctl({"stop", "101"});
  ctl({"start", "--wait", "101"});
  ctl({"exec", "101", "--", "true"});
}

TEST_F(ConcurrencyTest, OnlyOneStartWins) {
  make_vps("101", false);
  auto codes = crowd(10, [&](int) { return vpsd_->ctl({"start", "101"}); });
  EXPECT_EQ(codes[0], 1) << details_;
  EXPECT_EQ(codes[5] + codes[7], 9) << details_;
}

TEST_F(ConcurrencyTest, OnlyOneCreateOfAnIdWins) {
  auto codes = crowd(10, [&](int) { return vpsd_->ctl({"create", "101", "--template", "busybox", "--ip", "none"}); });
  EXPECT_EQ(codes[0], 1) << details_;
  EXPECT_EQ(codes[4] + codes[7], 9) << details_;
  EXPECT_EQ(json({"list", "-a"}).size(), 1u);
}

TEST_F(ConcurrencyTest, CreatesOfDifferentIdsGetDifferentRanges) {
  auto codes = crowd(10, [&](int i) { return vpsd_->ctl({"create", std::to_string(101 + i), "--template", "busybox", "--ip", "none", "--start"}); });
  EXPECT_EQ(codes[0], 10) << details_;
  std::map<std::int64_t, int> bases;
  for (int i = 0; i < 10; ++i) ++bases[json({"show", std::to_string(101 + i)}).number("/status/idmap/base")];
  EXPECT_EQ(bases.size(), 10u);
}

TEST_F(ConcurrencyTest, ManyExecsAtOnce) {
  make_vps("101");
  std::mutex mutex;
  int right = 0;
  auto codes = crowd(16, [&](int i) {
    auto result = vpsd_->ctl({"exec", "-i", "101", "--", "cat"}, {.input = "client " + std::to_string(i)});
    std::lock_guard lock(mutex);
    right += result.out == "client " + std::to_string(i) ? 1 : 0;
    return result;
  });
  EXPECT_EQ(codes[0], 16) << details_;
  EXPECT_EQ(right, 16);
}

TEST_F(ConcurrencyTest, DestroyWhileOthersLook) {
  make_vps("101");
  auto codes = crowd(12, [&](int i) {
    if (i == 0) return vpsd_->ctl({"destroy", "--force", "101"});
    auto result = vpsd_->ctl({"show", "101"});
    if (result.code == 3) result.code = 0;  // after the destroy
    return result;
  });
  EXPECT_EQ(codes[0], 12) << details_;
  ctl({"show", "101"}, 3);
}

}  // namespace
}  // namespace vps::test
