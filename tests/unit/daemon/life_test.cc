// The life of VPSes through the API.
#include "tests/unit/daemon/daemon_fixture.h"

namespace vps::daemon::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class LifeTest : public DaemonTest {};

TEST_F(LifeTest, FromCreateToDestroy) {
  auto created = create("101", {{"name", "web"}, {"hostname", "web.example.org"}, {"resources", {{"memory", {{"limit", "64M"}}}}}});
  EXPECT_EQ(created["kind"], "create");
  EXPECT_EQ(created["result"]["id"], "101");
  EXPECT_EQ(state("101"), "stopped");
  EXPECT_TRUE(path_exists(paths("101").definition));
  EXPECT_EQ(api_.get("/v1/containers").json.size(), 0u) << "only what runs, without all";

  auto started = act("web", "start");
  EXPECT_GT(started["result"]["pid"], 0);
  auto shown = show("web");
  EXPECT_EQ(shown["status"]["state"], "running");
  EXPECT_EQ(shown["status"]["pid"], started["result"]["pid"]);
  EXPECT_EQ(shown["definition"]["hostname"], "web.example.org");
  EXPECT_EQ(shown["status"]["idmap"]["size"], 65536);
  EXPECT_EQ(shown["limits"][0]["state"], "enforced");
  EXPECT_TRUE(shown["security"]["userNamespace"]);
  EXPECT_GT(shown["security"]["capabilities"].size(), 5u);
  auto list = api_.get("/v1/containers").json;
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["name"], "web");
  EXPECT_EQ(list[0]["uuid"], created["result"]["uuid"]);

  auto exec = api_.post("/v1/containers/101/exec", {{"argv", {"say", "hello"}}});
  EXPECT_EQ(exec.json["token"], "exec-token");
  EXPECT_EQ(exec.json["socket"], paths("101").supervisor_socket);
  EXPECT_EQ(api_.post("/v1/containers/101/console").json["token"], "console-token");
  EXPECT_THAT(api_.get("/v1/containers/101/log").text, HasSubstr("booting\nhello\n"));

  act("101", "pause");
  EXPECT_EQ(state("101"), "paused");
  EXPECT_EQ(api_.post("/v1/containers/101/exec", {{"argv", {"true"}}}).code(), "wrong_state");
  act("101", "resume");
  EXPECT_EQ(state("101"), "running");

  act("101", "stop");
  shown = show("101");
  EXPECT_EQ(shown["status"]["state"], "stopped");
  EXPECT_EQ(shown["status"]["exit"]["reason"], "poweroff");
  EXPECT_THAT(leavings("101"), IsEmpty());

  auto destroyed = api_.del("/v1/containers/101?wait=60");
  EXPECT_EQ(destroyed.json["status"], "done") << destroyed.text;
  EXPECT_EQ(state("101"), "not_found");
  EXPECT_FALSE(path_exists(paths("101").state_dir));
  EXPECT_FALSE(path_exists(paths("101").run_dir));
  EXPECT_EQ(daemon_->services().idmap.used(), 0u);
  EXPECT_THAT(event_types("101"), ElementsAre("vps.created", "vps.started", "vps.ready", "vps.paused", "vps.resumed", "vps.stopped",
                                              "vps.destroyed"));
}

TEST_F(LifeTest, ReadyIsWhatItsInitSays) {
  create("101", {{"template", "sysd"}});
  auto early = api_.post("/v1/containers/101/start?wait=60", {{"wait", "ready"}, {"timeout", "50ms"}});
  EXPECT_EQ(early.json["error"]["code"], "timed_out") << early.text;
  EXPECT_EQ(state("101"), "running") << "not ready in time is no reason to stop it";
  EXPECT_FALSE(show("101")["status"]["ready"]);
  act("101", "stop");

  auto operation = api_.post("/v1/containers/101/start", {{"wait", "ready"}});
  ASSERT_EQ(operation.status, 202);
  ASSERT_TRUE(comes_to("101", "running"));
  tell("101", {"ready"});
  auto done = api_.get("/v1/operations/" + operation.json["id"].get<std::string>() + "?wait=60");
  EXPECT_EQ(done.json["status"], "done") << done.text;
  EXPECT_TRUE(show("101")["status"]["ready"]);
}

TEST_F(LifeTest, AStopNeedNotWaitUntilItIsReady) {
  create("101", {{"template", "sysd"}});
  auto operation = api_.post("/v1/containers/101/start", {{"wait", "ready"}});
  ASSERT_TRUE(comes_to("101", "running"));
  act("101", "stop");
  auto ended = api_.get("/v1/operations/" + operation.json["id"].get<std::string>() + "?wait=60");
  EXPECT_EQ(ended.json["error"]["code"], "wrong_state") << ended.text;
}

