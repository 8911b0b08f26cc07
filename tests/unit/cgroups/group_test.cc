#include "cgroups/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cgroups/tree.h"
#include "tests/unit/cgroups/fake_hosts.h"

namespace vps::cgroups {
namespace {

using test::get;
using test::put;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A pure v2 tree made of plain directories; files of a group must be put there by hand.
class FakeUnified : public ::testing::Test {
 protected:
  void SetUp() override {
    host_ = test::unified_host(dir_ / "cg");
    level("");
    level("/vps");
  }
  void level(const std::string& path) {
    put(dir_ / ("cg" + path + "/cgroup.controllers"), "cpuset cpu io memory hugetlb pids rdma\n");
    put(dir_ / ("cg" + path + "/cgroup.subtree_control"), "pids\n");
  }
  void fill_leaf(const std::string& path) {
    std::string at = dir_ / ("cg/" + path + "/");
    put(at + "cgroup.controllers", "cpuset cpu io memory pids\n");
    put(at + "cgroup.events", "populated 0\nfrozen 0\n");
    put(at + "cgroup.procs", "");
    put(at + "memory.max", "max\n");
    put(at + "memory.high", "max\n");
    put(at + "memory.low", "0\n");
    put(at + "memory.current", "4096\n");
    put(at + "memory.peak", "8192\n");
    put(at + "memory.swap.max", "max\n");
    put(at + "memory.stat", "anon 100\nfile 200\nkernel 300\n");
    put(at + "memory.events", "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\n");
    put(at + "cpu.stat", "usage_usec 50\nuser_usec 30\nsystem_usec 20\nnr_periods 5\nnr_throttled 1\nthrottled_usec 9\n");
    put(at + "cpu.weight", "100\n");
    put(at + "pids.max", "max\n");
    put(at + "pids.current", "7\n");
    put(at + "pids.events", "max 2\n");
    put(at + "io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4\n");
    put(at + "memory.pressure", "some avg10=1.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n");
  }
  ::vps::test::TempDir dir_;
  Host host_;
};

TEST_F(FakeUnified, CreateEnablesControllersOnTheWay) {
  auto group = Group::create(host_, "/vps//101/");
  ASSERT_TRUE(group) << group.error().to_string();
  EXPECT_EQ(group->path(), "vps/101");
  EXPECT_THAT(get(dir_ / "cg/cgroup.subtree_control"), HasSubstr("+cpu +cpuset +io +memory"));
  EXPECT_THAT(get(dir_ / "cg/vps/cgroup.subtree_control"), HasSubstr("+cpu +cpuset +io +memory"));
  EXPECT_THAT(get(dir_ / "cg/vps/cgroup.subtree_control"), ::testing::Not(HasSubstr("hugetlb")));
  EXPECT_TRUE(path_exists(dir_ / "cg/vps/101"));
}

TEST_F(FakeUnified, CreateLeavesNothingBehindWhenItFails) {
  V1Hierarchy lost;
  lost.controllers = {"memory"};
  lost.mount = lost.base = dir_ / "missing";
  host_.v1.push_back(lost);
  auto group = Group::create(host_, "vps/101");
  ASSERT_FALSE(group);
  EXPECT_THAT(group.error().message(), HasSubstr("missing"));
  EXPECT_FALSE(path_exists(dir_ / "cg/vps/101"));
  EXPECT_TRUE(path_exists(dir_ / "cg/vps"));
}

TEST_F(FakeUnified, CreateRefusesALeafWithProcesses) {
  put(dir_ / "cg/vps/101/cgroup.procs", "");
  put(dir_ / "cg/vps/101/init.scope/cgroup.procs", "4711\n");
  auto group = Group::create(host_, "vps/101");
  ASSERT_FALSE(group);
  EXPECT_EQ(group.error().code(), Code::kBusy);
  EXPECT_THAT(group.error().message(), HasSubstr("pid 4711"));
}

TEST_F(FakeUnified, OpenAndRemove) {
  EXPECT_EQ(Group::open(host_, "vps/101").error().code(), Code::kNotFound);
  ASSERT_TRUE(make_dirs(dir_ / "cg/vps/101/payload/system.slice/a.service"));
  EXPECT_TRUE(Group::open(host_, "vps/101"));
  auto removed = Group::remove(host_, "vps/101");
  ASSERT_TRUE(removed) << removed.error().to_string();
  EXPECT_FALSE(path_exists(dir_ / "cg/vps/101"));
  EXPECT_TRUE(path_exists(dir_ / "cg/vps"));
  EXPECT_TRUE(Group::remove(host_, "vps/101"));
  EXPECT_TRUE(Group::remove(host_, "nowhere/at/all"));
}

TEST_F(FakeUnified, RemoveFollowsNoSymlink) {
  ASSERT_TRUE(make_dirs(dir_ / "precious/inside"));
  ASSERT_EQ(::symlink((dir_ / "precious").c_str(), (dir_ / "cg/vps/101").c_str()), 0);
  EXPECT_FALSE(Group::remove(host_, "vps/101"));
  EXPECT_TRUE(path_exists(dir_ / "precious/inside"));
}

TEST_F(FakeUnified, AppliesLimits) {
  auto group = Group::create(host_, "vps/101");
  ASSERT_TRUE(group) << group.error().to_string();
  fill_leaf("vps/101");
  oci::Resources r;
  r.memory.emplace();
  r.memory->limit = 1 << 20;
  r.memory->swap = 3 << 20;
  r.cpu.emplace();
  r.cpu->quota = 5000;  // this tree has no cpu.max
  r.unified = {{"cpu.weight", "300"}, {"memory.low", "65536"}};
  auto limits = group->apply(r);
  ASSERT_TRUE(limits) << limits.error().to_string();
  EXPECT_EQ(get(dir_ / "cg/vps/101/memory.max"), "1048576");
  EXPECT_EQ(get(dir_ / "cg/vps/101/memory.swap.max"), "2097152");
  EXPECT_EQ(get(dir_ / "cg/vps/101/memory.low"), "65536");
  EXPECT_EQ(get(dir_ / "cg/vps/101/cpu.weight"), "300");
  ASSERT_EQ(limits->size(), 5u);
  EXPECT_EQ((*limits)[2], (Enforcement{"cpu.quota", "5000us", Enforcement::Kind::kUnavailable, "", "this kernel has no cpu.max"}));
}

TEST_F(FakeUnified, RefusedForksAreAddedUpWhereTheKernelCountsThemInTheForkingGroup) {
  auto group = Group::create(host_, "vps/101");
  ASSERT_TRUE(group);
  const auto top = dir_ / "cg/vps/101";
  for (const char* sub : {"/init.scope", "/system.slice", "/system.slice/a.service"}) ASSERT_TRUE(make_dirs(top + sub));
  put(top + "/pids.events", "max 1\n");
  put(top + "/init.scope/pids.events", "max 20\n");
  put(top + "/system.slice/a.service/pids.events", "max 300\n");
  EXPECT_FALSE(group->announces_refused_forks());
  EXPECT_EQ(group->forks_refused().value_or(0), 321u);
  // 6.11 and later: the group of the limit has all of them.
  put(top + "/pids.events.local", "max 0\n");
  EXPECT_TRUE(group->announces_refused_forks());
  EXPECT_EQ(group->forks_refused().value_or(0), 1u);
}

TEST_F(FakeUnified, LimitOfAControllerThatCannotBeEnabledIsUnavailable) {
  auto group = Group::create(host_, "vps/101");
  ASSERT_TRUE(group);
  fill_leaf("vps/101");
  oci::Resources r;
  r.rdma["mlx5_0"] = {1, 1};  // the base has rdma, the leaf never gets it
  auto limits = group->apply(r);
  ASSERT_TRUE(limits) << limits.error().to_string();
  ASSERT_EQ(limits->size(), 1u);
  EXPECT_EQ(limits->front().kind, Enforcement::Kind::kUnavailable);
  EXPECT_THAT(get(dir_ / "cg/vps/cgroup.subtree_control"), HasSubstr("+rdma"));  // it was tried
}

TEST_F(FakeUnified, ReadsTheFigures) {
  auto group = Group::create(host_, "vps/101");
  ASSERT_TRUE(group);
  fill_leaf("vps/101");
  auto stats = group->stats();
  ASSERT_TRUE(stats) << stats.error().to_string();
  EXPECT_EQ(stats->cpu.usage_usec, 50u);
  EXPECT_EQ(stats->memory.current, 4096u);
  EXPECT_EQ(stats->memory.peak, 8192u);
  EXPECT_EQ(stats->memory.limit, 0u);
  EXPECT_EQ(stats->memory.kernel, 300u);
  EXPECT_EQ(stats->memory.oom_kills, 4u);
  EXPECT_EQ(group->oom_kills(), 4u);
  EXPECT_EQ(stats->io.write_ops, 4u);
  EXPECT_EQ(stats->pids_current, 7u);
  EXPECT_EQ(stats->pids_max_events, 2u);
  EXPECT_TRUE(stats->memory_pressure.known);
  EXPECT_FALSE(stats->cpu_pressure.known);
  EXPECT_FALSE(*group->populated());
  auto watches = group->watches();
  ASSERT_TRUE(watches);
  EXPECT_EQ(watches->size(), 3u);
}

TEST_F(FakeUnified, ExplainNeverFails) {
  oci::Resources r;
  r.pids = oci::PidsLimit{5};
  EXPECT_EQ(Group::explain(host_, r).front().kind, Enforcement::Kind::kEnforced);
  r.unified["cgroup.kill"] = "1";
  auto limits = Group::explain(host_, r);
  ASSERT_EQ(limits.size(), 1u);
  EXPECT_EQ(limits[0].kind, Enforcement::Kind::kUnavailable);
  EXPECT_THAT(limits[0].reason, HasSubstr("cgroup.kill"));
}

TEST_F(FakeUnified, ProcessesOfTheWholeSubtree) {
  put(dir_ / "cg/vps/101/cgroup.procs", "5\n3\n");
  put(dir_ / "cg/vps/101/a/cgroup.procs", "7\n0\nxyz\n99999999999\n");
  put(dir_ / "cg/vps/101/a/b/cgroup.procs", "3\n");
  auto group = Group::open(host_, "vps/101");
  ASSERT_TRUE(group);
  auto pids = group->processes();
  ASSERT_TRUE(pids) << pids.error().to_string();
  EXPECT_THAT(*pids, ElementsAre(3, 5, 7));
}

TEST_F(FakeUnified, FigureOfAGroupThatIsGone) {
  auto group = Group::create(host_, "vps/101");
  ASSERT_TRUE(group);
  ASSERT_TRUE(Group::remove(host_, "vps/101"));
  EXPECT_EQ(group->stats().error().code(), Code::kNotFound);
  EXPECT_THAT(group->processes().value_or(std::vector<pid_t>{1}), IsEmpty());
}

class FakeHybrid : public ::testing::Test {
 protected:
  void SetUp() override {
    host_ = test::hybrid_host(dir_.path());
    std::erase_if(host_.v1, [](const V1Hierarchy& h) { return h.controllers.front() == "cpuset"; });
    put(dir_ / "unified/cgroup.controllers", "hugetlb\n");
    put(dir_ / "unified/cgroup.subtree_control", "\n");
    for (const auto& hierarchy : host_.v1) ASSERT_TRUE(make_dirs(hierarchy.base));
  }
  ::vps::test::TempDir dir_;
  Host host_;
};

TEST_F(FakeHybrid, MakesAndRemovesTheGroupEverywhere) {
  auto group = Group::create(host_, "101");
  ASSERT_TRUE(group) << group.error().to_string();
  for (const char* hierarchy : {"unified", "blkio", "cpu,cpuacct", "memory", "pids", "systemd"})
    EXPECT_TRUE(path_exists(dir_ / hierarchy + "/101")) << hierarchy;
  EXPECT_EQ(get(dir_ / "unified/cgroup.subtree_control"), "\n") << "hugetlb is handed out only when a limit needs it";
  ASSERT_TRUE(make_dirs(dir_ / "memory/101/inner"));
  ASSERT_TRUE(Group::remove(host_, "101"));
  for (const char* hierarchy : {"unified", "blkio", "cpu,cpuacct", "memory", "pids", "systemd"})
    EXPECT_FALSE(path_exists(dir_ / hierarchy + "/101")) << hierarchy;
}

TEST_F(FakeHybrid, AppliesAndAttachesInTheRightHierarchy) {
  auto group = Group::create(host_, "101");
  ASSERT_TRUE(group) << group.error().to_string();
  put(dir_ / "unified/101/cgroup.controllers", "\n");
  put(dir_ / "unified/101/cpu.stat", "usage_usec 50\n");
  put(dir_ / "memory/101/memory.limit_in_bytes", "9223372036854771712\n");
  put(dir_ / "memory/101/memory.usage_in_bytes", "4096\n");
  put(dir_ / "memory/101/memory.memsw.usage_in_bytes", "5096\n");
  put(dir_ / "memory/101/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
  put(dir_ / "cpu,cpuacct/101/cpu.shares", "1024\n");
  put(dir_ / "cpu,cpuacct/101/cpu.stat", "nr_periods 3\nnr_throttled 2\nthrottled_time 5000\n");
  for (const auto& hierarchy : host_.v1) put(hierarchy.base + "/101/tasks", "");
  oci::Resources r;
  r.memory.emplace();
  r.memory->limit = 1 << 20;
  r.memory->swap = 1 << 20;  // no memsw file here
  r.unified["cpu.weight"] = "50";
  auto limits = group->apply(r);
  ASSERT_TRUE(limits) << limits.error().to_string();
  EXPECT_EQ(get(dir_ / "memory/101/memory.limit_in_bytes"), "1048576");
  EXPECT_EQ(get(dir_ / "cpu,cpuacct/101/cpu.shares"), "512");
  EXPECT_EQ((*limits)[1].kind, Enforcement::Kind::kUnavailable);
  ASSERT_TRUE(group->join_v1());
  for (const auto& hierarchy : host_.v1) EXPECT_EQ(get(hierarchy.base + "/101/tasks"), "0") << hierarchy.mount;
  auto stats = group->stats();
  ASSERT_TRUE(stats) << stats.error().to_string();
  EXPECT_EQ(stats->cpu.usage_usec, 50u);
  EXPECT_EQ(stats->cpu.throttled_usec, 5u);
  EXPECT_EQ(stats->memory.swap_current, 1000u);
  EXPECT_EQ(stats->memory.oom_kills, 2u);
  EXPECT_EQ(group->oom_kills(), 2u);
}

TEST(CgroupTree, Paths) {
  EXPECT_EQ(*normal_path("/vps//101/payload/"), "vps/101/payload");
  for (const char* bad : {"", "/", "a/../b", "..", "./a", "a\nb"}) EXPECT_EQ(normal_path(bad).error().code(), Code::kUsage) << bad;
  EXPECT_FALSE(normal_path(std::string(256, 'x')));
  std::string deep;
  for (int i = 0; i < 32; ++i) deep += "/x";
  EXPECT_TRUE(normal_path(deep));
  EXPECT_FALSE(normal_path(deep + "/x"));
}

TEST(CgroupTree, WaitsAreBounded) {
  ::vps::test::TempDir dir;
  put(dir / "cgroup.events", "populated 1\nfrozen 0\n");
  auto fd = open_dir(dir.path());
  ASSERT_TRUE(fd);
  using namespace std::chrono_literals;
  EXPECT_TRUE(wait_for(fd->get(), "cgroup.events", "populated", "1", 0ms));
  auto late = wait_for(fd->get(), "cgroup.events", "populated", "0", 30ms);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Code::kTimedOut);
  EXPECT_EQ(wait_for(fd->get(), "cgroup.events", "missing", "0", 30ms).error().code(), Code::kNotFound);
  EXPECT_EQ(wait_for(fd->get(), "nowhere", "missing", "0", 30ms).error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace vps::cgroups
