#include "storage/copy_tree.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <cstring>

#include "fixture.h"
#include "storage/tree_digest.h"
#include "tests/support/forked.h"

namespace vps::storage {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class CopyTreeTest : public StorageTest {
 protected:
  void SetUp() override {
    StorageTest::SetUp();
    ASSERT_TRUE(make_dirs(source("")));
  }
  [[nodiscard]] std::string source(const std::string& path) const { return temp_ / "source/" + path; }

  Result<> copy(const std::vector<FileId>& skip = {}) {
    auto from = open_dir(source(""));
    auto to = open_dir(root());
    notes_.clear();
    return copy_tree(from->get(), std::move(*to), [this](std::string_view what, int) {
      notes_.emplace_back(what);
      return true;
    }, skip);
  }

  void make_sample() {
    ASSERT_TRUE(make_dirs(source("etc/deep/er")));
    ASSERT_TRUE(write_file_atomic(source("etc/file"), "content"));
    ASSERT_EQ(::chown(source("etc/file").c_str(), 12, 34), 0);
    ASSERT_EQ(::chmod(source("etc/file").c_str(), 04751), 0);
    ASSERT_EQ(::link(source("etc/file").c_str(), source("etc/deep/other-name").c_str()), 0);
    ASSERT_EQ(::symlink("/etc/file", source("etc/link").c_str()), 0);
    ASSERT_EQ(::mknod(source("null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
    ASSERT_EQ(::mkfifo(source("fifo").c_str(), 0600), 0);
    ASSERT_EQ(::setxattr(source("etc").c_str(), "user.dir", "1", 1, 0), 0);
    ASSERT_EQ(::setxattr(source("etc/file").c_str(), "user.file", "2", 1, 0), 0);
    // A default ACL with user 1000, in the kernel's form: version 2, then tag, permissions, id of each entry.
    const char acl[] = "\2\0\0\0" "\1\0\7\0\xff\xff\xff\xff" "\2\0\6\0\xe8\3\0\0" "\4\0\5\0\xff\xff\xff\xff" "\20\0\7\0\xff\xff\xff\xff" "\40\0\0\0\xff\xff\xff\xff";
    ASSERT_EQ(::setxattr(source("etc/deep").c_str(), "system.posix_acl_default", acl, sizeof acl - 1, 0), 0);
    UniqueFd sparse(::open(source("sparse").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    ASSERT_EQ(::ftruncate(sparse.get(), 80 << 20), 0);
    ASSERT_EQ(::pwrite(sparse.get(), "middle", 6, (40 << 20) + 5), 6);
    const timespec times[2] = {{.tv_sec = 1'500'000'000, .tv_nsec = 5}, {.tv_sec = 1'500'000'001, .tv_nsec = 7}};
    for (const char* path : {"etc/file", "etc/link", "etc/deep", "etc", "fifo"})
      ASSERT_EQ(::utimensat(AT_FDCWD, source(path).c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
  }
};

TEST_F(CopyTreeTest, IsFaithful) {
  make_sample();
  auto result = copy();
  ASSERT_TRUE(result) << result.error().to_string();
  for (const char* path : {"etc/file", "etc/link", "etc/deep", "etc", "fifo", "null", "sparse", "etc/deep/er"}) {
    SCOPED_TRACE(path);
    struct stat want{};
    ASSERT_EQ(::lstat(source(path).c_str(), &want), 0);
    auto got = stat_of(path);
    EXPECT_EQ(got.st_mode, want.st_mode);
    EXPECT_EQ(got.st_uid, want.st_uid);
    EXPECT_EQ(got.st_gid, want.st_gid);
    EXPECT_EQ(got.st_rdev, want.st_rdev);
    EXPECT_EQ(got.st_mtim.tv_sec, want.st_mtim.tv_sec);
    EXPECT_EQ(got.st_mtim.tv_nsec, want.st_mtim.tv_nsec);
    if (!S_ISDIR(want.st_mode)) {
      EXPECT_EQ(got.st_size, want.st_size);
    }
  }
  EXPECT_EQ(content_of("etc/file"), "content");
  EXPECT_EQ(stat_of("etc/file").st_ino, stat_of("etc/deep/other-name").st_ino);
  EXPECT_EQ(xattr_of("etc", "user.dir"), "1");
  EXPECT_EQ(xattr_of("etc/file", "user.file"), "2");
  EXPECT_EQ(xattr_of("etc/deep", "system.posix_acl_default").size(), 44u);
  EXPECT_EQ(xattr_of("etc/deep/er", "system.posix_acl_access"), "(none)");
  EXPECT_LT(stat_of("sparse").st_blocks * 512, 1 << 20);
  auto from = open_dir(source("")), to = open_dir(root());
  EXPECT_EQ(digest_tree(from->get(), {}).value().digest, digest_tree(to->get(), {}).value().digest);
}

TEST_F(CopyTreeTest, LeavesSocketsAndTheStoreOut) {
  ASSERT_TRUE(make_dirs(source("var/templates")));
  ASSERT_TRUE(write_file_atomic(source("var/templates/x"), "x"));
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, source("socket").c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  struct stat store{};
  ASSERT_EQ(::stat(source("var/templates").c_str(), &store), 0);
  auto result = copy({{store.st_dev, store.st_ino}});
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(list_dir(root()).value(), std::vector<std::string>{"var"});
  EXPECT_TRUE(list_dir(at("var")).value().empty());
  EXPECT_THAT(notes_, Contains(HasSubstr("socket: a socket")));
  EXPECT_THAT(notes_, Contains(HasSubstr("var/templates: holds the templates")));
}

TEST_F(CopyTreeTest, DoesNotCrossFileSystems) {
  ASSERT_TRUE(make_dirs(source("mnt")));
  ASSERT_TRUE(write_file_atomic(source("file"), "x"));
  // The mount lives and dies with a child's own mount namespace.
  int code = test::in_child([this] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 2;
    if (::mount("tmpfs", source("mnt").c_str(), "tmpfs", 0, "mode=0700") != 0) return 3;
    if (!write_file_atomic(source("mnt/other"), "other")) return 4;
    if (test::failed(copy())) return 5;
    if (path_exists(at("mnt/other"))) return 6;
    if (!path_exists(at("mnt")) || !path_exists(at("file"))) return 7;
    for (const auto& note : notes_)
      if (note.find("mnt: another file system") != std::string::npos) return 0;
    return 8;
  });
  EXPECT_EQ(code, 0);
}

TEST_F(CopyTreeTest, RefusesAnOverlaysUpperLayer) {
  ASSERT_TRUE(make_dirs(source("dir")));
  ASSERT_EQ(::setxattr(source("dir").c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  expect_error(copy(), Code::kNotAllowed, {"dir", "trusted.overlay.opaque"});
}

TEST_F(CopyTreeTest, StopsAtTooDeepTrees) {
  std::string deep;
  for (int i = 0; i < 260; ++i) deep += "d/";
  ASSERT_TRUE(make_dirs(source(deep)));
  expect_error(copy(), Code::kUsage, {"d/d/d", "directories deep"});
}

class TreeDigestTest : public StorageTest {
 protected:
  TreeDigest digest() const {
    auto fd = open_dir(root());
    auto result = digest_tree(fd->get(), {});
    EXPECT_TRUE(result) << result.error().to_string();
    return result.value_or(TreeDigest{});
  }
};

TEST_F(TreeDigestTest, SeesEveryChangeThatCounts) {
  ASSERT_TRUE(make_dirs(at("dir")));
  ASSERT_TRUE(write_file_atomic(at("dir/file"), "content"));
  ASSERT_EQ(::symlink("target", at("link").c_str()), 0);
  const auto first = digest();
  EXPECT_TRUE(first.digest.starts_with("sha256:")) << first.digest;
  EXPECT_EQ(first.digest.size(), 7u + 64u);
  EXPECT_EQ(first.entries, 3u);
  EXPECT_EQ(first.size, 7u);
  EXPECT_EQ(digest().digest, first.digest);

  std::vector<std::string> seen = {first.digest};
  auto changed = [&](const char* what) {
    auto now = digest().digest;
    EXPECT_THAT(seen, ::testing::Not(Contains(now))) << what;
    seen.push_back(now);
  };
  ASSERT_TRUE(write_file_atomic(at("dir/file"), "Content"));
  changed("content");
  ASSERT_EQ(::chmod(at("dir/file").c_str(), 0600), 0);
  changed("mode");
  ASSERT_EQ(::chown(at("dir/file").c_str(), 5, 0), 0);
  changed("owner");
  ASSERT_EQ(::setxattr(at("dir/file").c_str(), "user.x", "1", 1, 0), 0);
  changed("xattr");
  ASSERT_EQ(::rename(at("dir/file").c_str(), at("dir/renamed").c_str()), 0);
  changed("name");
  ASSERT_EQ(::unlink(at("link").c_str()), 0);
  ASSERT_EQ(::symlink("elsewhere", at("link").c_str()), 0);
  changed("link target");
  ASSERT_EQ(::link(at("dir/renamed").c_str(), at("second").c_str()), 0);
  changed("hard link");
  ASSERT_EQ(::truncate(at("dir/renamed").c_str(), 100'000), 0);
  changed("size");
  ASSERT_EQ(::mkdir(at("empty").c_str(), 0755), 0);
  changed("directory");
}

TEST_F(TreeDigestTest, IgnoresTimesAndHoles) {
  UniqueFd fd(::open(at("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  ASSERT_EQ(::ftruncate(fd.get(), 1 << 20), 0);
  ASSERT_EQ(::pwrite(fd.get(), "x", 1, 600'001), 1);
  const auto sparse = digest();
  EXPECT_LT(stat_of("file").st_blocks * 512, 1 << 20);
  std::string data(1 << 20, '\0');
  data[600'001] = 'x';
  ASSERT_EQ(::pwrite(fd.get(), data.data(), data.size(), 0), static_cast<ssize_t>(data.size()));
  ASSERT_EQ(::utimensat(AT_FDCWD, at("file").c_str(), nullptr, 0), 0);
  ASSERT_EQ(::fsync(fd.get()), 0);
  EXPECT_GE(stat_of("file").st_blocks * 512, 1 << 20);
  EXPECT_EQ(digest().digest, sparse.digest);
}

}  // namespace
}  // namespace vps::storage
