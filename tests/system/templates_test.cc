// What the recipes built on this host: the trees that every other system test starts its VPSes from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/files.h"
#include "storage/init_detect.h"
#include "storage/templates.h"
#include "tests/support/forked.h"
#include "tests/support/temp_dir.h"
#include "tests/support/template_cache.h"

namespace vps {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DebianTemplate : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    test::TemplateCache cache(test::TemplateCache::default_directory());
    auto path = cache.ensure("debian-12");
    ASSERT_TRUE(path) << path.error().to_string();
    template_ = *path;
  }
  [[nodiscard]] std::string at(const std::string& path) const { return template_ + "/rootfs" + path; }
  [[nodiscard]] std::string text(const std::string& path) const {
    auto data = read_file(at(path));
    EXPECT_TRUE(data) << path;
    return data.value_or("?");
  }
  [[nodiscard]] std::vector<std::string> names(const std::string& path) const {
    auto list = list_dir(at(path));
    EXPECT_TRUE(list) << path;
    return list.value_or(std::vector<std::string>{});
  }
  [[nodiscard]] std::string link(const std::string& path) const { return read_link_at(AT_FDCWD, at(path)).value_or("(none)"); }

  std::string template_;
};

TEST_F(DebianTemplate, IsSystemdOnBookworm) {
  auto record = read_file(template_ + "/template.json").value();
  EXPECT_THAT(record, HasSubstr("\"distribution\": \"debian 12\""));
  EXPECT_THAT(record, HasSubstr("\"init\": \"systemd\""));
  EXPECT_THAT(record, HasSubstr("\"digest\": \"sha256:"));
  for (const char* program : {"/usr/sbin/sshd", "/usr/bin/dbus-daemon", "/usr/bin/ip", "/usr/bin/ping", "/usr/bin/ps", "/lib/systemd/systemd"})
    EXPECT_TRUE(path_exists(at(program))) << program;
}

TEST_F(DebianTemplate, HoldsNothingThatTwoVpsesMustNotShare) {
  EXPECT_EQ(text("/etc/machine-id"), "");
  EXPECT_FALSE(path_exists(at("/var/lib/dbus/machine-id")) && link("/var/lib/dbus/machine-id") == "(none)");
  for (const auto& name : names("/etc/ssh")) EXPECT_THAT(name, Not(HasSubstr("ssh_host_")));
  EXPECT_FALSE(path_exists(at("/etc/hostname")));
  EXPECT_THAT(text("/etc/resolv.conf"), Not(HasSubstr("nameserver")));
  EXPECT_THAT(text("/etc/shadow"), HasSubstr("root:*:"));
  struct stat st{};
  ASSERT_EQ(::stat(at("/etc/shadow").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0640u);
  EXPECT_EQ(st.st_gid, 42u);
}

TEST_F(DebianTemplate, RunsNothingThatAVpsHasNoUseFor) {
  const std::string units = "/etc/systemd/system/";
  for (const char* timer : {"apt-daily.timer", "apt-daily-upgrade.timer", "fstrim.timer", "e2scrub_all.timer", "man-db.timer"})
    EXPECT_FALSE(path_exists(at(units + "timers.target.wants/" + timer))) << timer;
  EXPECT_FALSE(path_exists(at(units + "getty.target.wants/getty@tty1.service")));
  EXPECT_EQ(link(units + "getty.target.wants/console-getty.service"), "/lib/systemd/system/console-getty.service");
  EXPECT_EQ(link(units + "sys-kernel-debug.mount"), "/dev/null");
  EXPECT_EQ(link(units + "ssh.service.wants/ssh-host-keys.service"), units + "ssh-host-keys.service");
  EXPECT_THAT(text("/etc/systemd/journald.conf.d/vps.conf"), HasSubstr("Storage=volatile"));
  for (const char* unit : {"systemd-networkd.service", "systemd-resolved.service"})
    EXPECT_FALSE(path_exists(at(units + "multi-user.target.wants/" + unit))) << unit;
}

TEST_F(DebianTemplate, TakesPackagesFromTheHostsMirror) {
  std::string sources;
  if (path_exists(at("/etc/apt/sources.list"))) sources += text("/etc/apt/sources.list");
  for (const auto& name : names("/etc/apt/sources.list.d")) sources += text("/etc/apt/sources.list.d/" + name);
  EXPECT_THAT(sources, HasSubstr("bookworm"));
  EXPECT_THAT(sources, HasSubstr("bookworm-security"));
  EXPECT_THAT(sources, Not(HasSubstr("deb-src")));
  for (const auto& name : names("/var/lib/apt/lists")) EXPECT_TRUE(name == "lock" || name == "partial") << name;
}

// Its packages are configured: dpkg itself says so, from inside.
TEST_F(DebianTemplate, EveryPackageIsInstalled) {
  int code = test::in_child([this] {
    if (::chroot(at("").c_str()) != 0 || ::chdir("/") != 0) return 100;
    ::execl("/bin/sh", "sh", "-c", "test $(dpkg-query -W | wc -l) -gt 80 && test -z \"$(dpkg --audit)\" && ! dpkg-query -f '${Status}\\n' -W | grep -v 'install ok installed'",
            nullptr);
    return 101;
  });
  EXPECT_EQ(code, 0);
}

// A cancelled build leaves neither files nor processes.
TEST_F(DebianTemplate, ACancelledBuildLeavesNothing) {
  test::TempDir temp;
  storage::TemplateStore store(temp / "templates");
  auto result = store.build("debian-12", "d", [](std::string_view what, int) { return what.find("downloading") == std::string_view::npos; });
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().to_string(), HasSubstr("cancelled"));
  EXPECT_TRUE(list_dir(temp / "templates").value().empty());
}

}  // namespace
}  // namespace vps
