// exec, enter and console: streams, exit codes, users, terminals, signals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/support/pty.h"
#include "tests/support/vpsd_fixture.h"

namespace vps::test {
namespace {

using testing::HasSubstr;

class ExecTest : public VpsdTest {
 protected:
  void SetUp() override {
    VpsdTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    make_vps("101");
  }
  Pty terminal(const Argv& arguments, PtySize size = {}) {
    auto pty = Pty::start(vpsd_->ctl_argv(arguments), size);
    EXPECT_TRUE(pty) << pty.error().to_string();
    return std::move(*pty);
  }
  void see(Pty& pty, std::string_view text) {
    auto seen = pty.read_until(text, std::chrono::seconds(20));
    EXPECT_TRUE(seen) << seen.error().to_string();
  }
};

TEST_F(ExecTest, StreamsAreSeparateAndTheExitCodeIsTheCommands) {
  auto result = ctl({"exec", "101", "--", "sh", "-c", "echo out; echo err >&2; exit 42"}, 42);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
}

TEST_F(ExecTest, ExitCodesOfFailures) {
  EXPECT_THAT(ctl({"exec", "101", "--", "no-such-program"}, 127).err, HasSubstr("no-such-program"));
  EXPECT_THAT(ctl({"exec", "101", "--", "/etc/passwd"}, 126).err, HasSubstr("/etc/passwd"));
  ctl({"exec", "101", "--", "sh", "-c", "kill -TERM $$"}, 128 + SIGTERM);
  ctl({"exec", "999", "--", "true"}, 125);
  ctl({"exec", "-u", "nosuchuser", "101", "--", "true"}, 125);
}

TEST_F(ExecTest, InputUserDirectoryAndEnvironment) {
  EXPECT_EQ(ctl({"exec", "-i", "101", "--", "cat"}, 0, {.input = "through\n"}).out, "through\n");
  EXPECT_EQ(ctl({"exec", "101", "--", "cat"}, 0, {.input = "not asked for\n"}).out, "");
  EXPECT_EQ(ctl({"exec", "-u", "nobody", "101", "--", "id", "-u"}).out, "65534\n");
  EXPECT_EQ(ctl({"exec", "-u", "1234:5678", "101", "--", "sh", "-c", "id -u; id -g"}).out, "1234\n5678\n");
  EXPECT_EQ(ctl({"exec", "-w", "/etc", "101", "--", "pwd"}).out, "/etc\n");
  EXPECT_EQ(ctl({"exec", "-e", "GREETING=hello world", "101", "--", "sh", "-c", "echo $GREETING"}).out, "hello world\n");
  EXPECT_EQ(ctl({"exec", "101", "--", "sh", "-c", "echo $HOME"}, 0, {.env = {{"SECRET_OF_HOST", "x"}}}).out, "/root\n");
  // In the environment, not only known to the shell: dpkg refuses to work without.
  EXPECT_THAT(ctl({"exec", "101", "--", "env"}).out, HasSubstr("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"));
  EXPECT_THAT(ctl({"exec", "-e", "PATH=/usr/bin", "101", "--", "env"}).out, testing::AllOf(HasSubstr("PATH=/usr/bin\n"), testing::Not(HasSubstr("/usr/local"))));
  EXPECT_THAT(ctl({"exec", "101", "--", "env"}, 0, {.env = {{"SECRET_OF_HOST", "x"}}}).out, testing::Not(HasSubstr("SECRET_OF_HOST")));
}

TEST_F(ExecTest, LargeOutputArrivesWhole) {
  auto result = ctl({"exec", "101", "--", "sh", "-c", "dd if=/dev/zero bs=65536 count=128 2>/dev/null"});
  EXPECT_EQ(result.out.size(), 128u * 65536u);
}

TEST_F(ExecTest, SignalsReachTheCommand) {
  auto process = vpsd_->ctl_start({"exec", "101", "--", "sh", "-c", "trap 'echo got it; exit 3' TERM; echo ready; while :; do usleep 20000; done"});
  ASSERT_TRUE(process);
  ASSERT_TRUE(process->read_until("ready"));
  ASSERT_TRUE(process->signal(SIGTERM));
  auto result = process->finish(std::chrono::seconds(20));
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->code, 3) << result->describe();
  EXPECT_EQ(result->out, "ready\ngot it\n");
}

TEST_F(ExecTest, DetachedCommandsGoOn) {
  ctl({"exec", "--detach", "101", "--", "sh", "-c", "usleep 100000; echo done > /root/result"});
  EXPECT_TRUE(eventually([&] { return vpsd_->ctl({"exec", "101", "--", "cat", "/root/result"}).out == "done\n"; }));
}

TEST_F(ExecTest, CommandsRunInTheVpsAndUnderItsLimits) {
  auto ns = [&](const std::string& name) { return ctl({"exec", "101", "--", "sh", "-c", "readlink /proc/self/ns/" + name + "; readlink /proc/1/ns/" + name}).out; };
  for (const char* name : {"pid", "mnt", "uts", "ipc", "net", "user", "cgroup"}) {
    auto both = ns(name);
    auto half = both.size() / 2;
    EXPECT_EQ(both.substr(0, half), both.substr(half)) << name;
  }
  auto child = vpsd_->ctl_start({"exec", "-i", "101", "--", "sh", "-c", "echo ready; read x"});
  ASSERT_TRUE(child);
  ASSERT_TRUE(child->read_until("ready"));
  EXPECT_GE(json({"stats", "101"}).dump().size(), 2u);
  child->close_input();
  ASSERT_TRUE(child->finish());
}

TEST_F(ExecTest, EnterIsAShellWithJobControl) {
  auto pty = terminal({"enter", "101"}, {.rows = 40, .columns = 100});
  ASSERT_TRUE(pty.write("stty size; tty; id -u\n"));
  see(pty, "40 100");
  see(pty, "/dev/");
  ASSERT_TRUE(pty.resize({.rows = 55, .columns = 120}));
  EXPECT_TRUE(pty.raw()) << "keys go to the VPS untouched";
  ASSERT_TRUE(pty.write("sh -c 'echo job-$((40 + 2)); exec sleep 1000'\n"));
  see(pty, "job-42");
  ASSERT_TRUE(pty.write("\x03"));  // the shell survives, its job does not
  ASSERT_TRUE(pty.write("echo after-interrupt $?\n"));
  see(pty, "after-interrupt 130");
  ASSERT_TRUE(pty.write("stty size\n"));
  see(pty, "55 120");
  ASSERT_TRUE(pty.write("exit 5\n"));
  auto status = pty.finish(std::chrono::seconds(20));
  ASSERT_TRUE(status) << status.error().to_string();
  EXPECT_EQ(status->code, 5);
  EXPECT_FALSE(pty.raw()) << "the terminal is as it was";
}

TEST_F(ExecTest, ExecWithATerminal) {
  auto pty = terminal({"exec", "-t", "101", "--", "sh", "-c", "test -t 0 && test -t 1 && tty && exit 9"});
  see(pty, "/dev/pts/");
  auto status = pty.finish(std::chrono::seconds(20));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 9);
}

TEST_F(ExecTest, TheConsoleIsPidOnesTerminal) {
  auto pty = terminal({"console", "101"});
  ASSERT_TRUE(pty.write("\n"));
  see(pty, "# ");
  ASSERT_TRUE(pty.write("tty; echo on-$((40 + 2))\n"));
  see(pty, "/dev/console");
  see(pty, "on-42");
  ASSERT_TRUE(pty.write("\r~."));
  auto status = pty.finish(std::chrono::seconds(20));
  ASSERT_TRUE(status) << status.error().to_string();
  EXPECT_EQ(status->code, 0);
  EXPECT_EQ(state_of("101"), "running");
  EXPECT_THAT(ctl({"logs", "101"}).out, HasSubstr("on-42"));
}

}  // namespace
}  // namespace vps::test
