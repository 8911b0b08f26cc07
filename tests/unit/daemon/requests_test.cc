// Requests as the world sends them: bad ones, many at once, ones that follow.
#include <atomic>
#include <map>

#include "daemon/api/router.h"
#include "tests/unit/daemon/daemon_fixture.h"

namespace vps::daemon::test {
namespace {

using testing::HasSubstr;

class RequestsTest : public DaemonTest {};

TEST_F(RequestsTest, BadOnesAreAnsweredInOneLine) {
  create("101");
  struct Bad {
    const char* method;
    const char* path;
    std::string body;
    int status;
    const char* says;
  };
  const Bad all[] = {
      {"GET", "/", "", 404, "no such path"},
      {"GET", "/v2/containers", "", 404, "no such path"},
      {"GET", "/v1/containers/101/nonsense", "", 404, "no such path"},
      {"GET", "/v1/containers//log", "", 404, "no such path"},
      {"POST", "/v1/containers/101", "", 405, "cannot be used"},
      {"GET", "/v1/containers?al=1", "", 400, "unknown key al"},
      {"GET", "/v1/containers?all=perhaps", "", 400, "expected 0 or 1"},
      {"GET", "/v1/events?since=x", "", 400, "expected a number"},
      {"GET", "/v1/events?vps=No%20Id", "", 400, "not an id"},
      {"GET", "/v1/containers/101?format=xml", "", 400, "expected json or yaml"},
      {"POST", "/v1/containers", "", 400, "definition or yaml is missing"},
      {"POST", "/v1/containers", "[]", 400, "expected a JSON object"},
      {"POST", "/v1/containers", "{\"definition\": 7}", 400, "expected an object"},
      {"POST", "/v1/containers", "{\"definition\": {}, \"yaml\": \"\"}", 400, "exclude"},
      {"POST", "/v1/containers", "{\"definition\": {\"id\": \"1\", \"template\": \"plain\", \"x\": 1}}", 400, "x"},
      {"POST", "/v1/containers", "{\"definition\": {\"id\": \"../1\", \"template\": \"plain\"}}", 400, "id"},
      {"POST", "/v1/containers", "{\"definition\": {\"id\": \"1\", \"template\": \"../plain\"}}", 400, "template"},
      {"POST", "/v1/containers", "{\"yaml\": \"a: &x [*x]\"}", 400, ""},
      {"POST", "/v1/containers", "{" + std::string(40, '['), 400, "deeper than 32"},
      {"POST", "/v1/containers/101/start", "{\"wait\": \"forever\"}", 400, "expected started or ready"},
      {"POST", "/v1/containers/101/start", "{\"Wait\": \"ready\"}", 400, "unknown member"},
      {"POST", "/v1/containers/101/start?wait=99999", "", 400, "at most"},
      {"POST", "/v1/containers/101/stop", "{\"timeout\": \"soon\"}", 400, "duration"},
      {"POST", "/v1/containers/101/stop", "{\"force\": 1}", 400, "true or false"},
      {"POST", "/v1/containers/101/pause", "{\"a\": 1}", 400, "takes none"},
      {"POST", "/v1/containers/101/exec", "{}", 400, "argv is missing"},
      {"POST", "/v1/containers/101/exec", "{\"argv\": \"ls\"}", 400, "array of strings"},
      {"POST", "/v1/containers/101/exec", "{\"argv\": [\"\"]}", 400, "empty"},
      {"POST", "/v1/containers/101/exec", "{\"argv\": [\"" + std::string(100'000, 'x') + "\"]}", 400, "larger than"},
      {"POST", "/v1/containers/101/rename", "{}", 400, "name is missing"},
      {"POST", "/v1/containers/101/rename", "{\"name\": \"a b\"}", 400, "is not a name"},
      {"POST", "/v1/templates", "{\"action\": \"steal\"}", 400, "build or import"},
      {"POST", "/v1/templates", "{\"action\": \"build\", \"recipe\": \"windows\"}", 400, "unknown recipe"},
      {"POST", "/v1/templates", "{\"action\": \"import\", \"name\": \"x\", \"path\": \"relative\"}", 400, "absolute path"},
      {"GET", "/v1/templates/..%2f..%2fetc", "", 404, "no such path"},
      {"GET", "/v1/templates/..", "", 400, "name"},
      {"DELETE", "/v1/operations/op-1", "", 404, "no operation"},
  };
  for (const auto& bad : all) {
    auto answer = api_.raw(bad.method, bad.path, bad.body);
    EXPECT_EQ(answer.status, bad.status) << bad.method << " " << bad.path << " " << bad.body.substr(0, 200) << ": " << answer.text;
    EXPECT_THAT(answer.text, HasSubstr(bad.says)) << bad.path;
    EXPECT_TRUE(answer.json.is_object() && answer.json.contains("message")) << answer.text;
    if (answer.json.is_object() && answer.json.contains("message")) {
      EXPECT_EQ(answer.json["message"].get<std::string>().find('\n'), std::string::npos) << answer.text;
    }
  }
  EXPECT_EQ(api_.get("/v1/host").status, 200);
  EXPECT_EQ(api_.get("/v1/containers?all=1").json.size(), 1u);
}

TEST_F(RequestsTest, FiftyThreadsStartAndStopOneVps) {
  create("101");
  std::map<std::string, int> outcomes;
  std::mutex mutex;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 50; ++t)
      threads.emplace_back([&, t] {
        for (int i = 0; i < 4; ++i) {
          bool starts = (t + i) % 2 == 0;
          // Some take their turn, some do not wait.
          auto answer = api_.post(fmt::format("/v1/containers/101/{}{}", starts ? "start" : "stop", t % 5 == 0 ? "" : "?wait=60"));
          std::string outcome = answer.code();
          if (answer.status == 200 || answer.status == 202) {
            outcome = answer.json["status"];
            if (outcome == "failed") outcome = answer.json["error"]["code"];
          }
          std::scoped_lock lock(mutex);
          ++outcomes[outcome];
        }
      });
  }
  for (const auto& [outcome, count] : outcomes)
    EXPECT_THAT(outcome, testing::AnyOf("done", "running", "busy", "wrong_state")) << count << " times";
  EXPECT_GT(outcomes["done"], 1);
  ASSERT_TRUE(eventually([&] { return daemon_->services().operations.running() == 0; }));
  // Starts and ends took turns: never two in a row.
  std::string last;
  for (const auto& type : event_types("101")) {
    if (type != "vps.started" && type != "vps.stopped") continue;
    EXPECT_NE(type, last);
    last = type;
  }
  EXPECT_EQ(state("101"), last == "vps.started" ? "running" : "stopped");
}

TEST_F(RequestsTest, ManyVpsesAtOnce) {
  constexpr int kMany = 30;
  std::atomic<int> good = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kMany; ++i)
      threads.emplace_back([&, i] {
        auto id = std::to_string(i);
        auto made = api_.post("/v1/containers?wait=60", {{"definition", {{"id", id}, {"template", "plain"}}}, {"start", true}});
        if (made.status == 200 && made.json["status"] == "done") ++good;
      });
  }
  EXPECT_EQ(good, kMany);
  EXPECT_EQ(api_.get("/v1/containers").json.size(), static_cast<std::size_t>(kMany));
  std::set<std::uint32_t> bases;
  for (int i = 0; i < kMany; ++i) bases.insert(show(std::to_string(i))["status"]["idmap"]["base"].get<std::uint32_t>());
  EXPECT_EQ(bases.size(), static_cast<std::size_t>(kMany));
  EXPECT_EQ(api_.post("/v1/host/shutdown?wait=60").json["status"], "done");
  EXPECT_EQ(api_.get("/v1/containers").json.size(), 0u);
}

