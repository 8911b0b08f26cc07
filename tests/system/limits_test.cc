// Limits bite, are said to, and can be changed on a running VPS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>

#include "base/files.h"
#include "tests/support/vpsd_fixture.h"

namespace vps::test {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;

class LimitsTest : public VpsdTest {
 protected:
  Json limit(const std::string& id, const std::string& name) {
    for (const auto& each : json({"show", id}).items("/limits"))
      if (each.string("/limit") == name) return each;
    ADD_FAILURE() << "show has no limit " << name << ": " << json({"show", id}).dump();
    return *Json::parse("null");
  }
  Json stats(const std::string& id) {
    auto value = json({"stats", id, "--count", "1"});
    return value.type() == "array" && value.size() == 1 ? value.items()[0] : value;
  }
};

TEST_F(LimitsTest, AMemoryHogIsKilledByItsOwnLimit) {
  make_vps("101", true, {"--ram", "64M", "--swap", "0"});
  // One buffer, larger than the limit.
  auto hog = ctl({"exec", "101", "--", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"}, 128 + SIGKILL);
  auto event = wait_event("vps.oom", "101");
  EXPECT_THAT(event.dump(), AllOf(HasSubstr("dd"), AnyOf(HasSubstr("67108864"), HasSubstr("64M"), HasSubstr("64 MiB")))) << "the event names process and limit";
  EXPECT_EQ(state_of("101"), "running") << "the VPS itself lives on";
  ctl({"exec", "101", "--", "true"});
}

TEST_F(LimitsTest, AForkBombIsStoppedByPids) {
  make_vps("101", true, {"--set", "resources.pids.limit=30"});
  auto bomb = vpsd_->ctl({"exec", "101", "--", "sh", "-c", "i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done"});
  EXPECT_NE(bomb.code, 0) << bomb.describe();
  EXPECT_THAT(bomb.err, HasSubstr("fork"));
  auto event = wait_event("vps.pids-limit", "101");
  EXPECT_THAT(event.dump(), HasSubstr("30"));
  EXPECT_LE(stats("101").number("/pids/current"), 30);
  EXPECT_EQ(state_of("101"), "running");
}

TEST_F(LimitsTest, AForkBombInASubGroupIsSeenToo) {
  make_vps("101", true, {"--set", "resources.pids.limit=30"});
  // What systemd does: every process in a group of its own, controllers handed down (where the v2 tree has any).
  auto bomb = vpsd_->ctl({"exec", "101", "--", "sh", "-c",
                          "cd /sys/fs/cgroup && mkdir init bomb && for p in $(cat cgroup.procs); do echo $p >init/cgroup.procs; done 2>/dev/null; "
                          "echo $$ >bomb/cgroup.procs; echo +pids 2>/dev/null >cgroup.subtree_control; "
                          "i=0; while [ $i -lt 100 ]; do sleep 20 & i=$((i+1)); done"});
  EXPECT_THAT(bomb.err, HasSubstr("fork"));
  EXPECT_THAT(wait_event("vps.pids-limit", "101").dump(), HasSubstr("30"));
}

TEST_F(LimitsTest, WeightsDivideOneCpu) {
  make_vps("101", true, {"--set", "resources.cpu.set=0", "--set", "resources.cpu.weight=100"});
  make_vps("102", true, {"--set", "resources.cpu.set=0", "--set", "resources.cpu.weight=400"});
  const Argv spin = {"--", "timeout", "4", "sh", "-c", "while :; do :; done"};
  std::vector<Process> spinners;
  for (const char* id : {"101", "102"}) {
    Argv command = {"exec", id};
    command.insert(command.end(), spin.begin(), spin.end());
    auto started = vpsd_->ctl_start(command);
    ASSERT_TRUE(started) << started.error().to_string();
    spinners.push_back(std::move(*started));
  }
  for (auto& spinner : spinners) EXPECT_TRUE(spinner.finish(std::chrono::seconds(60)));
  auto light = stats("101").number("/cpu/usageUsec"), heavy = stats("102").number("/cpu/usageUsec");
  // 1:4 while both run; they neither begin nor end at the same moment.
  EXPECT_GT(heavy, light + light / 2) << light << " and " << heavy << " us";
}

TEST_F(LimitsTest, AGuaranteeHoldsUpToTheTopOfTheTree) {
  make_vps("101", true, {"--ram", "64M", "--set", "resources.memory.guarantee=16M"});
  make_vps("102", true, {"--ram", "64M", "--set", "resources.memory.guarantee=8M"});
  const std::string top = "/sys/fs/cgroup/" + vpsd_->cgroup_name();
  if (!path_exists(top + "/101/memory.low")) GTEST_SKIP() << "no memory controller in the v2 tree: v1 has no guarantees";
  // The kernel gives a group at most what stands on every group above it.
  EXPECT_EQ(*read_file(top + "/101/payload/memory.low"), "16777216\n");
  EXPECT_EQ(*read_file(top + "/101/memory.low"), "16777216\n");
  EXPECT_EQ(*read_file(top + "/memory.low"), "25165824\n");
  ctl({"set", "102", "guarantee=32M"});
  EXPECT_EQ(*read_file(top + "/memory.low"), "50331648\n");
}

TEST_F(LimitsTest, DiskWritesStayBelowTheLimit) {
  make_vps("101", true, {"--set", "resources.io.write=4M"});
  bool enforced = false;
  for (const auto& entry : json({"show", "101"}).items("/limits"))
    enforced = enforced || (entry.string("/limit") == "io.write" && entry.string("/state") == "enforced");
  if (!enforced) GTEST_SKIP() << "the file system of the tests is on no block device that takes limits";
  auto start = std::chrono::steady_clock::now();
  ctl({"exec", "101", "--", "dd", "if=/dev/zero", "of=/root/file", "bs=1M", "count=12", "conv=fsync"});
  std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  EXPECT_GT(wall.count(), 2.0) << "12 MiB at 4 MiB/s";
  EXPECT_GE(stats("101").number("/io/writeBytes"), 12 << 20);
}

TEST_F(LimitsTest, SwapGoesAsFarAsItsLimit) {
  auto swaps = read_file("/proc/swaps");
  if (!swaps || std::count(swaps->begin(), swaps->end(), '\n') < 2) GTEST_SKIP() << "this host has no swap";
  make_vps("101", true, {"--ram", "64M", "--swap", "128M"});
  // Zeros would not do: newer kernels give such pages back.
  const Argv hog = {"exec", "101", "--", "sh", "-c", "yes | dd of=/dev/null bs=100M count=1 iflag=fullblock"};
  ctl(hog);
  ctl({"set", "101", "swap=16M"});
  ctl(hog, 128 + SIGKILL);
}

TEST_F(LimitsTest, CpuTimeStaysBelowTheLimit) {
  make_vps("101", true, {"--cpus", "0.2"});
  auto before = stats("101").number("/cpu/usageUsec");
  auto start = std::chrono::steady_clock::now();
  ctl({"exec", "101", "--", "timeout", "2", "sh", "-c", "while :; do :; done"}, 143);
  auto wall = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  auto used = stats("101").number("/cpu/usageUsec") - before;
  EXPECT_LT(static_cast<double>(used), 0.35 * static_cast<double>(wall));
  EXPECT_GT(stats("101").number("/cpu/throttledUsec"), 0);
}

TEST_F(LimitsTest, ShowNamesTheKernelFileBehindEachLimit) {
  make_vps("101", true, {"--ram", "64M", "--cpus", "1.5", "--set", "resources.pids.limit=100"});
  for (const char* name : {"memory.limit", "cpu.limit", "pids.limit"}) {
    auto entry = limit("101", name);
    EXPECT_EQ(entry.string("/state"), "enforced") << entry.dump();
    EXPECT_NE(entry.string("/file"), "") << entry.dump();
  }
}

TEST_F(LimitsTest, SetTakesEffectAtOnceAndIsSaved) {
  make_vps("101", true, {"--ram", "64M", "--swap", "0"});
  ctl({"set", "101", "ram=256M", "resources.pids.limit=50"});
  // 100 MB would not fit into the old limit.
  ctl({"exec", "101", "--", "dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"});
  EXPECT_EQ(json({"show", "101"}).string("/definition/resources/memory/limit"), "256M");
  EXPECT_EQ(stats("101").number("/pids/limit"), 50);
  ctl({"restart", "101"});
  EXPECT_EQ(stats("101").number("/memory/limit"), 256 << 20);
}

TEST_F(LimitsTest, LiveAndSavedCanBeChosen) {
  make_vps("101", true, {"--ram", "64M"});
  ctl({"set", "--live", "101", "ram=96M"});
  EXPECT_EQ(stats("101").number("/memory/limit"), 96 << 20);
  EXPECT_EQ(json({"show", "101"}).string("/definition/resources/memory/limit"), "64M");
  ctl({"set", "--saved", "101", "ram=128M"});
  EXPECT_EQ(stats("101").number("/memory/limit"), 96 << 20);
  ctl({"restart", "101"});
  EXPECT_EQ(stats("101").number("/memory/limit"), 128 << 20);
}

TEST_F(LimitsTest, SetIsAllOrNothing) {
  make_vps("101", true, {"--ram", "64M"});
  ctl({"set", "101", "ram=96M", "cpus=banana"}, 2);
  EXPECT_EQ(stats("101").number("/memory/limit"), 64 << 20);
  EXPECT_EQ(json({"show", "101"}).string("/definition/resources/memory/limit"), "64M");
}

TEST_F(LimitsTest, ShrinkingBelowUseIsRefusedWithNumbers) {
  make_vps("101", true, {"--ram", "256M", "--swap", "0"});
  // Anonymous memory that cannot be reclaimed without swap.
  auto hog = vpsd_->ctl_start({"exec", "101", "--", "sh", "-c", "dd if=/dev/zero bs=100M count=1 of=/dev/fd/1 2>/dev/null | sleep 60"});
  ASSERT_TRUE(hog);
  EXPECT_TRUE(eventually([&] { return stats("101").number("/memory/current") > (90 << 20); }, std::chrono::seconds(20)));
  auto refused = ctl({"set", "101", "ram=32M"}, 7);
  EXPECT_THAT(refused.err, testing::ContainsRegex("[0-9]"));
  EXPECT_EQ(stats("101").number("/memory/limit"), 256 << 20);
  EXPECT_EQ(json({"show", "101"}).string("/definition/resources/memory/limit"), "256M");
  ctl({"stop", "--force", "101"});
}

TEST_F(LimitsTest, WhatThisHostCannotEnforceIsSaid) {
  make_vps("101", true, {"--set", "resources.memory.guarantee=16M", "--set", "resources.io.weight=200"});
  for (const auto& entry : json({"show", "101"}).items("/limits")) {
    if (entry.string("/state") == "enforced")
      EXPECT_NE(entry.string("/file"), "") << entry.dump();
    else
      EXPECT_NE(entry.string("/reason"), "") << entry.dump();
  }
  (void)limit("101", "memory.guarantee");
  (void)limit("101", "io.weight");
}

}  // namespace
}  // namespace vps::test
