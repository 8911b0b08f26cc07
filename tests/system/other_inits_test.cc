// Debian with sysvinit and with OpenRC as pid 1: they boot, are asked to stop in their own way, and reboot from inside.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/vpsd_fixture.h"

namespace vps::test {
namespace {

using testing::HasSubstr;

struct OtherInit {
  const char* name;         // of the template and of the kind of init
  const char* booted;       // the last thing that its console says of the boot
  Argv reboot, poweroff;    // what its administrators type
};
std::ostream& operator<<(std::ostream& out, const OtherInit& init) { return out << init.name; }

class OtherInitTest : public VpsdTest, public testing::WithParamInterface<OtherInit> {
 protected:
  OtherInitTest() : VpsdTest({GetParam().name}) {}

  void expect_booted(std::size_t times) {
    std::string log;
    EXPECT_TRUE(eventually([&] {
      log = vpsd_->ctl({"logs", "101"}).out;
      std::size_t found = 0;
      for (auto at = log.find(GetParam().booted); at != std::string::npos; at = log.find(GetParam().booted, at + 1)) ++found;
      return found >= times;
    }, std::chrono::seconds(90))) << log;
  }
  void exec(const Argv& command) {
    Argv arguments{"exec", "101", "--"};
    arguments.insert(arguments.end(), command.begin(), command.end());
    // The command itself is one of those that the shutdown ends.
    auto result = vpsd_->ctl(arguments);
    EXPECT_THAT(result.code, testing::AnyOf(0, 1, 125, 128 + 15, 128 + 9)) << result.describe();
  }
};

TEST_P(OtherInitTest, BootsRebootsAndStopsInItsOwnWay) {
  const auto& init = GetParam();
  ctl({"create", "101", "--template", init.name, "--ip", "none", "--set", "stopTimeout=120s"});
  ctl({"start", "101"});
  expect_booted(1);
  auto first = json({"show", "101"});
  EXPECT_THAT(first.dump(), HasSubstr(init.name));

  exec(init.reboot);
  EXPECT_TRUE(eventually([&] {
    auto now = json({"show", "101"});
    return now.string("/status/state") == "running" && now.number("/status/pid") != first.number("/status/pid");
  }, std::chrono::seconds(90)));
  expect_booted(2);

  ctl({"stop", "101"}, 0, {.timeout = std::chrono::seconds(150)});
  EXPECT_EQ(json({"show", "101"}).string("/status/exit/reason"), "poweroff") << "not killed";

  ctl({"start", "101"});
  expect_booted(3);
  exec(init.poweroff);
  EXPECT_TRUE(eventually([&] { return state_of("101") == "stopped"; }, std::chrono::seconds(90)));
}

INSTANTIATE_TEST_SUITE_P(Debian, OtherInitTest,
                         testing::Values(OtherInit{"sysvinit", "Entering runlevel: 2", {"/sbin/init", "6"}, {"/sbin/shutdown", "-h", "now"}},
                                         OtherInit{"openrc", "Starting default runlevel", {"/sbin/openrc-shutdown", "--reboot", "now"},
                                                   {"/sbin/openrc-shutdown", "--poweroff", "now"}}),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace vps::test