TEST_F(LifeTest, AFailedStartSaysWhyAndLeavesNothing) {
  create("101");
  behave("101", "fail-start");
  auto answer = api_.post("/v1/containers/101/start?wait=60");
  EXPECT_EQ(answer.json["status"], "failed");
  EXPECT_EQ(answer.json["error"]["code"], "unavailable");
  EXPECT_THAT(answer.json["error"]["message"].get<std::string>(), HasSubstr("mount proc on /proc"));
  EXPECT_EQ(state("101"), "failed");
  EXPECT_THAT(show("101")["status"]["error"].get<std::string>(), HasSubstr("mount proc"));
  EXPECT_THAT(leavings("101"), IsEmpty());
  EXPECT_THAT(event_types("101"), ElementsAre("vps.created", "vps.failed"));
  act("101", "stop");
  EXPECT_EQ(state("101"), "stopped");
  behave("101", "");
  act("101", "start");
}

TEST_F(LifeTest, CodesOfRefusals) {
  create("101", {{"name", "web"}});
  auto post = [&](const std::string& path, const json& body = json::object()) { return api_.post("/v1/containers" + path, body).code(); };
  auto definition = [](const std::string& id, const std::string& name, const std::string& from) {
    json value{{"id", id}, {"template", from}};
    if (!name.empty()) value["name"] = name;
    return json{{"definition", value}};
  };
  EXPECT_EQ(post("", definition("101", "", "plain")), "exists");
  EXPECT_EQ(post("", definition("102", "web", "plain")), "exists");
  EXPECT_EQ(post("", definition("102", "101", "plain")), "exists");
  EXPECT_EQ(post("", definition("Bad Id", "", "plain")), "usage");
  EXPECT_EQ(post("/999/start"), "not_found");
  EXPECT_EQ(post("/101/pause"), "wrong_state");
  EXPECT_EQ(post("/101/resume"), "wrong_state");
  EXPECT_EQ(post("/101/stop"), "wrong_state");
  EXPECT_EQ(post("/101/console"), "wrong_state");
  EXPECT_EQ(post("/101/exec", {{"argv", {"true"}}}), "wrong_state");
  act("101", "start");
  EXPECT_EQ(post("/101/start"), "wrong_state");
  EXPECT_EQ(api_.del("/v1/containers/101").code(), "wrong_state");
  EXPECT_EQ(api_.get("/v1/containers/999").code(), "not_found");
  EXPECT_EQ(api_.get("/v1/operations/op-1").code(), "not_found");

  auto missing = api_.post("/v1/containers?wait=60", definition("103", "", "nothing"));
  EXPECT_EQ(missing.json["error"]["code"], "not_found") << missing.text;
  auto bare = api_.post("/v1/containers?wait=60", definition("103", "", "bare"));
  EXPECT_EQ(bare.json["error"]["code"], "unavailable") << bare.text;
  EXPECT_THAT(bare.json["error"]["message"].get<std::string>(), HasSubstr("/sbin/init"));
  EXPECT_EQ(state("103"), "not_found");
  EXPECT_FALSE(path_exists(paths("103").state_dir));
}

TEST_F(LifeTest, ARebootFromInsideIsAFreshStart) {
  create("101", {{"restart", "never"}}, true);
  auto before = show("101")["status"]["supervisorPid"].get<int>();
  tell("101", {"reboot"});
  ASSERT_TRUE(eventually([&] { return show("101")["status"]["restarts"] == 1 && state("101") == "running"; }));
  EXPECT_NE(show("101")["status"]["supervisorPid"].get<int>(), before);
  EXPECT_TRUE(has_event("101", "vps.restarting"));
}

TEST_F(LifeTest, APoweroffFromInsideStaysOff) {
  create("101", {{"restart", "always"}}, true);
  tell("101", {"poweroff"});
  ASSERT_TRUE(comes_to("101", "stopped"));
  ASSERT_TRUE(eventually([&] { return leavings("101").empty(); }));
  EXPECT_TRUE(has_event("101", "vps.stopped"));
  EXPECT_FALSE(has_event("101", "vps.restarting"));
}

TEST_F(LifeTest, FailuresAreStartedAgainWithBackOff) {
  create("101", {{"restart", "on-failure"}});
  behave("101", "exit:3");
  auto answer = api_.post("/v1/containers/101/start?wait=60");
  EXPECT_EQ(answer.json["status"], "done") << answer.text;
  ASSERT_TRUE(eventually([&] { return show("101")["status"]["restarts"] >= 3; }));
  EXPECT_TRUE(has_event("101", "vps.exited"));
  // A stop takes back what is pending.
  Answer stopped;
  ASSERT_TRUE(eventually([&] {
    stopped = api_.post("/v1/containers/101/stop?wait=60");
    return stopped.json["status"] == "done";
  })) << stopped.text << show("101")["status"] << testing::PrintToString(event_types("101"));
  auto count = event_types("101").size();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_EQ(event_types("101").size(), count);
  EXPECT_EQ(state("101"), "stopped");
}

