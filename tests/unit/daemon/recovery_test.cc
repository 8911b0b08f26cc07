// What a new vpsd makes of what an old one left.
#include "tests/unit/daemon/daemon_fixture.h"

namespace vps::daemon::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class RecoveryTest : public DaemonTest {
 protected:
  int supervisor_pid(const std::string& id) { return show(id)["status"]["supervisorPid"].get<int>(); }
  void kill_process(int pid) {
    ASSERT_GT(pid, 1);
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    // Not our child: gone when its number is.
    ASSERT_TRUE(eventually([&] { return ::kill(pid, 0) != 0 || read_file(fmt::format("/proc/{}/stat", pid)).value_or(") Z").find(") Z") != std::string::npos; }));
  }
};

TEST_F(RecoveryTest, WhatLivesIsAdopted) {
  create("101", {}, true);
  create("102", {}, true);
  create("103");
  act("102", "pause");
  auto before = show("101")["status"];
  restart();
  EXPECT_THAT(daemon_->recovery().adopted, UnorderedElementsAre("101", "102"));
  auto after = show("101")["status"];
  EXPECT_EQ(after["state"], "running");
  EXPECT_EQ(after["supervisorPid"], before["supervisorPid"]);
  EXPECT_EQ(after["idmap"], before["idmap"]);
  EXPECT_EQ(after["started"], before["started"]);
  EXPECT_EQ(state("102"), "paused");
  EXPECT_EQ(state("103"), "stopped");
  EXPECT_TRUE(has_event("101", "vps.adopted"));
  EXPECT_FALSE(has_event("103", "vps.adopted"));
  tell("101", {"say", "still here"});
  act("102", "resume");
  act("101", "stop");
  EXPECT_THAT(leavings("101"), IsEmpty());
}

TEST_F(RecoveryTest, RangesAreNeverSharedOverARestart) {
  create("101");
  create("102");
  (void)api_.del("/v1/containers/101?wait=60");
  restart();
  create("103");
  create("104");
  std::set<std::uint32_t> bases;
  for (const char* id : {"102", "103", "104"}) bases.insert(show(id)["status"]["idmap"]["base"].get<std::uint32_t>());
  EXPECT_EQ(bases.size(), 3u);
}

TEST_F(RecoveryTest, ARebootThatHappenedMeanwhileIsFinished) {
  create("101", {{"restart", "never"}}, true);
  tell("101", {"reboot"});
  stop();
  start();
  ASSERT_TRUE(comes_to("101", "running"));
}

TEST_F(RecoveryTest, AnEndThatHappenedMeanwhileIsTakenFromItsState) {
  create("101", {{"restart", "never"}}, true);
  create("102", {{"restart", "on-failure"}}, true);
  // They answer to the last vpsd before it leaves, and end after it has.
  behave("101", "");
  auto one = supervisor_pid("101");
  auto two = supervisor_pid("102");
  stop();
  kill_process(one);
  kill_process(two);
  start();
  ASSERT_TRUE(comes_to("101", "stopped"));
  ASSERT_TRUE(comes_to("102", "running"));
  EXPECT_TRUE(has_event("101", "vps.exited"));
  EXPECT_THAT(leavings("101"), IsEmpty());
  EXPECT_THAT(show("101")["status"]["error"].get<std::string>(), HasSubstr("while vpsd was away"));
}

TEST_F(RecoveryTest, AnExitCodeIsKept) {
  create("101", {{"restart", "never"}}, true);
  tell("101", {"exit", "42"});
  ASSERT_TRUE(comes_to("101", "stopped"));
  restart();
  EXPECT_EQ(show("101")["status"]["exit"]["code"], 42);
}

TEST_F(RecoveryTest, MarkersAreActedOn) {
  create("101");
  create("102");
  stop();
  ASSERT_TRUE(set_marker(paths("101"), Marker::kDestroying));
  ASSERT_TRUE(make_dirs(paths("103").state_dir));  // died between the directory and its marker
  ASSERT_TRUE(make_dirs(paths("104").disk));
  ASSERT_TRUE(set_marker(paths("104"), Marker::kCreating));
  start();
  EXPECT_THAT(daemon_->recovery().finished, ElementsAre("101"));
  EXPECT_THAT(daemon_->recovery().undone, UnorderedElementsAre("103", "104"));
  for (const char* id : {"101", "103", "104"}) {
    EXPECT_EQ(state(id), "not_found") << id;
    EXPECT_FALSE(path_exists(paths(id).state_dir)) << id;
  }
  EXPECT_EQ(state("102"), "stopped");
}

