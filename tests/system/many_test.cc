// Two hundred VPSes at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "tests/support/vpsd_fixture.h"

namespace vps::test {
namespace {

constexpr int kCount = 200;

class ManyTest : public VpsdTest {};

TEST_F(ManyTest, TwoHundredStartListAndStop) {
  const CommandOptions patient{.timeout = std::chrono::minutes(10)};
  Argv ids;
  for (int i = 0; i < kCount; ++i) ids.push_back(std::to_string(1000 + i));
  auto with = [&](Argv command) {
    command.insert(command.end(), ids.begin(), ids.end());
    return command;
  };

  std::atomic<std::size_t> next = 0;
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (std::size_t at; (at = next++) < ids.size();) failed += vpsd_->ctl({"create", ids[at], "--template", "busybox", "--ip", "none", "--ram", "32M"}).code != 0 ? 1 : 0;
    });
  for (auto& thread : threads) thread.join();
  ASSERT_EQ(failed, 0);

  ctl(with({"start"}), 0, patient);
  auto list = json({"list"}).items();
  EXPECT_EQ(list.size(), static_cast<std::size_t>(kCount));
  std::set<std::int64_t> pids;
  for (const auto& vps : list) {
    EXPECT_EQ(vps.string("/state"), "running") << vps.string("/id");
    pids.insert(vps.number("/pid"));
  }
  EXPECT_EQ(pids.size(), static_cast<std::size_t>(kCount));
  for (const auto& id : {ids.front(), ids[kCount / 2], ids.back()}) EXPECT_EQ(ctl({"exec", id, "--", "hostname"}).out, id + "\n");

  // A vpsd that dies knows all of them again.
  ASSERT_TRUE(vpsd_->kill());
  restart_vpsd();
  EXPECT_EQ(json({"list"}).size(), static_cast<std::size_t>(kCount));

  ctl(with({"stop", "--timeout", "120s"}), 0, patient);
  EXPECT_EQ(json({"list"}).size(), 0u);
  ctl(with({"destroy"}), 0, patient);
  EXPECT_EQ(json({"list", "-a"}).size(), 0u);
}

}  // namespace
}  // namespace vps::test
