// vpsd can die at any time: VPSes, consoles and exec sessions go on, and the next vpsd knows them again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "base/files.h"
#include "tests/support/pty.h"
#include "tests/support/vpsd_fixture.h"

namespace vps::test {
namespace {

using testing::HasSubstr;

class RecoveryTest : public VpsdTest {
 protected:
  void kill_vpsd() {
    auto killed = vpsd_->kill();
    ASSERT_TRUE(killed) << killed.error().to_string();
  }
};

TEST_F(RecoveryTest, VpsExecAndConsoleSurviveAndAreAdopted) {
  make_vps("101");
  auto before = json({"show", "101"});
  auto session = vpsd_->ctl_start({"exec", "-i", "101", "--", "sh", "-c", "while read x; do echo got $x; done; exit 6"});
  ASSERT_TRUE(session);
  ASSERT_TRUE(session->write("one\n"));
  ASSERT_TRUE(session->read_until("got one"));
  auto console = Pty::start(vpsd_->ctl_argv({"console", "101"}));
  ASSERT_TRUE(console);
  ASSERT_TRUE(console->write("echo first-$((1 + 1))\n"));
  ASSERT_TRUE(console->read_until("first-2"));

  kill_vpsd();
  ASSERT_TRUE(session->write("two\n"));
  EXPECT_TRUE(session->read_until("got two"));
  ASSERT_TRUE(console->write("echo second-$((1 + 2))\n"));
  EXPECT_TRUE(console->read_until("second-3"));

  restart_vpsd();
  auto after = json({"show", "101"});
  EXPECT_EQ(after.string("/status/state"), "running");
  EXPECT_EQ(after.number("/status/pid"), before.number("/status/pid"));
  EXPECT_EQ(after.number("/status/supervisorPid"), before.number("/status/supervisorPid"));
  (void)wait_event("vps.adopted", "101");
  ASSERT_TRUE(session->write("three\n"));
  EXPECT_TRUE(session->read_until("got three"));
  session->close_input();
  auto ended = session->finish(std::chrono::seconds(20));
  ASSERT_TRUE(ended) << ended.error().to_string();
  EXPECT_EQ(ended->code, 6);
  ASSERT_TRUE(console->write("\r~."));
  ASSERT_TRUE(console->finish(std::chrono::seconds(20)));
  EXPECT_EQ(ctl({"exec", "101", "--", "echo", "new session"}).out, "new session\n");
  ctl({"stop", "101"});
}

TEST_F(RecoveryTest, AnOrderlyStopLeavesVpsesRunning) {
  make_vps("101");
  auto pid = json({"show", "101"}).number("/status/pid");
  auto status = vpsd_->stop();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->shell_code(), 0);
  restart_vpsd();
  EXPECT_EQ(json({"show", "101"}).number("/status/pid"), pid);
  EXPECT_EQ(state_of("101"), "running");
}

TEST_F(RecoveryTest, AnExitWhileNobodyWatchedIsKnownLater) {
  make_vps("101", true, {"--set", R"(init=["/bin/sh", "-c", "while [ ! -e /run/host/go ]; do usleep 20000; done; exit 17"])", "--set", "restart=never"});
  kill_vpsd();
  ASSERT_TRUE(write_file_atomic(vpsd_->run_dir() + "/containers/101/host/go", ""));
  EXPECT_TRUE(eventually([&] {
    auto state = read_file(vpsd_->run_dir() + "/containers/101/state.json");
    return state && state->find("\"code\": 17") != std::string::npos;
  }));
  restart_vpsd();
  EXPECT_TRUE(eventually([&] { return state_of("101") == "stopped"; }));
  EXPECT_EQ(json({"show", "101"}).number("/status/exit/code"), 17);
}

TEST_F(RecoveryTest, LimitsAndDefinitionsSurvive) {
  make_vps("101", true, {"--ram", "64M", "--name", "web", "--set", "labels.customer=42"});
  auto uuid = json({"show", "101"}).string("/definition/uuid");
  ctl({"set", "101", "ram=80M", "cpus=0.5"});
  auto limits = json({"show", "101"}).items("/limits");
  kill_vpsd();
  restart_vpsd();
  auto show = json({"show", "web"});
  auto adopted = show.items("/limits");
  ASSERT_EQ(adopted.size(), limits.size()) << "what was changed live is known to the next vpsd";
  for (std::size_t i = 0; i < limits.size(); ++i) EXPECT_EQ(adopted[i].dump(), limits[i].dump());
  EXPECT_EQ(show.string("/definition/uuid"), uuid);
  EXPECT_EQ(show.string("/definition/labels/customer"), "42");
  ctl({"set", "101", "ram=96M"});
  EXPECT_EQ(json({"show", "101"}).number("/usage/memory/limit"), 96 << 20);
}

TEST_F(RecoveryTest, ADefinitionThatDoesNotParseIsSetAsideAndTheRestGoesOn) {
  make_vps("101", false);
  make_vps("102");
  kill_vpsd();
  ASSERT_TRUE(write_file_atomic(vpsd_->state() + "/containers/101/vps.yaml", "id: [this is no definition\n"));
  restart_vpsd();
  (void)wait_event("vps.quarantined", "101");
  EXPECT_EQ(state_of("102"), "running");
  // The operator's way out: what was set aside stands under quarantine/, by name.
  auto aside = list_dir(vpsd_->state() + "/quarantine");
  ASSERT_TRUE(aside);
  EXPECT_FALSE(aside->empty());
  (void)vpsd_->ctl({"destroy", "--force", "101"});
  ctl({"destroy", "--force", "102"});
  ASSERT_TRUE(vpsd_->stop());
  ASSERT_TRUE(remove_tree(vpsd_->state() + "/quarantine"));
  ASSERT_TRUE(remove_tree(vpsd_->state() + "/containers/101"));
}

TEST_F(RecoveryTest, AKilledSupervisorTakesItsVpsAlongAndIsNoticed) {
  make_vps("101", true, {"--set", "restart=never"});
  auto supervisor = PidFd::open(static_cast<pid_t>(json({"show", "101"}).number("/status/supervisorPid")));
  ASSERT_TRUE(supervisor);
  ASSERT_TRUE(supervisor->signal(SIGKILL));
  EXPECT_TRUE(eventually([&] { auto state = state_of("101"); return state == "stopped" || state == "failed"; })) << state_of("101");
  ctl({"start", "--wait", "101"});
  EXPECT_EQ(ctl({"exec", "101", "--", "echo", "again"}).out, "again\n");
}

TEST_F(RecoveryTest, SequenceNumbersGoOn) {
  make_vps("101", false);
  auto last = [&] { return Json::parse_lines(ctl({"-o", "json", "events", "--since", "0"}).out)->back().number("/seq"); };
  auto before = last();
  kill_vpsd();
  restart_vpsd();
  EXPECT_GT(last(), before);
}

TEST_F(RecoveryTest, TwoDaemonsDoNotServeOneState) {
  auto second = run({program_path("vpsd"), "--config", vpsd_->root() + "/etc/vpsd.yaml"}, {.timeout = std::chrono::seconds(20)});
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->timed_out) << "a second vpsd serves the same roots";
  EXPECT_NE(second->code, 0);
  ctl({"list"});
}

}  // namespace
}  // namespace vps::test