TEST_F(RecoveryTest, AStartThatWasInterruptedBeforeItsSupervisorIsUndone) {
  create("101", {{"restart", "always"}});
  stop();
  ASSERT_TRUE(make_dirs(paths("101").run_dir));
  for (const char* name : {"/plan.json", "/config.json", "/wanted"}) ASSERT_TRUE(write_file_atomic(paths("101").run_dir + name, ""));
  start();
  EXPECT_EQ(state("101"), "stopped");
  EXPECT_THAT(leavings("101"), IsEmpty());
  EXPECT_TRUE(has_event("101", "vps.failed"));
}

TEST_F(RecoveryTest, ADefinitionThatDoesNotParseIsSetAsideAndCanBeReplaced) {
  create("101", {{"name", "web"}}, true);
  create("102");
  stop();
  ASSERT_TRUE(write_file_atomic(paths("101").definition, "id: [\n"));
  start();
  ASSERT_EQ(daemon_->recovery().quarantined.size(), 1u);
  EXPECT_EQ(*read_file(daemon_->recovery().quarantined[0]), "id: [\n");
  EXPECT_TRUE(has_event("101", "vps.quarantined"));
  EXPECT_EQ(state("101"), "running") << "what runs goes on";
  EXPECT_EQ(state("102"), "stopped");
  act("101", "stop");
  auto refused = api_.post("/v1/containers/101/start?wait=60");
  EXPECT_EQ(refused.status == 200 ? refused.json["error"]["code"] : refused.json["code"], "wrong_state") << refused.text;
  auto mended = api_.put("/v1/containers/101", {{"definition", {{"id", "101"}, {"template", "plain"}, {"name", "web"}}}});
  EXPECT_EQ(mended.status, 200) << mended.text;
  act("web", "start");
  restart();
  EXPECT_EQ(state("web"), "running");
}

TEST_F(RecoveryTest, ABrokenDefinitionCanBeDestroyed) {
  create("101");
  stop();
  ASSERT_TRUE(write_file_atomic(paths("101").definition, "unknown: key\n"));
  start();
  EXPECT_EQ(state("101"), "failed");
  EXPECT_EQ(api_.del("/v1/containers/101?wait=60").json["status"], "done");
  EXPECT_FALSE(path_exists(paths("101").state_dir));
}

TEST_F(RecoveryTest, ALostRecordIsMadeAnewWithTheRangeThatRuns) {
  create("101");
  create("102", {}, true);
  create("103");
  auto base = show("102")["status"]["idmap"]["base"];
  auto uuid = api_.get("/v1/containers/102").json["definition"]["uuid"];
  stop();
  ASSERT_TRUE(write_file_atomic(paths("102").record, "{}"));
  ASSERT_TRUE(write_file_atomic(paths("101").record, "rubbish"));
  start();
  EXPECT_EQ(daemon_->recovery().quarantined.size(), 2u);
  EXPECT_EQ(show("102")["status"]["idmap"]["base"], base);
  EXPECT_EQ(state("102"), "running");
  EXPECT_EQ(state("101"), "stopped");
  std::set<std::uint32_t> bases;
  for (const char* id : {"101", "102", "103"}) bases.insert(show(id)["status"]["idmap"]["base"].get<std::uint32_t>());
  EXPECT_EQ(bases.size(), 3u);
  auto list = api_.get("/v1/containers?all=1").json;
  EXPECT_EQ(list[1]["uuid"], uuid);
  auto range = load_record(paths("101"));
  ASSERT_TRUE(range) << "the new record is on disk";
}

