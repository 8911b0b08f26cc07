// Out of space at every point of a create: exit code 9, and nothing left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/files.h"
#include "tests/support/vpsd_fixture.h"

namespace vps::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class SmallDiskTest : public VpsdTest {
 protected:
  // The folder of the VPSes is a file system with next to nothing in it.
  void prepare() override {
    ASSERT_TRUE(make_dirs(containers()));
    ASSERT_EQ(::mount("vps-test", containers().c_str(), "tmpfs", 0, "size=1M,nr_inodes=1k,mode=0755"), 0);
  }
  void TearDown() override {
    if (!vpsd_) return VpsdTest::TearDown();
    // Busy until vpsd has gone, but part of the leak check: taken away lazily first.
    (void)vpsd_->ctl({"destroy", "--force", "101"});
    EXPECT_EQ(::umount2(containers().c_str(), MNT_DETACH), 0);
    VpsdTest::TearDown();
  }
  std::string containers() { return vpsd_->state() + "/containers"; }
  void inodes(int n) { ASSERT_EQ(::mount("vps-test", containers().c_str(), "tmpfs", MS_REMOUNT, ("nr_inodes=" + std::to_string(n)).c_str()), 0); }
};

TEST_F(SmallDiskTest, CreateFailsCleanlyAtEveryPoint) {
  bool created = false;
  int failures = 0;
  // One more file each time: the create fails a step later each time, until it succeeds.
  for (int n = 2; n < 60 && !created; ++n) {
    inodes(n);
    auto result = vpsd_->ctl({"create", "101", "--template", "busybox", "--ip", "none"});
    created = result.code == 0;
    if (created) break;
    ++failures;
    EXPECT_EQ(result.code, 9) << "with " << n << " inodes: " << result.describe();
    auto left = list_dir(containers());
    ASSERT_TRUE(left);
    EXPECT_THAT(*left, IsEmpty()) << "with " << n << " inodes";
    EXPECT_EQ(json({"list", "-a"}).size(), 0u);
  }
  EXPECT_TRUE(created) << "the loop never gave it enough";
  EXPECT_GE(failures, 3) << "the walk was too coarse to test anything";
}

TEST_F(SmallDiskTest, AFullDiskInsideTheVpsHurtsOnlyIt) {
  inodes(1000);
  ctl({"create", "101", "--template", "busybox", "--ip", "none"});
  auto started = vpsd_->ctl({"start", "101"});
  if (started.err.find("cannot be idmapped") != std::string::npos) GTEST_SKIP() << "this kernel does not idmap tmpfs, which stands for the small disk here";
  ASSERT_EQ(started.code, 0) << started.describe();
  auto full = vpsd_->ctl({"exec", "101", "--", "dd", "if=/dev/zero", "of=/root/fill", "bs=64k", "count=1000"});
  EXPECT_NE(full.code, 0);
  EXPECT_THAT(full.err, HasSubstr("No space"));
  // The daemon shares the file system here: it says so, and lives.
  auto denied = vpsd_->ctl({"create", "102", "--template", "busybox", "--ip", "none"});
  EXPECT_EQ(denied.code, 9) << denied.describe();
  ctl({"exec", "101", "--", "rm", "/root/fill"});
  ctl({"stop", "101"});
}

class TemplateTest : public VpsdTest {};

TEST_F(TemplateTest, ImportKeepsATreeAndRefusesWhatLeavesIt) {
  const std::string work = vpsd_->root() + "/etc/import";
  ASSERT_TRUE(make_dirs(work + "/tree/sbin"));
  ASSERT_TRUE(write_file_atomic(work + "/tree/sbin/init", "#!/bin/sh\nexec sleep 1000\n", 0755));
  auto packed = run({"tar", "-C", work + "/tree", "-cf", work + "/good.tar", "."});
  ASSERT_TRUE(packed && packed->code == 0) << packed->describe();
  ctl({"template", "import", "good", work + "/good.tar"});
  EXPECT_THAT(json({"template", "show", "good"}).string("/digest"), testing::StartsWith("sha256:"));
  ctl({"template", "import", "good", work + "/good.tar"}, 4);

  // A member whose name climbs out of the tree.
  ASSERT_TRUE(write_file_atomic(work + "/evil", "x"));
  auto evil = run({"tar", "-C", work, "-cf", work + "/evil.tar", "--transform=s,^evil,../../../evil,", "-P", "evil"});
  ASSERT_TRUE(evil && evil->code == 0);
  auto refused = vpsd_->ctl({"template", "import", "evil", work + "/evil.tar"});
  EXPECT_NE(refused.code, 0);
  EXPECT_THAT(refused.err, HasSubstr("../../../evil"));
  ASSERT_TRUE(write_file_atomic(work + "/noise.tar", std::string(4096, 'z')));
  EXPECT_NE(vpsd_->ctl({"template", "import", "noise", work + "/noise.tar"}).code, 0);
  EXPECT_NE(vpsd_->ctl({"template", "import", "missing", work + "/nowhere.tar"}).code, 0);
  auto names = list_dir(vpsd_->state() + "/templates");
  ASSERT_TRUE(names);
  for (const auto& name : *names) EXPECT_THAT(name, testing::AnyOf("busybox", "good", testing::StartsWith(".lock"), testing::EndsWith(".lock"))) << "left by a refused import";
  ctl({"template", "remove", "good"});
  ASSERT_TRUE(remove_tree(work));
}

TEST_F(TemplateTest, TheTemplateIsNeverWrittenThrough) {
  auto digest = json({"template", "show", "busybox"}).string("/digest");
  make_vps("101");
  ctl({"exec", "101", "--", "sh", "-c", "echo changed > /etc/passwd; rm /etc/hosts; chmod 0777 /etc; ln -s x /etc/new"});
  const std::string root = vpsd_->state() + "/templates/busybox/rootfs";
  auto passwd = read_file(root + "/etc/passwd");
  ASSERT_TRUE(passwd);
  EXPECT_THAT(*passwd, HasSubstr("root:x:0:0"));
  EXPECT_TRUE(path_exists(root + "/etc/hosts"));
  EXPECT_FALSE(path_exists(root + "/etc/new"));
  make_vps("102");
  EXPECT_THAT(ctl({"exec", "102", "--", "cat", "/etc/passwd"}).out, HasSubstr("root:x:0:0"));
}

}  // namespace
}  // namespace vps::test
