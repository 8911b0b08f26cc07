#include "cgroups/execute.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cgroups/planner.h"
#include "tests/unit/cgroups/fake_hosts.h"

namespace vps::cgroups {
namespace {

using test::get;
using test::put;
using ::testing::HasSubstr;

class Execute : public ::testing::Test {
 protected:
  void SetUp() override {
    put(dir_ / "pids.max", "max\n");
    put(dir_ / "cpu.max", "max 100000\n");
    put(dir_ / "cpuset.cpus", "\n");
    put(dir_ / "io.max", "8:0 rbps=7 wbps=max riops=max wiops=max\n");
    put(dir_ / "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
    fd_ = std::move(*open_dir(dir_.path()));
  }
  Result<> run(std::vector<Write> writes) {
    CgroupPlan plan;
    plan.writes = std::move(writes);
    return execute_plan(plan, [&](const std::string& hierarchy) { return hierarchy == "absent" ? -1 : fd_.get(); });
  }
  static Write write(std::string file, std::string value, std::string key = "", std::string absent = "") {
    return {.hierarchy = "", .file = file, .value = std::move(value), .limit = "limit of " + file, .key = std::move(key),
            .absent = std::move(absent)};
  }
  ::vps::test::TempDir dir_;
  UniqueFd fd_;
};

TEST_F(Execute, WritesEverything) {
  ASSERT_TRUE(run({write("pids.max", "5"), write("cpu.max", "1000 2000"), write("cpuset.cpus", "0")}));
  EXPECT_EQ(get(dir_ / "pids.max"), "5");
  EXPECT_EQ(get(dir_ / "cpu.max"), "1000 2000");
  EXPECT_EQ(get(dir_ / "cpuset.cpus"), "0");
}

TEST_F(Execute, PutsOldValuesBackWhenOneFails) {
  auto result = run({write("pids.max", "5"), write("cpuset.cpus", "0"), write("cpu.max", "1 2"), write("missing.max", "1")});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kNotFound);
  EXPECT_THAT(result.error().to_string(), HasSubstr("set limit of missing.max"));
  EXPECT_EQ(get(dir_ / "pids.max"), "max");
  EXPECT_EQ(get(dir_ / "cpuset.cpus"), "\n");  // an empty write would not reach the kernel
  EXPECT_EQ(get(dir_ / "cpu.max"), "max 100000");
}

TEST_F(Execute, PutsBackLinesOfKeyedFiles) {
  auto oom = write("memory.oom_control", "1", "oom_kill_disable", "0");
  oom.value_only = true;
  ASSERT_FALSE(run({write("io.max", "8:0 rbps=9", "8:0", "8:0 rbps=max"), oom, write("missing.max", "1")}));
  EXPECT_EQ(get(dir_ / "io.max"), "8:0 rbps=7 wbps=max riops=max wiops=max");
  EXPECT_EQ(get(dir_ / "memory.oom_control"), "0");
  put(dir_ / "io.max", "8:0 rbps=7 wbps=max riops=max wiops=max\n");
  ASSERT_FALSE(run({write("io.max", "8:16 rbps=9", "8:16", "8:16 rbps=max"), write("missing.max", "1")}));
  EXPECT_EQ(get(dir_ / "io.max"), "8:16 rbps=max");  // "8:1" or "8:16" is not the line of 8:0
}

TEST_F(Execute, NamesWhatCouldNotBePutBack) {
  CgroupPlan plan;
  plan.writes = {write("pids.max", "5"), write("missing.max", "1")};
  int calls = 0;
  auto result = execute_plan(plan, [&](const std::string&) {
    if (++calls == 2) (void)remove_file(dir_ / "pids.max");  // vanishes between the two writes
    return fd_.get();
  });
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message(), HasSubstr("not put back: open pids.max"));
}

TEST_F(Execute, HierarchyThatTheGroupIsNotIn) {
  auto lost = write("memory.limit_in_bytes", "5");
  lost.hierarchy = "absent";
  auto result = run({write("pids.max", "5"), lost});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kUnavailable);
  EXPECT_EQ(get(dir_ / "pids.max"), "max");
}

class MemoryShrink : public Execute {
 protected:
  void SetUp() override {
    Execute::SetUp();
    put(dir_ / "memory.max", "max\n");
    put(dir_ / "memory.high", "max\n");
    put(dir_ / "memory.reclaim", "");
    put(dir_ / "memory.current", "104857600\n");
  }
};

TEST_F(MemoryShrink, IsBusyWithNumbersWhenReclaimFindsNothing) {
  auto result = run({write("pids.max", "5"), write("memory.max", "52428800")});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kBusy);
  EXPECT_EQ(result.error().to_string(), "set limit of memory.max: 100.0 MiB in use after reclaim, 50.0 MiB asked");
  EXPECT_EQ(get(dir_ / "memory.max"), "max\n") << "was never lowered: the kernel would have killed";
  EXPECT_EQ(get(dir_ / "memory.high").substr(0, 3), "max");
  EXPECT_EQ(get(dir_ / "memory.reclaim"), "52428800");
  EXPECT_EQ(get(dir_ / "pids.max"), "max");
}

TEST_F(MemoryShrink, AboveUseNeedsNoReclaim) {
  ASSERT_TRUE(run({write("memory.max", "209715200")}));
  EXPECT_EQ(get(dir_ / "memory.max"), "209715200");
  EXPECT_EQ(get(dir_ / "memory.reclaim"), "");
  EXPECT_EQ(get(dir_ / "memory.high"), "max\n");
}

TEST(MemoryRefusal, V1BusyBecomesNumbers) {
  ::vps::test::TempDir dir;
  put(dir / "memory.usage_in_bytes", "104857600\n");
  auto fd = open_dir(dir.path());
  ASSERT_TRUE(fd);
  Write write{.hierarchy = "memory", .file = "memory.limit_in_bytes", .value = "52428800", .limit = "memory.limit"};
  auto error = explain_v1_memory_refusal(fd->get(), write, Error(Code::kBusy, EBUSY, "write"));
  EXPECT_EQ(error.code(), Code::kBusy);
  EXPECT_EQ(error.to_string(), "100.0 MiB in use after reclaim, 50.0 MiB asked");
  EXPECT_EQ(explain_v1_memory_refusal(fd->get(), write, Error(Code::kUsage, EINVAL, "write")).message(), "write");
}

}  // namespace
}  // namespace vps::cgroups
