#include "base/failpoint.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cerrno>
#include <chrono>

namespace vps {
namespace {

class Failpoint : public testing::Test {
 protected:
  void TearDown() override { EXPECT_TRUE(failpoint::configure("")); }
};

TEST_F(Failpoint, NoneByDefault) { EXPECT_TRUE(failpoint::hit("anything")); }

TEST_F(Failpoint, Errors) {
  ASSERT_TRUE(failpoint::configure("disk=error:ENOSPC;plain=error"));
  auto result = failpoint::hit("disk");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().to_string(), "failpoint disk: No space left on device");
  EXPECT_EQ(result.error().code(), Code::kUnavailable);
  EXPECT_EQ(failpoint::hit("plain").error().err(), EIO);
  EXPECT_TRUE(failpoint::hit("other"));
  EXPECT_TRUE(failpoint::hit("dis"));
  ASSERT_TRUE(failpoint::configure(""));
  EXPECT_TRUE(failpoint::hit("disk"));
}

TEST_F(Failpoint, OnOnePassOnly) {
  ASSERT_TRUE(failpoint::configure("step*2=error:EPERM"));
  EXPECT_TRUE(failpoint::hit("step"));
  EXPECT_FALSE(failpoint::hit("step"));
  EXPECT_TRUE(failpoint::hit("step"));
}

TEST_F(Failpoint, Sleeps) {
  ASSERT_TRUE(failpoint::configure("slow=sleep:30"));
  auto before = std::chrono::steady_clock::now();
  EXPECT_TRUE(failpoint::hit("slow"));
  EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(30));
}

TEST_F(Failpoint, SleepThenFail) {
  ASSERT_TRUE(failpoint::configure("both=sleep:1;both=error:EAGAIN"));
  EXPECT_EQ(failpoint::hit("both").error().err(), EAGAIN);
}

TEST_F(Failpoint, Kills) {
  EXPECT_EXIT(
      {
        (void)failpoint::configure("die=kill");
        (void)failpoint::hit("die");
      },
      testing::KilledBySignal(SIGKILL), "");
}

TEST_F(Failpoint, MalformedSpecsClearAll) {
  const std::pair<std::string, std::string> kCases[] = {
      {"name", "failpoint 'name' has no action"},
      {"name=explode", "unknown failpoint action 'explode'"},
      {"name=error:ENOTHING", "unknown errno ENOTHING"},
      {"name=sleep:long", "'long' is not a number"},
      {"name=sleep", "'' is not a number"},
      {"name*x=kill", "'x' is not a number"},
      {"=kill", "failpoint '=kill' has no name"},
  };
  for (const auto& [spec, message] : kCases) {
    auto result = failpoint::configure("good=error;" + spec);
    ASSERT_FALSE(result) << spec;
    EXPECT_EQ(result.error().to_string(), message);
    EXPECT_EQ(result.error().code(), Code::kUsage);
    EXPECT_TRUE(failpoint::hit("good")) << "a refused spec must leave nothing armed: " << spec;
  }
  EXPECT_TRUE(failpoint::configure(";;a=error;")) << "empty items are nothing";
}

}  // namespace
}  // namespace vps