TEST_F(RequestsTest, AnotherTurnIsBusyOrWaits) {
  create("101");
  behave("101", "slow-start:300");
  auto first = api_.post("/v1/containers/101/start");
  ASSERT_EQ(first.status, 202);
  auto busy = api_.post("/v1/containers/101/stop");
  EXPECT_EQ(busy.status, 423) << busy.text;
  EXPECT_THAT(busy.text, HasSubstr(first.json["id"].get<std::string>()));
  EXPECT_EQ(api_.patch("/v1/containers/101", {{"set", {"onboot=true"}}}).code(), "busy");
  EXPECT_EQ(api_.del("/v1/containers/101").code(), "busy");
  auto waited = api_.post("/v1/containers/101/stop?wait=60");
  EXPECT_EQ(waited.json["status"], "done") << waited.text;
  EXPECT_EQ(state("101"), "stopped");
}

TEST_F(RequestsTest, WaitingForATurnCanBeCancelled) {
  create("101");
  behave("101", "slow-start:2000");
  auto first = api_.post("/v1/containers/101/start");
  std::jthread waiter([&] {
    auto answer = api_.post("/v1/containers/101/pause?wait=60");
    EXPECT_EQ(answer.json["status"], "cancelled") << answer.text;
  });
  std::string waiting;
  ASSERT_TRUE(eventually([&] {
    for (const auto& each : api_.get("/v1/operations").json)
      if (each["kind"] == "pause") waiting = each["id"];
    return !waiting.empty() && api_.del("/v1/operations/" + waiting).status == 200;
  }));
  EXPECT_EQ(api_.del("/v1/operations/" + first.json["id"].get<std::string>()).code(), "wrong_state");
}

TEST_F(RequestsTest, OperationsTellTheirProgress) {
  create("101");
  behave("101", "slow-start:200");
  auto first = api_.post("/v1/containers/101/start");
  auto id = first.json["id"].get<std::string>();
  auto next = api_.get(fmt::format("/v1/operations/{}?wait=60&percent={}&step=nothing", id, first.json["percent"].get<int>()));
  EXPECT_EQ(next.status, 200);
  EXPECT_EQ(next.json["status"], "running");
  EXPECT_EQ(api_.get("/v1/operations/" + id + "?wait=60").json["status"], "done");
  EXPECT_EQ(api_.get("/v1/operations").json[0]["id"], id) << "newest first";
}

