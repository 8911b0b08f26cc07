#include "daemon/password.h"

#include <crypt.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/files.h"
#include "tests/support/temp_dir.h"

namespace vps::daemon {
namespace {

TEST(Password, HashesVerify) {
  for (bool yescrypt : {true, false}) {
    auto hash = hash_password("correct horse", yescrypt);
    ASSERT_TRUE(hash) << hash.error().to_string();
    EXPECT_EQ(hash->substr(0, 3), yescrypt ? "$y$" : "$6$");
    crypt_data data{};
    EXPECT_STREQ(::crypt_r("correct horse", hash->c_str(), &data), hash->c_str());
    EXPECT_STRNE(::crypt_r("wrong", hash->c_str(), &data), hash->c_str());
  }
  for (const std::string& bad : {std::string(), std::string("two\nlines"), std::string("a\0b", 3), std::string(512, 'x')})
    EXPECT_EQ(hash_password(bad, false).error().code(), Code::kUsage);
}

TEST(Password, ReplacesOneUsersHashOnly) {
  EXPECT_EQ(with_hash("root:*:19000:0:99999:7:::\nwww:!:1::::::\n", "root", "$6$x").value_or(""), "root:$6$x:19000:0:99999:7:::\nwww:!:1::::::\n");
  EXPECT_EQ(with_hash("a:*:1\nroot", "a", "h").value_or(""), "a:h:1\nroot\n");
  EXPECT_EQ(with_hash("roots:*:1\n", "root", "h").error().code(), Code::kNotFound);
}

TEST(Password, GoesIntoTheOwnLayerOfADiskThatIsNotInUse) {
  vps::test::TempDir dir;
  RootfsPlan rootfs{.lower = {dir / "lower"}, .upper = dir / "upper", .work = dir / "work"};
  ASSERT_TRUE(make_dirs(dir / "lower/etc"));
  ASSERT_TRUE(make_dirs(dir / "upper"));
  ASSERT_TRUE(write_file_atomic(dir / "lower/etc/shadow", "root:*:1::::::\n", 0640));
  ASSERT_TRUE(set_password_stopped(rootfs, "root", "secret"));
  EXPECT_EQ(read_file(dir / "lower/etc/shadow").value_or(""), "root:*:1::::::\n");
  auto text = read_file(dir / "upper/etc/shadow").value_or("");
  EXPECT_EQ(text.substr(0, 8), "root:$6$");
  struct stat st{};
  ASSERT_EQ(::stat((dir / "upper/etc/shadow").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777u, 0640u);
  ASSERT_TRUE(set_password_stopped(rootfs, "root", "other"));
  EXPECT_NE(read_file(dir / "upper/etc/shadow").value_or(""), text);
  EXPECT_EQ(set_password_stopped(rootfs, "nobody", "x").error().code(), Code::kNotFound);
}

TEST(Password, KeysMustBePublicKeys) {
  EXPECT_EQ(format_authorized_keys({"ssh-ed25519 AAAAC3 me@here"}).value_or(""), "ssh-ed25519 AAAAC3 me@here\n");
  for (const char* bad : {"", "-----BEGIN OPENSSH PRIVATE KEY-----", "ssh-ed25519", "command=\"x\" ssh-rsa AAAA", "ssh-rsa AAAA\nssh-rsa AAAA"})
    EXPECT_EQ(format_authorized_keys({bad}).error().code(), Code::kUsage) << bad;
}

}  // namespace
}  // namespace vps::daemon
