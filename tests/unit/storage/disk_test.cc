#include "storage/disk.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>

#include "fixture.h"
#include "tests/support/forked.h"

namespace vps::storage {
namespace {

class DiskTest : public ::testing::Test {
 protected:
  test::TempDir temp_;
  std::string disk_ = temp_ / "disk";
};

TEST_F(DiskTest, OverlayHasItsTwoDirectories) {
  ASSERT_TRUE(make_dirs(temp_ / "rootfs"));
  ASSERT_EQ(::chmod((temp_ / "rootfs").c_str(), 0711), 0);
  mode_t before = ::umask(0077);
  auto result = create_disk(disk_, {}, temp_ / "rootfs");
  ::umask(before);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(list_dir(disk_).value(), (std::vector<std::string>{"upper", "work"}));
  struct stat st{};
  ASSERT_EQ(::stat((disk_ + "/upper").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0711u);
  expect_error(create_disk(disk_, {}), Code::kExists, {disk_});
  auto plan = rootfs_plan(disk_, "/t/rootfs", {});
  EXPECT_EQ(plan.lower, std::vector<std::string>{"/t/rootfs"});
  EXPECT_EQ(plan.upper, disk_ + "/upper");
  EXPECT_EQ(plan.work, disk_ + "/work");
  EXPECT_TRUE(plan.idmapped);
  EXPECT_TRUE(remove_disk(disk_));
  EXPECT_FALSE(path_exists(disk_));
  EXPECT_TRUE(remove_disk(disk_));
}

TEST_F(DiskTest, DirIsACopyOfTheTemplate) {
  ASSERT_TRUE(make_dirs(temp_ / "rootfs/etc"));
  ASSERT_TRUE(write_file_atomic(temp_ / "rootfs/etc/x", "x"));
  const Disk dir{.size = {}, .inodes = {}, .layout = DiskLayout::kDir};
  auto result = create_disk(disk_, dir, temp_ / "rootfs");
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(read_file(disk_ + "/root/etc/x").value(), "x");
  auto plan = rootfs_plan(disk_, temp_ / "rootfs", dir);
  EXPECT_EQ(plan.lower, std::vector<std::string>{disk_ + "/root"});
  EXPECT_EQ(plan.upper, "");
  EXPECT_EQ(disk_usage(disk_).value().entries, 2u);
  ASSERT_TRUE(remove_disk(disk_));
  expect_error(create_disk(disk_, dir, temp_ / "no-template"), Code::kNotFound, {"no-template"});
  EXPECT_FALSE(path_exists(disk_));
}

TEST_F(DiskTest, OtherLayoutsAreNamed) {
  for (auto [layout, name] : {std::pair{DiskLayout::kImage, "image"}, {DiskLayout::kBtrfs, "btrfs"}})
    expect_error(create_disk(disk_, {.size = {}, .inodes = {}, .layout = layout}), Code::kUnavailable, {name, "not available yet"});
  EXPECT_FALSE(path_exists(disk_));
}

TEST_F(DiskTest, SaysThatSizesAreNotEnforced) {
  EXPECT_EQ(explain_disk({}), "");
  auto text = explain_disk({.size = Bytes{10ull << 30}, .inodes = 1000, .layout = DiskLayout::kAuto});
  EXPECT_THAT(text, ::testing::HasSubstr("size 10G, inodes 1000 is not enforced: layout overlay"));
}

TEST_F(DiskTest, UsageCountsLinksOnceAndHolesNever) {
  ASSERT_TRUE(create_disk(disk_, {}));
  const std::string upper = disk_ + "/upper/";
  EXPECT_EQ(disk_usage(disk_).value().entries, 0u);
  ASSERT_TRUE(write_file_atomic(upper + "file", std::string(1 << 20, 'x')));
  ASSERT_EQ(::link((upper + "file").c_str(), (upper + "link").c_str()), 0);
  ASSERT_EQ(::symlink("/etc", (upper + "symlink").c_str()), 0);
  ASSERT_TRUE(write_file_atomic(upper + "sparse", ""));
  ASSERT_EQ(::truncate((upper + "sparse").c_str(), 1ll << 40), 0);
  auto usage = disk_usage(disk_).value();
  EXPECT_EQ(usage.entries, 3u);
  EXPECT_GE(usage.bytes, 1u << 20);
  EXPECT_LT(usage.bytes, 2u << 20);
  expect_error(disk_usage(temp_ / "none"), Code::kNotFound, {"holds no disk"});
}

// A tenant may nest directories far deeper than a path can name, and more than there are descriptors.
TEST_F(DiskTest, UsageAndRemovalOfAVeryDeepTree) {
  ASSERT_TRUE(create_disk(disk_, {}));
  constexpr int kDepth = 400;
  auto fd = open_dir(disk_ + "/upper");
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(::mkdirat(fd->get(), "deeper-and-deeper", 0755), 0);
    fd = open_at(fd->get(), "deeper-and-deeper", O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(fd) << i;
  }
  fd->reset();
  int code = test::in_child([this] {
    const rlimit few{.rlim_cur = 64, .rlim_max = 64};
    if (::setrlimit(RLIMIT_NOFILE, &few) != 0) return 2;
    auto usage = disk_usage(disk_);
    if (test::failed(usage) || usage->entries != static_cast<std::uint64_t>(kDepth)) return 3;
    return test::failed(remove_disk(disk_)) ? 4 : 0;
  });
  EXPECT_EQ(code, 0);
  EXPECT_FALSE(path_exists(disk_));
}

TEST_F(DiskTest, NoRoomLeavesNothing) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounts a small tmpfs: needs root";
  ASSERT_TRUE(make_dirs(temp_ / "rootfs"));
  ASSERT_TRUE(write_file_atomic(temp_ / "rootfs/big", std::string(4 << 20, 'x')));
  int code = test::in_child([this] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 2;
    ::mkdir((temp_ / "small").c_str(), 0700);
    if (::mount("tmpfs", (temp_ / "small").c_str(), "tmpfs", 0, "size=1m") != 0) return 3;
    auto result = create_disk(temp_ / "small/disk", {.size = {}, .inodes = {}, .layout = DiskLayout::kDir}, temp_ / "rootfs");
    if (result) return 4;
    if (result.error().code() != Code::kUnavailable) return 5;
    return list_dir(temp_ / "small").value().empty() ? 0 : 6;
  });
  EXPECT_EQ(code, 0);
}

TEST_F(DiskTest, BackingDeviceIsTheWholeDisk) {
  struct stat st{};
  ASSERT_EQ(::stat(temp_.path().c_str(), &st), 0);
  auto number = fmt::format("{}:{}", major(st.st_dev), minor(st.st_dev));
  // A sysfs of our own: the file system's device is partition 1 of 77:0.
  const std::string sys = temp_ / "sys";
  ASSERT_TRUE(make_dirs(sys + "/devices/disk/part"));
  ASSERT_TRUE(make_dirs(sys + "/dev/block"));
  ASSERT_TRUE(write_file_atomic(sys + "/devices/disk/dev", "77:0\n"));
  ASSERT_TRUE(write_file_atomic(sys + "/devices/disk/part/partition", "1\n"));
  ASSERT_EQ(::symlink("../../devices/disk/part", (sys + "/dev/block/" + number).c_str()), 0);
  auto device = backing_device(temp_.path(), sys);
  ASSERT_TRUE(device) << device.error().to_string();
  EXPECT_TRUE(device->known);
  EXPECT_EQ(device->major, 77);
  EXPECT_EQ(device->minor, 0);
  ASSERT_TRUE(remove_file(sys + "/devices/disk/part/partition"));
  device = backing_device(temp_.path(), sys);
  EXPECT_EQ(device->major, static_cast<std::int64_t>(major(st.st_dev)));
  EXPECT_FALSE(backing_device("/proc").value().known);
  expect_error(backing_device(temp_ / "none"), Code::kNotFound, {"none"});
}

}  // namespace
}  // namespace vps::storage