TEST_F(RecoveryTest, TheStateOfAnotherBootIsForgotten) {
  create("101", {{"onboot", true}, {"bootOrder", 5}}, true);
  create("102", {{"onboot", true}, {"bootOrder", 1}}, true);
  create("103", {}, true);
  std::vector<int> pids;
  for (const char* id : {"101", "102", "103"}) pids.push_back(supervisor_pid(id));
  stop();
  for (int pid : pids) kill_process(pid);
  for (const char* id : {"101", "102", "103"}) {
    auto state = supervisor::parse_run_state(*read_file(paths(id).run_state));
    ASSERT_TRUE(state);
    state->boot_id = "another";
    ASSERT_TRUE(write_file_atomic(paths(id).run_state, format_run_state(*state)));
  }
  ASSERT_TRUE(write_file_atomic(config_.roots.run + "/autostart", "another done\n"));
  config_.start_parallel = 1;
  start();
  ASSERT_TRUE(comes_to("101", "running"));
  ASSERT_TRUE(comes_to("102", "running"));
  EXPECT_EQ(state("103"), "stopped");
  std::vector<std::string> order;
  auto events = daemon_->services().ledger->read(0, 1'000);
  for (const auto& event : *events)
    if (event.type == "vps.started") order.push_back(event.vps);
  ASSERT_EQ(order.size(), 5u);
  EXPECT_EQ(order[3], "102") << "bootOrder 1 before 5";
  EXPECT_EQ(order[4], "101");

  act("101", "stop");
  restart();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(state("101"), "stopped") << "only once per boot of the host";
}

TEST_F(RecoveryTest, ABootThatVpsdDidNotFinishGoesOn) {
  create("101", {{"onboot", true}});
  create("102", {{"onboot", true}}, true);
  act("102", "stop");
  stop();
  ASSERT_TRUE(write_file_atomic(config_.roots.run + "/autostart", *read_file("/proc/sys/kernel/random/boot_id")));
  auto marker = *read_file(config_.roots.run + "/autostart");
  marker.pop_back();
  ASSERT_TRUE(write_file_atomic(config_.roots.run + "/autostart", marker + " begun\n"));
  start();
  ASSERT_TRUE(comes_to("101", "running"));
  EXPECT_EQ(state("102"), "stopped") << "an operator has stopped it in this boot";
}

TEST_F(RecoveryTest, RunDirectoriesOfNobodyAreRemovedUnlessSomethingLives) {
  create("101", {}, true);
  create("102");
  stop();
  ASSERT_TRUE(make_dirs(paths("201").run_dir));
  ASSERT_TRUE(write_file_atomic(paths("201").run_state, "x"));
  ASSERT_TRUE(remove_tree(paths("101").state_dir));
  start();
  EXPECT_FALSE(path_exists(paths("201").run_dir));
  EXPECT_TRUE(path_exists(paths("101").run_dir)) << "a person must decide";
  EXPECT_THAT(daemon_->recovery().left_alone, ElementsAre("101"));
  auto client = supervisor::Client::connect(paths("101").supervisor_socket);
  ASSERT_TRUE(client);
  (void)client->stop({.force = true, .timeout_ms = 0});
}

TEST_F(RecoveryTest, TwoDaemonsOnOneStateAreRefused) {
  Daemon::Options options;
  options.config = config_;
  options.config.roots.run = dir_ / "other-run";
  options.host = host_;
  auto second = Daemon::start(std::move(options));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kBusy);
}

TEST_F(RecoveryTest, ADamagedLedgerDoesNotStopTheDaemon) {
  stop();
  ASSERT_TRUE(write_file_atomic(config_.roots.state + "/ledger.db", std::string(10'000, '?')));
  start();
  EXPECT_TRUE(has_event("", "vps.quarantined"));
  create("101");
}

TEST_F(RecoveryTest, AStopThatWasUnderWayGoesOn) {
  create("101", {{"restart", "always"}});
  behave("101", "ignore-stop");
  act("101", "start");
  auto answer = api_.post("/v1/containers/101/stop", {{"timeout", "1s"}});
  ASSERT_EQ(answer.status, 202);
  ASSERT_TRUE(comes_to("101", "stopping"));
  restart();
  ASSERT_TRUE(comes_to("101", "stopped"));
  ASSERT_TRUE(eventually([&] { return leavings("101").empty(); }));
  EXPECT_FALSE(has_event("101", "vps.restarting")) << "it was asked to stop";
}

}  // namespace
}  // namespace vps::daemon::test
