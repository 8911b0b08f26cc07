#include "cgroups/host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cgroups/fake_hosts.h"

namespace vps::cgroups {
namespace {

using test::put;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kPureV2 =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "26 22 0:24 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";

constexpr const char* kHybrid =
    "30 22 0:27 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n"
    "31 30 0:28 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate\n"
    "32 30 0:29 / /sys/fs/cgroup/systemd rw shared:11 master:2 - cgroup cgroup rw,xattr,name=systemd\n"
    "33 30 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "34 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "35 30 0:32 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset,clone_children,release_agent=/sbin/x\n";

TEST(CgroupHost, FindsThePureV2Tree) {
  auto host = parse_mountinfo(kPureV2);
  ASSERT_TRUE(host) << host.error().to_string();
  EXPECT_EQ(host->layout, Layout::kUnified);
  EXPECT_EQ(host->unified_root, "/sys/fs/cgroup");
  EXPECT_TRUE(host->v1.empty());
}

TEST(CgroupHost, FindsHybridHierarchies) {
  auto host = parse_mountinfo(kHybrid);
  ASSERT_TRUE(host) << host.error().to_string();
  EXPECT_EQ(host->layout, Layout::kHybrid);
  EXPECT_EQ(host->unified_root, "/sys/fs/cgroup/unified");
  ASSERT_EQ(host->v1.size(), 4u);
  EXPECT_THAT(host->v1[0].controllers, ElementsAre("cpu", "cpuacct"));
  EXPECT_THAT(host->v1[1].controllers, ElementsAre("cpuset"));
  EXPECT_THAT(host->v1[3].controllers, ElementsAre("name=systemd"));
  EXPECT_EQ(host->find_v1("cpuacct"), &host->v1[0]);
  EXPECT_EQ(host->find_v1("cpuacct")->mount, "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(host->find_v1("xattr"), nullptr);
  host->unified_controllers = {"hugetlb", "memory"};
  EXPECT_EQ(host->where("memory"), Where::kV1);  // a controller is in one place only
  EXPECT_EQ(host->where("hugetlb"), Where::kUnified);
  EXPECT_EQ(host->where("pids"), Where::kNone);
}

TEST(CgroupHost, NamedV1HierarchyAloneIsNotHybrid) {
  auto host = parse_mountinfo(std::string(kPureV2) + "40 26 0:40 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n");
  ASSERT_TRUE(host);
  EXPECT_EQ(host->layout, Layout::kUnified);
  EXPECT_EQ(host->v1.size(), 1u);
}

TEST(CgroupHost, PrefersTheUsualPlacesOverBinds) {
  auto host = parse_mountinfo(
      "1 1 0:24 / /var/lib/x/rootfs/sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
      "2 1 0:31 /docker/1 /srv/memory rw - cgroup cgroup rw,memory\n"
      "3 1 0:24 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
      "4 3 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  ASSERT_TRUE(host);
  EXPECT_EQ(host->unified_root, "/sys/fs/cgroup");
  ASSERT_EQ(host->v1.size(), 1u);
  EXPECT_EQ(host->v1[0].mount, "/sys/fs/cgroup/memory");
}

TEST(CgroupHost, LaterMountsHideEarlierOnes) {
  auto host = parse_mountinfo(
      "1 1 0:24 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
      "2 1 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
      "3 2 0:24 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  ASSERT_TRUE(host);
  EXPECT_EQ(host->unified_root, "/sys/fs/cgroup/unified");
}

TEST(CgroupHost, AMountOverTheFolderHidesWhatIsMountedInIt) {
  auto host = parse_mountinfo(std::string(kHybrid) +
                              "36 34 0:31 /x /sys/fs/cgroup/memory/x rw - cgroup cgroup rw,memory\n"
                              "40 30 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n");
  ASSERT_TRUE(host) << host.error().to_string();
  EXPECT_EQ(host->unified_root, "/sys/fs/cgroup");
  EXPECT_TRUE(host->v1.empty());
}

TEST(CgroupHost, UnescapesMountPoints) {
  auto host = parse_mountinfo("1 1 0:24 / /a\\040b\\134c rw - cgroup2 cgroup2 rw\n");
  ASSERT_TRUE(host);
  EXPECT_EQ(host->unified_root, "/a b\\c");
}

TEST(CgroupHost, PassesOverBrokenLinesAndSaysWhatIsMissing) {
  for (const char* text : {"", "\n\n", "1 2 3", "1 1 0:24 / /x rw cgroup2 cgroup2 rw", "1 1 0:24 / /x rw - cgroup2",
                           "1 1 0:24 / relative rw - cgroup2 none rw", "- - - - - - - - -"}) {
    auto host = parse_mountinfo(text);
    ASSERT_FALSE(host) << text;
    EXPECT_EQ(host.error().code(), Code::kUnavailable);
    EXPECT_THAT(host.error().message(), HasSubstr("no cgroup2"));
  }
  EXPECT_TRUE(parse_mountinfo(std::string("garbage\n1 2\n") + kPureV2));
}

TEST(CgroupHost, OwnCgroupByController) {
  constexpr const char* text = "9:name=systemd:/a\n4:cpu,cpuacct:/b\n3:cpuset:/c:d\nbroken\n0::/e\n";
  EXPECT_EQ(own_cgroup(text, "name=systemd"), "/a");
  EXPECT_EQ(own_cgroup(text, "cpuacct"), "/b");
  EXPECT_EQ(own_cgroup(text, "cpuset"), "/c:d");
  EXPECT_EQ(own_cgroup(text, ""), "/e");
  EXPECT_EQ(own_cgroup(text, "memory"), "");
}

class FakeHost : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.proc_root = dir_ / "proc";
    options_.sys_root = dir_ / "sys";
    put(dir_ / "cg/cgroup.controllers", "cpu memory\n");
    put(dir_ / "mem/tasks", "");
    put(dir_ / "proc/self/mountinfo", fmt::format("1 1 0:1 / {} rw - cgroup2 none rw\n2 1 0:2 /outer {} rw - cgroup none rw,memory\n",
                                                  dir_ / "cg", dir_ / "mem"));
    put(dir_ / "proc/self/cgroup", "4:memory:/outer/own\n0::/user.slice/me\n");
  }
  ::vps::test::TempDir dir_;
  DiscoverOptions options_;
};

TEST_F(FakeHost, UsesTheRootWhereItMayWrite) {
  auto host = Host::discover(options_);
  ASSERT_TRUE(host) << host.error().to_string();
  EXPECT_EQ(host->unified_base, dir_ / "cg");
  EXPECT_EQ(host->find_v1("memory")->base, dir_ / "mem");
  EXPECT_THAT(host->unified_controllers, ElementsAre("cpu", "memory"));
  EXPECT_THAT(host->delegate_files, ElementsAre("cgroup.procs", "cgroup.threads", "cgroup.subtree_control"));
  EXPECT_FALSE(host->io_weight_active);
}

TEST_F(FakeHost, NamesTheV1GroupOfALeaf) {
  options_.unified_leaf = "payload";
  auto host = Host::discover(options_);
  ASSERT_TRUE(host) << host.error().to_string();
  EXPECT_EQ(host->path_in_v1("vps/101/payload"), "vps/101");
  EXPECT_EQ(host->path_in_v1("vps/101/supervisor"), "vps/101/supervisor");
  EXPECT_EQ(host->path_in_v1("vps/payload/supervisor"), "vps/payload/supervisor");
  EXPECT_EQ(host->path_in_v1("payload"), "payload");
  EXPECT_EQ(host->path_in("memory", "vps/101/payload"), host->where("memory") == Where::kV1 ? "vps/101" : "vps/101/payload");
  EXPECT_EQ(host->path_in("cpu", "vps/101/payload"), host->where("cpu") == Where::kV1 ? "vps/101" : "vps/101/payload");
  host->unified_leaf.clear();
  EXPECT_EQ(host->path_in_v1("vps/101/payload"), "vps/101/payload");
}

TEST_F(FakeHost, UsesItsOwnGroupWhenAskedTo) {
  put(dir_ / "cg/user.slice/me/cgroup.controllers", "memory\n");
  options_.base = Base::kOwn;
  auto host = Host::discover(options_);
  ASSERT_TRUE(host) << host.error().to_string();
  EXPECT_EQ(host->unified_base, dir_ / "cg/user.slice/me");
  EXPECT_EQ(host->find_v1("memory")->base, dir_ / "mem/own");  // the mount shows the hierarchy from /outer on
  EXPECT_THAT(host->unified_controllers, ElementsAre("memory"));
}

TEST_F(FakeHost, ReadsWhatTheKernelOffers) {
  put(dir_ / "sys/kernel/cgroup/delegate", "cgroup.procs\nmemory.oom.group\n");
  put(dir_ / "sys/block/vda/queue/scheduler", "none mq-deadline [bfq]\n");
  auto host = Host::discover(options_);
  ASSERT_TRUE(host);
  EXPECT_THAT(host->delegate_files, ElementsAre("cgroup.procs", "memory.oom.group"));
  EXPECT_TRUE(host->io_weight_active);
}

TEST_F(FakeHost, FailsWithTheFileThatIsMissing) {
  ASSERT_TRUE(remove_file(dir_ / "proc/self/cgroup"));
  auto host = Host::discover(options_);
  ASSERT_FALSE(host);
  EXPECT_THAT(host.error().to_string(), HasSubstr("/proc/self/cgroup: No such file"));
}

TEST_F(FakeHost, EnterLeafMovesTheCaller) {
  auto host = Host::discover(options_);
  ASSERT_TRUE(host);
  put(dir_ / "cg/daemon/cgroup.procs", "");
  ASSERT_TRUE(enter_leaf(*host, "daemon"));
  EXPECT_EQ(test::get(dir_ / "cg/daemon/cgroup.procs"), "0");
  EXPECT_EQ(enter_leaf(*host, "../x").error().code(), Code::kUsage);
}

TEST(CgroupHost, ProbedFilesTellOptionalOnes) {
  Host host = test::unified_host();
  EXPECT_TRUE(host.may_have_file("", "io.bfq.weight"));  // not probed
  host.files[""] = {"memory.max", "memory.swap.max", "cgroup.procs"};
  host.files["blkio"] = {"blkio.throttle.read_bps_device"};
  EXPECT_TRUE(host.may_have_file("", "memory.swap.max"));
  EXPECT_FALSE(host.may_have_file("", "memory.zswap.max"));
  EXPECT_TRUE(host.may_have_file("", "io.weight"));  // the probe's parent had not handed out io
  EXPECT_FALSE(host.may_have_file("blkio", "blkio.weight"));
}

}  // namespace
}  // namespace vps::cgroups
