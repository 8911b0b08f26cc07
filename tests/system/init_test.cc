// What runs as pid 1, how it ends, and what vpsd makes of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/files.h"
#include "tests/support/vpsd_fixture.h"

namespace vps::test {
namespace {

using testing::HasSubstr;

class InitTest : public VpsdTest {
 protected:
  static std::string init(const std::string& script) { return R"(init=["/bin/sh", "-c", ")" + script + "\"]"; }
  void wait_state(const std::string& id, const std::string& state) {
    EXPECT_TRUE(eventually([&] { return state_of(id) == state; }, std::chrono::seconds(30))) << id << " is " << state_of(id);
  }
};

TEST_F(InitTest, AProgramAsPidOneKeepsItsExitCode) {
  make_vps("101", false, {"--set", init("read line < /etc/hostname; sleep 0.3; exit 42"), "--set", "restart=never"});
  ctl({"start", "101"});
  auto event = wait_event("vps.exited", "101");
  EXPECT_THAT(event.dump(), HasSubstr("42"));
  wait_state("101", "stopped");
  EXPECT_EQ(json({"show", "101"}).number("/status/exit/code"), 42);
  EXPECT_EQ(json({"show", "101"}).string("/status/exit/reason"), "exited");
}

TEST_F(InitTest, AProgramThatIsNotThereIsRefusedByName) {
  auto result = vpsd_->ctl({"create", "101", "--template", "busybox", "--ip", "none", "--set", R"(init=["/no/such/init"])"});
  EXPECT_EQ(result.code, 9);
  EXPECT_THAT(result.err, HasSubstr("/no/such/init"));
  EXPECT_EQ(vpsd_->ctl({"show", "101"}).code, 3);
}

TEST_F(InitTest, PoweroffInsideStops) {
  make_vps("101");
  ctl({"exec", "101", "--", "poweroff"});
  wait_state("101", "stopped");
  EXPECT_EQ(json({"show", "101"}).string("/status/exit/reason"), "poweroff");
  ctl({"start", "--wait", "101"});
}

TEST_F(InitTest, RebootInsideRestartsWithAFullSetUp) {
  make_vps("101", true, {"--ram", "64M"});
  auto before = json({"show", "101"});
  ctl({"exec", "101", "--", "touch", "/run/of-the-first-boot"});
  ctl({"exec", "101", "--", "reboot"});
  EXPECT_TRUE(eventually([&] {
    auto now = json({"show", "101"});
    return now.string("/status/state") == "running" && now.number("/status/pid") != before.number("/status/pid");
  }, std::chrono::seconds(30)));
  ctl({"exec", "101", "--", "test", "-e", "/run/of-the-first-boot"}, 1);
  (void)wait_event("vps.restarting", "101");
  auto limits = json({"show", "101"}).dump();
  EXPECT_THAT(limits, HasSubstr("\"enforced\""));
  EXPECT_EQ(json({"show", "101"}).number("/status/idmap/base"), before.number("/status/idmap/base"));
}

TEST_F(InitTest, BusyboxIsAskedInItsOwnWay) {
  make_vps("101");
  ctl({"stop", "--timeout", "60s", "101"});
  EXPECT_EQ(json({"show", "101"}).string("/status/exit/reason"), "poweroff") << "not killed";
}

TEST_F(InitTest, AnInitThatDoesNotListenIsKilledAfterStopTimeout) {
  make_vps("101", true, {"--set", init("trap : TERM INT HUP PWR USR1 USR2 QUIT; sleep 1000 & sleep 1000 & while :; do sleep 1; done"), "--set", "stopTimeout=1s"});
  ctl({"stop", "101"});
  EXPECT_EQ(state_of("101"), "stopped");
  EXPECT_EQ(json({"show", "101"}).string("/status/exit/reason"), "killed");
}

TEST_F(InitTest, ForceDoesNotWait) {
  make_vps("101", true, {"--set", init("trap : TERM INT HUP PWR USR1 USR2 QUIT; while :; do sleep 1; done"), "--set", "stopTimeout=1h"});
  ctl({"stop", "--force", "101"});
  EXPECT_EQ(state_of("101"), "stopped");
}

TEST_F(InitTest, RestartPolicyOnFailureBacksOff) {
  make_vps("101", false, {"--set", init("exit 1"), "--set", "restart=on-failure"});
  (void)vpsd_->ctl({"start", "101"});
  // Two restarts are seen, each said by an event.
  EXPECT_TRUE(eventually([&] {
    auto events = Json::parse_lines(vpsd_->ctl({"-o", "json", "events", "--since", "0", "--type", "vps.restarting"}).out);
    return events && events->size() >= 2;
  }, std::chrono::seconds(60)));
  auto stopped = vpsd_->ctl({"stop", "101"});
  EXPECT_THAT(stopped.code, testing::AnyOf(0, 5)) << stopped.describe();
}

TEST_F(InitTest, RestartPolicyNeverStaysDown) {
  make_vps("101", false, {"--set", init("exit 1"), "--set", "restart=never"});
  (void)vpsd_->ctl({"start", "101"});
  (void)wait_event("vps.exited", "101");
  auto events = ctl({"-o", "json", "events", "--since", "0"}).out;
  EXPECT_THAT(events, testing::Not(HasSubstr("vps.restarting")));
}

TEST_F(InitTest, ATemplateWithoutAnInitIsRefusedByName) {
  const std::string tree = vpsd_->root() + "/etc/tree";
  ASSERT_TRUE(make_dirs(tree + "/etc"));
  ASSERT_TRUE(write_file_atomic(tree + "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"));
  auto imported = vpsd_->ctl({"template", "import", "empty", tree});
  CommandResult refused = imported;
  if (imported.code == 0) refused = vpsd_->ctl({"create", "101", "--template", "empty", "--ip", "none"});
  if (refused.code == 0) refused = vpsd_->ctl({"start", "101"});
  EXPECT_NE(refused.code, 0);
  EXPECT_THAT(refused.err, HasSubstr("/sbin/init"));
  if (vpsd_->ctl({"show", "101"}).code == 0) ctl({"destroy", "--force", "101"});
  ASSERT_TRUE(remove_tree(tree));
}

TEST_F(InitTest, OrphansAreReapedAndNothingOutlivesTheVps) {
  make_vps("101");
  ctl({"exec", "101", "--", "sh", "-c", "for i in 1 2 3 4 5; do (setsid sleep 1000 &) ; done"});
  ctl({"stop", "101"});
  EXPECT_EQ(state_of("101"), "stopped");
}

}  // namespace
}  // namespace vps::test
