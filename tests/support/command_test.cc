#include "tests/support/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

namespace vps::test {
namespace {

using testing::HasSubstr;

CommandResult must_run(const Argv& argv, const CommandOptions& options = {}) {
  auto result = run(argv, options);
  EXPECT_TRUE(result) << result.error().to_string();
  return result.value_or(CommandResult{});
}

TEST(CommandTest, SeparatesOutputsAndKeepsTheExitCode) {
  auto result = must_run({"sh", "-c", "echo out; echo err >&2; exit 7"});
  EXPECT_EQ(result.code, 7);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_FALSE(result.timed_out);
  EXPECT_THAT(result.describe(), HasSubstr("exit 7"));
}

TEST(CommandTest, ASignalIs128PlusItsNumber) { EXPECT_EQ(must_run({"sh", "-c", "kill -9 $$"}).code, 128 + SIGKILL); }

TEST(CommandTest, PassesInputEnvironmentAndDirectory) {
  auto result = must_run({"sh", "-c", "cat; echo $GREETING; pwd"}, {.input = "text\n", .env = {{"GREETING", "hello"}}, .cwd = "/proc"});
  EXPECT_EQ(result.out, "text\nhello\n/proc\n");
}

TEST(CommandTest, KillsWhatTakesTooLongAndKeepsWhatItSaid) {
  auto result = must_run({"sh", "-c", "echo before; exec sleep 1000"}, {.timeout = std::chrono::milliseconds(300)});
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.out, "before\n");
}

TEST(CommandTest, LargeOutputOnBothSidesDoesNotBlock) {
  auto result = must_run({"sh", "-c", "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2"});
  EXPECT_EQ(result.out.size(), 1'000'000u);
  EXPECT_EQ(result.err.size(), 1'000'000u);
}

TEST(CommandTest, ABackgroundGrandchildDoesNotHoldItUp) {
  auto result = must_run({"sh", "-c", "sleep 5 & echo done"}, {.timeout = std::chrono::milliseconds(4000)});
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.out, "done\n");
}

TEST(CommandTest, AProgramThatIsNotThereIsAnError) {
  auto result = run({"/no/such/program"});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kNotFound);
}

TEST(CommandTest, ManyThreadsRunAtOnce) {
  std::vector<int> codes(8, -1);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < codes.size(); ++i)
    threads.emplace_back([&codes, i] { codes[i] = must_run({"sh", "-c", "cat >/dev/null; exit " + std::to_string(i)}, {.input = "x"}).code; });
  for (auto& thread : threads) thread.join();
  for (std::size_t i = 0; i < codes.size(); ++i) EXPECT_EQ(codes[i], static_cast<int>(i));
}

TEST(ProcessTest, TalksBothWays) {
  auto process = Process::start({"sh", "-c", "while read line; do echo \"got $line\"; done; echo end"});
  ASSERT_TRUE(process);
  ASSERT_TRUE(process->write("one\n"));
  ASSERT_TRUE(process->read_until("got one"));
  ASSERT_TRUE(process->write("two\n"));
  ASSERT_TRUE(process->read_until("got two"));
  process->close_input();
  auto result = process->finish();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out, "got one\ngot two\nend\n");
}

TEST(ProcessTest, SaysWhenTextDoesNotCome) {
  auto process = Process::start({"sh", "-c", "echo other; exec sleep 1000"});
  ASSERT_TRUE(process);
  auto read = process->read_until("wanted", std::chrono::milliseconds(300));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), Code::kTimedOut);
  EXPECT_THAT(read.error().message(), HasSubstr("other"));
  auto ended = Process::start({"true"});
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->read_until("wanted").error().code(), Code::kFailed);
}

TEST(EventuallyTest, WaitsForTheConditionAndGivesUp) {
  int calls = 0;
  EXPECT_TRUE(eventually([&] { return ++calls == 3; }));
  EXPECT_FALSE(eventually([] { return false; }, std::chrono::milliseconds(30)));
}

}  // namespace
}  // namespace vps::test
