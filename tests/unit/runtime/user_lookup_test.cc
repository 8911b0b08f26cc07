#include "runtime/user_lookup.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "base/files.h"
#include "tests/support/temp_dir.h"

namespace vps::runtime {
namespace {

constexpr std::string_view kPasswd =
    "root:x:0:0:root:/root:/bin/bash\n"
    "broken line\n"
    "daemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n"
    "toobig:x:4294967295:0::/:/bin/sh\n"
    "web:x:1000:1001:Web:/home/web:/bin/zsh\n";
constexpr std::string_view kGroup = "root:x:0:\nadm:x:4:web,other\nweb:x:1001:\nstaff:x:50:web\n";

TEST(UserLookup, ByNameNumberAndGroup) {
  auto root = resolve_user("", kPasswd, kGroup);
  ASSERT_TRUE(root);
  EXPECT_EQ(root->user.uid, 0u);
  EXPECT_EQ(root->home, "/root");
  EXPECT_EQ(root->shell, "/bin/bash");
  auto web = resolve_user("web", kPasswd, kGroup);
  ASSERT_TRUE(web);
  EXPECT_EQ(web->user.uid, 1000u);
  EXPECT_EQ(web->user.gid, 1001u);
  EXPECT_THAT(web->user.additional_gids, testing::ElementsAre(4, 50));
  auto by_number = resolve_user("1000", kPasswd, kGroup);
  EXPECT_EQ(by_number->name, "web");
  auto with_group = resolve_user("web:adm", kPasswd, kGroup);
  EXPECT_EQ(with_group->user.gid, 4u);
  EXPECT_THAT(with_group->user.additional_gids, testing::IsEmpty());
  auto unknown_number = resolve_user("4242:77", kPasswd, kGroup);
  ASSERT_TRUE(unknown_number);
  EXPECT_EQ(unknown_number->user.uid, 4242u);
  EXPECT_EQ(unknown_number->user.gid, 77u);
}

TEST(UserLookup, UnknownNamesAreErrors) {
  auto user = resolve_user("nobody-here", kPasswd, kGroup);
  ASSERT_FALSE(user);
  EXPECT_EQ(user.error().code(), Code::kNotFound);
  EXPECT_THAT(user.error().message(), testing::HasSubstr("nobody-here"));
  EXPECT_FALSE(resolve_user("web:nogroup", kPasswd, kGroup));
  EXPECT_FALSE(resolve_user("toobig", kPasswd, kGroup));
  EXPECT_FALSE(resolve_user("4294967295", kPasswd, kGroup));
}

TEST(UserLookup, TenantFilesThatAreNotFilesCountAsEmpty) {
  test::TempDir dir;
  ASSERT_TRUE(make_dirs(dir / "etc"));
  ASSERT_EQ(::mkfifo((dir / "etc/passwd").c_str(), 0600), 0);
  auto root = open_dir(dir.path());
  EXPECT_EQ(read_tenant_file(root->get(), "/etc/passwd"), "");
  ASSERT_EQ(::symlink("/../../../../etc/hostname", (dir / "etc/group").c_str()), 0);
  EXPECT_EQ(read_tenant_file(root->get(), "/etc/group"), "");  // resolved inside, where it does not exist
}

}  // namespace
}  // namespace vps::runtime
