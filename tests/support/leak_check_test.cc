// The checker must find what it is for: each kind of leftover is really made here, and found.
#include "tests/support/leak_check.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/support/command.h"
#include "tests/support/temp_dir.h"

namespace vps::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

std::vector<std::string> new_since(const LeakScope& scope, const LeakSnapshot& before) {
  auto after = take_snapshot(scope);
  EXPECT_TRUE(after);
  return leftovers(before, after.value_or(LeakSnapshot{}));
}

TEST(LeakCheckTest, NothingLeftIsNoLeak) {
  TempDir dir;
  LeakScope scope{.cgroup_name = "vps-test-none", .root = dir.path(), .file_trees = {dir.path()}};
  auto before = take_snapshot(scope);
  ASSERT_TRUE(before);
  auto left = check_leaks(scope, *before);
  ASSERT_TRUE(left);
  EXPECT_THAT(*left, IsEmpty());
}

TEST(LeakCheckTest, FindsFilesButNotIgnoredOnes) {
  TempDir dir;
  LeakScope scope{.file_trees = {dir.path()}, .ignored_files = {dir / "known"}};
  auto before = take_snapshot(scope);
  ASSERT_TRUE(before);
  ASSERT_TRUE(write_file_atomic(dir / "known.db", "x"));
  ASSERT_TRUE(make_dirs(dir / "a/b"));
  EXPECT_THAT(new_since(scope, *before), ElementsAre("file: " + dir / "a", "file: " + dir / "a/b"));
}

TEST(LeakCheckTest, FindsProcessesAndChildren) {
  TempDir dir;
  LeakScope scope{.root = dir.path()};
  auto before = take_snapshot(scope);
  ASSERT_TRUE(before);
  auto process = Process::start({"sh", "-c", "echo it runs; read line", dir / "argument"});
  ASSERT_TRUE(process);
  ASSERT_TRUE(process->read_until("it runs"));
  auto left = new_since(scope, *before);
  EXPECT_THAT(left, Contains(testing::AllOf(StartsWith("process: " + std::to_string(process->pid())), HasSubstr("read line"))));
  EXPECT_THAT(left, Contains(StartsWith("child: " + std::to_string(process->pid()))));
  process->close_input();
  ASSERT_TRUE(process->finish());
  EXPECT_THAT(new_since(scope, *before), IsEmpty());
}

TEST(LeakCheckTest, FindsDescriptors) {
  LeakScope scope{.daemon = ::getpid()};
  auto before = take_snapshot(scope);
  ASSERT_TRUE(before);
  auto null = open_path("/dev/null", O_RDONLY);
  ASSERT_TRUE(null);
  EXPECT_THAT(new_since(scope, *before), Contains(HasSubstr("fd: /dev/null")));
}

TEST(LeakCheckTest, FindsMountsBelowTheRoot) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  TempDir dir;
  LeakScope scope{.root = dir.path()};
  auto before = take_snapshot(scope);
  ASSERT_TRUE(before);
  ASSERT_TRUE(make_dirs(dir / "mnt"));
  ASSERT_EQ(::mount("none", (dir / "mnt").c_str(), "tmpfs", 0, "size=4k"), 0);
  auto left = new_since(scope, *before);
  EXPECT_EQ(::umount(( dir / "mnt").c_str()), 0);
  EXPECT_THAT(left, ElementsAre("mount: " + dir / "mnt" + " (tmpfs)"));
}

TEST(LeakCheckTest, FindsCgroupsInEveryHierarchy) {
  // Two hierarchies of a fake host, as mountinfo would show them.
  TempDir dir;
  ASSERT_TRUE(make_dirs(dir / "proc/self"));
  ASSERT_TRUE(make_dirs(dir / "v1/memory"));
  ASSERT_TRUE(make_dirs(dir / "v2"));
  ASSERT_TRUE(write_file_atomic(dir / "proc/self/mountinfo",
                                "30 20 0:30 / " + dir / "v2" + " rw shared:1 - cgroup2 cgroup2 rw\n"
                                "31 20 0:31 / " + dir / "v1/memory" + " rw - cgroup cgroup rw,memory\n"));
  LeakScope scope{.cgroup_name = "vps-test-x", .proc_root = dir / "proc", .net_root = dir / "net"};
  auto before = take_snapshot(scope);
  ASSERT_TRUE(before) << before.error().to_string();
  ASSERT_TRUE(make_dirs(dir / "v2/vps-test-x/101/payload"));
  ASSERT_TRUE(make_dirs(dir / "v1/memory/vps-test-x/101"));
  ASSERT_TRUE(make_dirs(dir / "v2/other"));
  EXPECT_THAT(new_since(scope, *before), ElementsAre("cgroup: " + dir / "v1/memory/vps-test-x/101", "cgroup: " + dir / "v2/vps-test-x/101",
                                                     "cgroup: " + dir / "v2/vps-test-x/101/payload"));
}

TEST(LeakCheckTest, FindsLinksByPrefix) {
  TempDir dir;
  LeakScope scope{.link_prefixes = {"vps"}, .net_root = dir.path()};
  auto before = take_snapshot(scope);
  ASSERT_TRUE(before);
  ASSERT_TRUE(make_dirs(dir / "vps101"));
  ASSERT_TRUE(make_dirs(dir / "eth7"));
  EXPECT_THAT(new_since(scope, *before), ElementsAre("link: vps101"));
}

TEST(LeakCheckTest, WaitsForWhatIsGoing) {
  TempDir dir;
  LeakScope scope{.root = dir.path()};
  auto before = take_snapshot(scope);
  ASSERT_TRUE(before);
  auto process = run({"sh", "-c", "sleep 0.3 & exit 0", dir / "x"});
  ASSERT_TRUE(process);
  auto left = check_leaks(scope, *before);
  ASSERT_TRUE(left);
  EXPECT_THAT(*left, IsEmpty());
}

}  // namespace
}  // namespace vps::test