TEST_F(LifeTest, NeverMeansNever) {
  create("101", {{"restart", "never"}}, true);
  tell("101", {"exit", "7"});
  ASSERT_TRUE(comes_to("101", "stopped"));
  EXPECT_EQ(show("101")["status"]["exit"]["code"], 7);
  EXPECT_FALSE(has_event("101", "vps.restarting"));
}

TEST_F(LifeTest, ASupervisorThatDiesIsAFailureOfItsVps) {
  create("101", {{"restart", "on-failure"}}, true);
  tell("101", {"crash"});
  ASSERT_TRUE(eventually([&] { return show("101")["status"]["restarts"] == 1 && state("101") == "running"; }));
}

TEST_F(LifeTest, AFailedAutomaticStartIsTriedAgain) {
  create("101", {{"restart", "on-failure"}}, true);
  behave("101", "fail-start");
  tell("101", {"exit", "1"});
  ASSERT_TRUE(eventually([&] { return show("101")["status"]["restarts"] >= 2; }));
  behave("101", "");
  ASSERT_TRUE(comes_to("101", "running"));
}

TEST_F(LifeTest, ForceEndsAStopThatTakesItsTime) {
  create("101");
  behave("101", "ignore-stop");
  act("101", "start");
  auto slow = api_.post("/v1/containers/101/stop", {{"timeout", "50s"}});
  ASSERT_EQ(slow.status, 202);
  ASSERT_TRUE(comes_to("101", "stopping"));
  EXPECT_EQ(api_.post("/v1/containers/101/stop").code(), "busy");
  act("101", "stop", {{"force", true}});
  auto ended = api_.get("/v1/operations/" + slow.json["id"].get<std::string>() + "?wait=30");
  EXPECT_EQ(ended.json["status"], "done") << ended.text;
  EXPECT_EQ(state("101"), "stopped");
}

TEST_F(LifeTest, DestroyWithForceStopsFirst) {
  create("101");
  behave("101", "ignore-stop");
  act("101", "start");
  auto answer = api_.del("/v1/containers/101?force=1&wait=60");
  EXPECT_EQ(answer.json["status"], "done") << answer.text;
  EXPECT_EQ(state("101"), "not_found");
}

TEST_F(LifeTest, DestroyWithForceEndsAStartThatHangs) {
  create("101");
  behave("101", "slow-start:50000");
  auto slow = api_.post("/v1/containers/101/start");
  ASSERT_EQ(slow.status, 202);
  ASSERT_TRUE(comes_to("101", "starting"));
  EXPECT_EQ(api_.del("/v1/containers/101").code(), "busy");
  auto answer = api_.del("/v1/containers/101?force=1&wait=40");
  EXPECT_EQ(answer.json["status"], "done") << answer.text;
  EXPECT_EQ(state("101"), "not_found");
}

TEST_F(LifeTest, RestartIsOneOperation) {
  create("101", {}, true);
  auto before = show("101")["status"]["supervisorPid"].get<int>();
  act("101", "restart");
  EXPECT_NE(show("101")["status"]["supervisorPid"].get<int>(), before);
  EXPECT_FALSE(has_event("101", "vps.restarting")) << "asked for, not by policy";
  EXPECT_EQ(show("101")["status"]["restarts"], 0);
}

TEST_F(LifeTest, LimitsThatWereHitAreEvents) {
  create("101", {}, true);
  tell("101", {"oom"});
  tell("101", {"fork-bomb"});
  ASSERT_TRUE(eventually([&] { return has_event("101", "vps.oom") && has_event("101", "vps.pids-limit"); }));
  auto events = daemon_->services().ledger->read(0, 100, "101");
  for (const auto& event : *events)
    if (event.type == "vps.oom") {
      EXPECT_THAT(event.data, HasSubstr("\"process\":\"hog\""));
    }
}

TEST_F(LifeTest, RenameAndItsConflicts) {
  create("101", {{"name", "web"}});
  create("102");
  EXPECT_EQ(api_.post("/v1/containers/102/rename", {{"name", "web"}}).code(), "exists");
  auto renamed = api_.post("/v1/containers/web/rename", {{"name", "www"}});
  EXPECT_EQ(renamed.json["name"], "www") << renamed.text;
  EXPECT_EQ(state("web"), "not_found");
  EXPECT_EQ(state("www"), "stopped");
  EXPECT_EQ(api_.post("/v1/containers/101/rename", {{"name", ""}}).status, 200);
  EXPECT_EQ(state("www"), "not_found");
  EXPECT_EQ(api_.post("/v1/containers/102/rename", {{"name", "web"}}).status, 200);
}

