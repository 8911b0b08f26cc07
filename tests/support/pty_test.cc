#include "tests/support/pty.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

namespace vps::test {
namespace {

using testing::HasSubstr;

TEST(PtyTest, TheProgramHasAControllingTerminal) {
  auto pty = Pty::start({"sh", "-c", "test -t 0 && test -t 1 && test -t 2 && : </dev/tty && tty && stty size; read x; echo got $x"}, {.rows = 31, .columns = 97});
  ASSERT_TRUE(pty) << pty.error().to_string();
  auto seen = pty->read_until("31 97");
  ASSERT_TRUE(seen) << seen.error().to_string();
  EXPECT_THAT(*seen, HasSubstr("/dev/pts/"));
  ASSERT_TRUE(pty->write("answer\n"));
  ASSERT_TRUE(pty->read_until("got answer"));
  auto status = pty->finish();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 0);
}

TEST(PtyTest, InterruptAndResizeReachTheProgram) {
  auto pty = Pty::start({"sh", "-c", "trap 'stty size' WINCH; trap 'echo interrupted; exit 9' INT; echo go; while :; do sleep 0.05; done"});
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->read_until("go"));
  ASSERT_TRUE(pty->resize({.rows = 50, .columns = 132}));
  ASSERT_TRUE(pty->read_until("50 132"));
  ASSERT_TRUE(pty->write("\x03"));
  ASSERT_TRUE(pty->read_until("interrupted"));
  auto status = pty->finish();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 9);
}

TEST(PtyTest, SeesRawMode) {
  auto pty = Pty::start({"sh", "-c", "stty raw -echo; echo set; read x"});
  ASSERT_TRUE(pty);
  EXPECT_FALSE(pty->raw());
  ASSERT_TRUE(pty->read_until("set"));
  EXPECT_TRUE(pty->raw());
}

TEST(PtyTest, SaysWhatCameInstead) {
  auto pty = Pty::start({"sh", "-c", "echo something; exec sleep 100"});
  ASSERT_TRUE(pty);
  auto seen = pty->read_until("else", std::chrono::milliseconds(300));
  ASSERT_FALSE(seen);
  EXPECT_EQ(seen.error().code(), Code::kTimedOut);
  EXPECT_THAT(seen.error().message(), HasSubstr("something"));
  auto status = pty->finish(std::chrono::milliseconds(100));
  EXPECT_EQ(status.error().code(), Code::kTimedOut);
}

}  // namespace
}  // namespace vps::test