TEST_F(RequestsTest, EventsAreReplayedAndFollowed) {
  create("101");
  create("102");
  auto all = api_.get("/v1/events");
  EXPECT_THAT(all.text, HasSubstr("vpsd.started"));
  auto lines = static_cast<int>(std::ranges::count(all.text, '\n'));
  auto later = api_.get(fmt::format("/v1/events?since={}", lines - 1));
  EXPECT_EQ(std::ranges::count(later.text, '\n'), 1);
  EXPECT_THAT(later.text, HasSubstr(fmt::format("\"seq\":{}", lines)));
  EXPECT_THAT(api_.get("/v1/events?vps=102").text, testing::Not(HasSubstr("\"101\"")));

  auto fd = api_.dial();
  ApiClient::send(fd, "GET", fmt::format("/v1/events?since={}&follow=1&vps=101", lines), "");
  act("102", "start");
  act("101", "start");
  std::string text;
  while (text.find("vps.ready") == std::string::npos && ApiClient::receive(fd, &text)) {
  }
  EXPECT_THAT(text, HasSubstr("vps.started"));
  EXPECT_THAT(text, testing::Not(HasSubstr("\"102\"")));
}

TEST_F(RequestsTest, TheLogIsTailedAndFollowed) {
  create("101");
  EXPECT_EQ(api_.get("/v1/containers/101/log").text, "") << "nothing yet";
  auto fd = api_.dial();
  ApiClient::send(fd, "GET", "/v1/containers/101/log?follow=1", "");
  act("101", "start");
  tell("101", {"say", "one"});
  std::string text;
  while (text.find("one\n") == std::string::npos && ApiClient::receive(fd, &text)) {
  }
  EXPECT_THAT(text, HasSubstr("booting"));
  EXPECT_EQ(api_.get("/v1/containers/101/log?tail=4").text, "one\n");
  // The supervisor keeps the older half under another name.
  ASSERT_EQ(::rename(paths("101").console_log.c_str(), (paths("101").console_log + ".1").c_str()), 0);
  tell("101", {"say", "two"});
  while (text.find("two\n") == std::string::npos && ApiClient::receive(fd, &text)) {
  }
  EXPECT_THAT(text, HasSubstr("two\n"));
  EXPECT_EQ(api_.get("/v1/containers/101/log").text, "booting\none\ntwo\n");
}

TEST_F(RequestsTest, StopEndsFollowersAndWaiters) {
  create("101");
  behave("101", "slow-start:30000");
  auto follower = api_.dial();
  ApiClient::send(follower, "GET", "/v1/events?follow=1", "");
  std::string text;
  ASSERT_TRUE(ApiClient::receive(follower, &text));
  auto first = api_.post("/v1/containers/101/start");
  auto waiter = api_.dial();
  ApiClient::send(waiter, "GET", "/v1/operations/" + first.json["id"].get<std::string>() + "?wait=3600", "");
  ASSERT_TRUE(eventually([&] { return path_exists(paths("101").run_state); })) << "only what has been launched goes on";
  daemon_->stop();
  while (ApiClient::receive(follower, &text)) {
  }
  daemon_.reset();
  start();
  EXPECT_EQ(state("101"), "starting") << "what was launched goes on";
  act("101", "stop", {{"force", true}});
}

TEST_F(RequestsTest, HostAndDoctor) {
  auto host = api_.get("/v1/host").json;
  EXPECT_EQ(host["api"], "v1");
  EXPECT_EQ(host["cgroupLayout"], "unified");
  auto doctor = api_.get("/v1/host/doctor").json;
  ASSERT_GT(doctor.size(), 8u);
  for (const auto& finding : doctor) {
    EXPECT_THAT(finding["status"].get<std::string>(), testing::AnyOf("ok", "warning", "error"));
    EXPECT_FALSE(finding["message"].get<std::string>().empty()) << finding;
  }
}

TEST(RouterTest, EveryRowIsReachedByItsOwnPath) {
  std::set<std::string> ids;
  for (const auto& route : api::routes()) {
    EXPECT_TRUE(ids.insert(std::string(route.operation_id)).second) << route.operation_id;
    std::string path(route.path);
    for (auto at = path.find('{'); at != std::string::npos; at = path.find('{')) path.replace(at, path.find('}', at) - at + 1, "x");
    std::map<std::string, std::string> params;
    api::Reply refusal;
    EXPECT_EQ(api::match(route.method, path, &params, &refusal), &route) << path;
    if (path != route.path) {
      EXPECT_EQ(params.begin()->second, "x");
    }
  }
}

}  // namespace
}  // namespace vps::daemon::test
