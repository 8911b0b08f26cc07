// An operator's session with a whole Debian: from create to destroy, as the README shows it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/support/pty.h"
#include "tests/support/vpsd_fixture.h"

namespace vps::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class OperatorSessionTest : public VpsdTest {
 protected:
  OperatorSessionTest() : VpsdTest({"busybox", "debian-12"}) {}
  void see(Pty& pty, std::string_view text) {
    auto seen = pty.read_until(text, std::chrono::seconds(30));
    EXPECT_TRUE(seen) << seen.error().to_string();
  }
};

TEST_F(OperatorSessionTest, ADayWithVps101) {
  const CommandOptions patient{.timeout = std::chrono::minutes(3)};
  EXPECT_THAT(ctl({"template", "list"}).out, AllOf(HasSubstr("debian-12"), HasSubstr("busybox")));
  ctl({"create", "101", "--template", "debian-12", "--hostname", "web.example.org", "--ip", "none", "--ram", "512M", "--swap", "0", "--cpus", "1.5", "--set", "resources.pids.limit=120"});

  // start --wait returns when systemd has said READY=1: everything is up then, and nothing has failed.
  ctl({"start", "--wait", "101"}, 0, patient);
  auto running = ctl({"exec", "101", "--", "systemctl", "is-system-running"});
  EXPECT_EQ(running.out, "running\n") << ctl({"exec", "101", "--", "systemctl", "--failed", "--no-pager"}).out;
  EXPECT_EQ(ctl({"exec", "101", "--", "cat", "/proc/1/comm"}).out, "systemd\n");
  EXPECT_THAT(ctl({"exec", "101", "--", "cat", "/etc/os-release"}).out, HasSubstr("Debian GNU/Linux 12"));
  EXPECT_EQ(ctl({"exec", "101", "--", "systemd-detect-virt"}).code, 0);
  EXPECT_EQ(ctl({"exec", "101", "--", "hostname"}).out, "web.example.org\n");
  auto show = json({"show", "101"});
  EXPECT_TRUE(show.boolean("/status/ready"));
  EXPECT_EQ(show.string("/status/init/kind"), "systemd");

  // A real terminal.
  auto pty = Pty::start(vpsd_->ctl_argv({"enter", "101"}), {.rows = 30, .columns = 110});
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->write("stty size; whoami; tty\n"));
  see(*pty, "30 110");
  see(*pty, "root");
  see(*pty, "/dev/pts/");
  ASSERT_TRUE(pty->resize({.rows = 45, .columns = 130}));
  ASSERT_TRUE(pty->write("echo re''ady; sleep 100\n"));
  see(*pty, "ready");
  // The shell reads keys itself until the command has the terminal; only then is Ctrl-Z a signal.
  EXPECT_TRUE(eventually([&] { return ctl({"exec", "101", "--", "ps", "-C", "sleep", "-o", "stat="}).out.find('+') != std::string::npos; }));
  ASSERT_TRUE(pty->write("\x1a"));  // Ctrl-Z: job control
  see(*pty, "Stopped");
  ASSERT_TRUE(pty->write("kill %1; stty size\n"));
  see(*pty, "45 130");
  ASSERT_TRUE(pty->write("exit 0\n"));
  auto left = pty->finish(std::chrono::seconds(20));
  ASSERT_TRUE(left) << left.error().to_string();

  // A memory hog meets its own limit; the rest of the VPS does not notice.
  ctl({"exec", "101", "--", "dd", "if=/dev/zero", "of=/dev/null", "bs=1G", "count=1"}, 128 + SIGKILL, patient);
  EXPECT_THAT(wait_event("vps.oom", "101").dump(), AllOf(HasSubstr("dd"), testing::ContainsRegex("512M|536870912|512 MiB")));
  // So does a fork bomb.
  auto bomb = vpsd_->ctl({"exec", "101", "--", "bash", "-c", "for i in $(seq 200); do sleep 30 & done; wait"}, patient);
  EXPECT_THAT(bomb.err, HasSubstr("fork"));
  EXPECT_THAT(wait_event("vps.pids-limit", "101").dump(), HasSubstr("120"));
  EXPECT_TRUE(eventually([&] { return vpsd_->ctl({"exec", "101", "--", "true"}).code == 0; }, std::chrono::seconds(60)));
  EXPECT_EQ(ctl({"exec", "101", "--", "systemctl", "is-active", "dbus"}).out, "active\n");

  // vpsd dies; the VPS does not.
  auto boot = ctl({"exec", "101", "--", "cat", "/proc/sys/kernel/random/boot_id", "/proc/1/stat"}).out;
  ASSERT_TRUE(vpsd_->kill());
  restart_vpsd();
  EXPECT_EQ(state_of("101"), "running");
  EXPECT_EQ(json({"show", "101"}).number("/status/pid"), show.number("/status/pid"));

  // reboot from inside: a new pid 1, the same disk.
  ctl({"exec", "101", "--", "touch", "/root/kept"});
  (void)vpsd_->ctl({"exec", "101", "--", "systemctl", "reboot"});
  EXPECT_TRUE(eventually([&] {
    auto now = json({"show", "101"});
    return now.string("/status/state") == "running" && now.number("/status/pid") != show.number("/status/pid") && now.boolean("/status/ready");
  }, std::chrono::seconds(90)));
  EXPECT_EQ(ctl({"exec", "101", "--", "systemctl", "is-system-running", "--wait"}, 0, patient).out, "running\n");
  ctl({"exec", "101", "--", "test", "-e", "/root/kept"});

  // An orderly stop: systemd is asked, and ends by itself.
  ctl({"stop", "101"}, 0, patient);
  EXPECT_EQ(json({"show", "101"}).string("/status/exit/reason"), "poweroff");
  EXPECT_THAT(ctl({"logs", "101"}).out, testing::Not(testing::IsEmpty()));
  ctl({"destroy", "101"});
  ctl({"show", "101"}, 3);
}

}  // namespace
}  // namespace vps::test