TEST_F(LifeTest, ATemplateInUseStays) {
  create("101");
  auto refused = api_.del("/v1/templates/plain");
  EXPECT_EQ(refused.status, 423) << refused.text;
  EXPECT_THAT(refused.text, HasSubstr("101"));
  EXPECT_EQ(api_.get("/v1/templates/plain").json["usedBy"], json({"101"}));
  (void)api_.del("/v1/containers/101?wait=60");
  EXPECT_EQ(api_.del("/v1/templates/plain").status, 200);
  EXPECT_EQ(api_.get("/v1/templates/plain").code(), "not_found");
}

TEST_F(LifeTest, DryRunsTouchNothing) {
  auto preview = api_.post("/v1/containers", {{"definition", {{"id", "101"}, {"template", "plain"}}}, {"dryRun", true}});
  EXPECT_EQ(preview.status, 200) << preview.text;
  EXPECT_GT(preview.json["steps"].size(), 3u);
  EXPECT_EQ(state("101"), "not_found");
  create("101");
  auto steps = api_.post("/v1/containers/101/start", {{"dryRun", true}});
  EXPECT_EQ(steps.status, 200) << steps.text;
  EXPECT_GT(steps.json["steps"].size(), 5u);
  EXPECT_EQ(state("101"), "stopped");
  EXPECT_FALSE(path_exists(paths("101").run_dir));
}

TEST_F(LifeTest, EveryStepOfACreateThatFailsLeavesNothing) {
  for (const char* step : {"template", "directory", "marker", "record", "disk", "definition", "commit"}) {
    SCOPED_TRACE(step);
    ASSERT_TRUE(failpoint::configure(fmt::format("daemon.create.{}=error:ENOSPC", step)));
    auto answer = api_.post("/v1/containers?wait=60", {{"definition", {{"id", "101"}, {"template", "plain"}}}});
    ASSERT_TRUE(failpoint::configure(""));
    EXPECT_EQ(answer.json["error"]["code"], "unavailable") << answer.text;
    EXPECT_EQ(answer.json["error"]["details"]["exit"], 9);
    EXPECT_EQ(state("101"), "not_found");
    EXPECT_FALSE(path_exists(paths("101").state_dir));
    EXPECT_EQ(daemon_->services().idmap.used(), 0u);
  }
  create("101");
}

TEST_F(LifeTest, EveryStepOfAStartThatFailsLeavesNothing) {
  create("101");
  for (const char* step : {"check", "compile", "directory", "files", "wanted", "spawn", "running"}) {
    SCOPED_TRACE(step);
    ASSERT_TRUE(failpoint::configure(fmt::format("daemon.start.{}=error:EIO", step)));
    auto answer = api_.post("/v1/containers/101/start?wait=60");
    ASSERT_TRUE(failpoint::configure(""));
    EXPECT_EQ(answer.json["status"], "failed") << answer.text;
    EXPECT_EQ(state("101"), "failed");
    EXPECT_THAT(leavings("101"), IsEmpty());
  }
  act("101", "start");
}

TEST_F(LifeTest, ADestroyThatFailedCanOnlyBeDestroyedAgain) {
  create("101");
  ASSERT_TRUE(failpoint::configure("daemon.destroy.disk=error:EIO"));
  auto answer = api_.del("/v1/containers/101?wait=60");
  ASSERT_TRUE(failpoint::configure(""));
  EXPECT_EQ(answer.json["status"], "failed");
  EXPECT_EQ(api_.post("/v1/containers/101/start?wait=60").json["error"]["code"], "wrong_state");
  EXPECT_EQ(api_.del("/v1/containers/101?wait=60").json["status"], "done");
  EXPECT_FALSE(path_exists(paths("101").state_dir));
}

TEST_F(LifeTest, HostShutdownStopsInReverseBootOrder) {
  create("101", {{"bootOrder", 1}}, true);
  create("102", {{"bootOrder", 20}}, true);
  create("103", {{"bootOrder", 3}}, true);
  auto answer = api_.post("/v1/host/shutdown?wait=60", {{"timeout", "10s"}});
  EXPECT_EQ(answer.json["status"], "done") << answer.text;
  std::vector<std::string> order;
  auto events = daemon_->services().ledger->read(0, 1'000);
  for (const auto& event : *events)
    if (event.type == "vps.stopped") order.push_back(event.vps);
  EXPECT_THAT(order, ElementsAre("102", "103", "101"));
}

}  // namespace
}  // namespace vps::daemon::test
