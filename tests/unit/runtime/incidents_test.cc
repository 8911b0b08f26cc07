#include "runtime/supervisor/incidents.h"

#include <gmock/gmock.h>

namespace vps::supervisor {
namespace {

constexpr std::string_view kRecord =
    "6,812,77290815,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
    "oom_memcg=/vps/101/payload,task_memcg=/vps/101/payload/system.slice/x.service,task=hog,pid=4711,uid=1000000\n";

TEST(OomRecord, NamesTheVictim) {
  auto victim = parse_oom_record(kRecord, "/vps/101/payload");
  ASSERT_TRUE(victim);
  EXPECT_EQ(victim->process, "hog");
  EXPECT_EQ(victim->pid, 4711);
}

TEST(OomRecord, IgnoresOtherGroupsAndOtherLines) {
  EXPECT_FALSE(parse_oom_record(kRecord, "/vps/10"));
  EXPECT_FALSE(parse_oom_record(kRecord, "/vps/101/payloa"));
  EXPECT_FALSE(parse_oom_record("6,1,2,-;usb 1-1: new device", "/vps/101/payload"));
  EXPECT_FALSE(parse_oom_record("", "/vps/101/payload"));
  EXPECT_TRUE(parse_oom_record("6,1,2,-;oom-kill:oom_memcg=/vps/101/payload/sub,task=a,pid=1,uid=0", "/vps/101/payload"));
}

TEST(ForkRejection, IsOfThisGroupOnly) {
  constexpr std::string_view kLine = "6,1208,11762051819,-;cgroup: fork rejected by pids controller in /vps/m1/payload\n";
  EXPECT_TRUE(is_fork_rejection(kLine, "/vps/m1/payload"));
  EXPECT_FALSE(is_fork_rejection(kLine, "/vps/m1/pay"));
  EXPECT_FALSE(is_fork_rejection(kLine, "/vps/m"));
  EXPECT_FALSE(is_fork_rejection("6,1,2,-;cgroup: something else in /vps/m1/payload", "/vps/m1/payload"));
}

TEST(Incident, PrintsAsJson) {
  Incident incident{.kind = "oom", .process = "ho\"g", .pid = 5, .limit = "memory.limit", .file = "memory.max", .value = 1024, .count = 1};
  EXPECT_EQ(to_json(incident),
            R"({"count":1,"file":"memory.max","kind":"oom","limit":"memory.limit","pid":5,"process":"ho\"g","value":1024})");
}

TEST(Incident, ReadsAsASentence) {
  Incident oom{.kind = "oom", .process = "hog", .pid = 5, .limit = "memory.limit", .file = "memory.max", .value = 64u << 20, .count = 1};
  EXPECT_EQ(describe(oom), "hog (pid 5) was killed: memory limit 64M reached (memory.max)");
  oom.process.clear();
  EXPECT_EQ(describe(oom), "a process was killed: memory limit 64M reached (memory.max)");
  Incident forks{.kind = "pids-limit", .process = "", .pid = 0, .limit = "pids.limit", .file = "pids.max", .value = 20, .count = 7};
  EXPECT_EQ(describe(forks), "7 forks were refused: limit of 20 processes reached (pids.max)");
}

}  // namespace
}  // namespace vps::supervisor
