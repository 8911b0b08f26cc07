#include "tests/support/template_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/support/temp_dir.h"

namespace vps::test {
namespace {

struct stat info(const std::string& path) {
  struct stat result{};
  EXPECT_EQ(::lstat(path.c_str(), &result), 0) << path;
  return result;
}

TEST(LinkTreeTest, SharesFilesAndKeepsDirectories) {
  TempDir dir;
  ASSERT_TRUE(make_dirs(dir / "from/sub/deep"));
  ASSERT_TRUE(write_file_atomic(dir / "from/sub/file", "content"));
  ASSERT_EQ(::symlink("/nowhere", (dir / "from/link").c_str()), 0);
  ASSERT_EQ(::chmod((dir / "from/sub").c_str(), 01770), 0);
  ASSERT_TRUE(link_tree(dir / "from", dir / "to"));
  EXPECT_EQ(info(dir / "from/sub/file").st_ino, info(dir / "to/sub/file").st_ino);
  EXPECT_NE(info(dir / "from/sub").st_ino, info(dir / "to/sub").st_ino);
  EXPECT_EQ(info(dir / "to/sub").st_mode, info(dir / "from/sub").st_mode);
  EXPECT_EQ(info(dir / "to/sub").st_mtim.tv_nsec, info(dir / "from/sub").st_mtim.tv_nsec);
  EXPECT_TRUE(S_ISLNK(info(dir / "to/link").st_mode));
  EXPECT_TRUE(path_exists(dir / "to/sub/deep"));
}

TEST(LinkTreeTest, RefusesAnExistingTarget) {
  TempDir dir;
  ASSERT_TRUE(make_dirs(dir / "from"));
  ASSERT_TRUE(make_dirs(dir / "to"));
  auto linked = link_tree(dir / "from", dir / "to");
  ASSERT_FALSE(linked);
  EXPECT_EQ(linked.error().code(), Code::kExists);
}

TEST(TemplateCacheTest, BuildsOnceAndPlacesOften) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  TempDir dir;
  TemplateCache cache(dir / "cache");
  auto first = cache.ensure("busybox");
  ASSERT_TRUE(first) << first.error().to_string();
  auto inode = info(*first + "/template.json").st_ino;
  auto second = cache.ensure("busybox");
  ASSERT_TRUE(second);
  EXPECT_EQ(info(*second + "/template.json").st_ino, inode);
  ASSERT_TRUE(cache.place("busybox", dir / "a/templates"));
  ASSERT_TRUE(cache.place("busybox", dir / "b/templates"));
  EXPECT_EQ(info(dir / "a/templates/busybox/template.json").st_ino, inode);
  EXPECT_TRUE(path_exists(dir / "b/templates/busybox/rootfs"));
}

TEST(TemplateCacheTest, AnUnknownRecipeIsAnError) {
  TempDir dir;
  EXPECT_FALSE(TemplateCache(dir / "cache").ensure("no-such-recipe"));
}

}  // namespace
}  // namespace vps::test
