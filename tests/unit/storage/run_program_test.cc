#include "storage/run_program.h"

#include <signal.h>

#include <chrono>

#include "fixture.h"
#include "storage/recipes.h"

namespace vps::storage {
namespace {

constexpr char kPath[] = "/usr/sbin:/usr/bin:/sbin:/bin";

ProgramRun shell(const std::string& script) {
  ProgramRun run;
  run.argv = {"/bin/sh", "-c", script};
  run.environment = {std::string("PATH=") + kPath};
  run.search_path = kPath;
  return run;
}

TEST(RunProgram, HearsBothStreamsLineByLine) {
  std::vector<std::string> lines;
  auto result = run_program(shell("echo one; echo two >&2; printf 'three\\rfour'; cat"), [&](std::string_view line, int) {
    if (!line.empty()) lines.emplace_back(line);
    return true;
  });
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_THAT(lines, ::testing::ElementsAre("one", "two", "three", "four"));
}

TEST(RunProgram, FailuresCarryTheEndOfTheOutput) {
  expect_error(run_program(shell("for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i; done; echo the reason >&2; exit 7"), {}), Code::kFailed,
               {"/bin/sh", "exit code 7", "line 4;", "the reason"});
  expect_error(run_program(shell("kill -9 $$"), {}), Code::kFailed, {"signal 9"});
  ProgramRun missing;
  missing.argv = {"/no/such/program"};
  expect_error(run_program(missing, {}), Code::kNotFound, {"/no/such/program"});
}

TEST(RunProgram, GivesOutputWithinALimit) {
  EXPECT_EQ(program_output(shell("echo out; echo err >&2"), 100).value(), "out\n");
  expect_error(program_output(shell("yes"), 1000), Code::kUsage, {"larger than"});
  expect_error(program_output(shell("exit 3"), 100), Code::kFailed, {"exit code 3"});
}

TEST(RunProgram, DoesNotWaitForADaemonThatKeepsThePipe) {
  auto run = shell("sleep 1000 & echo $! ; exit 0");
  std::string pid;
  auto result = run_program(run, [&](std::string_view line, int) {
    if (!line.empty()) pid = line;
    return true;
  });
  ASSERT_TRUE(result) << result.error().to_string();
  ASSERT_FALSE(pid.empty());
  EXPECT_EQ(::kill(std::stoi(pid), SIGKILL), 0);
}

// A cancel, or the end of the program, leaves no process of it: not even one that left its session and its group.
TEST(RunProgram, CancelKillsEverythingThatItStarted) {
  if (::geteuid() != 0) GTEST_SKIP() << "namespaces of its own need root";
  test::TempDir temp;
  const std::string beat = temp / "beat";
  auto run = shell("setsid sh -c 'while :; do echo >> " + beat + "; sleep 0.02; done' </dev/null >/dev/null 2>&1 & echo started; sleep 1000");
  run.isolated = true;
  expect_error(run_program(run, [&](std::string_view line, int) { return line != "started" && !path_exists(beat); }), Code::kFailed,
               {"cancelled"});
  auto size = [&] {
    struct stat st{};
    return ::stat(beat.c_str(), &st) == 0 ? st.st_size : -1;
  };
  const auto after = size();
  const timespec pause{.tv_sec = 0, .tv_nsec = 200'000'000};
  ::nanosleep(&pause, nullptr);
  EXPECT_EQ(size(), after);
}

TEST(RunProgram, IsolatedMountsStayInside) {
  if (::geteuid() != 0) GTEST_SKIP() << "namespaces of its own need root";
  test::TempDir temp;
  auto run = shell("mount -t tmpfs none " + temp.path() + " && touch " + temp.path() + "/inside && echo pid $$");
  run.isolated = true;
  std::string said;
  auto result = run_program(run, [&](std::string_view line, int) {
    if (!line.empty()) said = line;
    return true;
  });
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(said, "pid 1");
  EXPECT_FALSE(path_exists(temp / "inside"));
}

TEST(RunProgram, FindsProgramsOrNamesTheirPackage) {
  EXPECT_EQ(find_program("/nowhere:/bin", "sh", "dash").value(), "/bin/sh");
  expect_error(find_program("/nowhere", "mmdebstrap", "mmdebstrap"), Code::kUnavailable, {"install the package mmdebstrap"});
}

}  // namespace
}  // namespace vps::storage
