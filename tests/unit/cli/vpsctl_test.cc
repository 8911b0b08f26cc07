// The real vpsctl against a fake vpsd: what each command asks, prints and exits with.
#include <gmock/gmock.h>
#include <signal.h>

#include "base/files.h"
#include "tests/unit/cli/vpsctl_fixture.h"

namespace vps::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

std::string operation(const std::string& id, const std::string& status, const std::string& more = {}) {
  return R"({"id":")" + id + R"(","kind":"start","vps":"101","status":")" + status + R"(","percent":40,"step":"unpack","warnings":[])" +
         (more.empty() ? "" : "," + more) + "}";
}

TEST(VpsctlLifecycle, OneResultLineEach) {
  FakeVpsd fake;
  fake.on("POST /v1/containers/101/start", operation("op-1", "running"));
  fake.on("POST /v1/containers/web/start", operation("op-2", "done"));
  fake.on("GET /v1/operations/op-1?wait=60", operation("op-1", "running"));
  fake.on("GET /v1/operations/op-1?wait=60", operation("op-1", "done"));
  auto ran = vpsctl(fake, {"start", "101", "web", "101"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out, "101: started\nweb: started\n");
  EXPECT_EQ(ran.err, "");
  // All are asked for first; each id once.
  EXPECT_THAT(fake.requests(), ElementsAre(R"(POST /v1/containers/101/start {"wait":"started"})", R"(POST /v1/containers/web/start {"wait":"started"})",
                                           "GET /v1/operations/op-1?wait=60", "GET /v1/operations/op-1?wait=60"));
}

TEST(VpsctlLifecycle, TheFirstFailureIsTheExitCode) {
  FakeVpsd fake;
  fake.on("POST /v1/containers/1/stop", Answer{.status = 404, .body = error_json("not_found", "no vps 1")});
  fake.on("POST /v1/containers/2/stop", operation("op-2", "done"));
  fake.on("POST /v1/containers/3/stop", Answer{.status = 409, .body = error_json("wrong_state", "stop 3: it is stopped")});
  auto ran = vpsctl(fake, {"stop", "1", "2", "3"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.out, "2: stopped\n");
  EXPECT_EQ(ran.err, "vpsctl: stop 1: no vps 1\nvpsctl: stop 3: it is stopped\n");
}

TEST(VpsctlLifecycle, JsonIsAnArrayOnStdoutAndErrorsAreObjectsOnStderr) {
  FakeVpsd fake;
  fake.on("POST /v1/containers/1/pause", operation("op-1", "done"));
  fake.on("POST /v1/containers/2/pause", operation("op-2", "failed", R"("error":)" + error_json("busy", "it starts just now")));
  auto ran = vpsctl(fake, {"-o", "json", "pause", "1", "2"});
  EXPECT_EQ(ran.code, 7);
  EXPECT_EQ(ran.out,
            "[\n  {\n    \"id\": \"1\",\n    \"action\": \"pause\",\n    \"status\": \"done\",\n    \"operation\": \"op-1\"\n  },\n"
            "  {\n    \"id\": \"2\",\n    \"action\": \"pause\",\n    \"status\": \"failed\",\n    \"error\": {\n      \"code\": \"busy\",\n"
            "      \"message\": \"it starts just now\"\n    }\n  }\n]\n");
  EXPECT_EQ(ran.err, R"({"code":"busy","message":"it starts just now","details":{"k":"v","command":"pause 2","exit":7}})"
                     "\n");
}

TEST(VpsctlLifecycle, OptionsReachTheDaemon) {
  FakeVpsd fake;
  for (const char* path : {"start", "stop", "restart", "resume"}) fake.on(std::string("POST /v1/containers/1/") + path, operation("op-1", "done"));
  fake.on("DELETE /v1/containers/1", operation("op-1", "done"));
  fake.on("DELETE /v1/containers/1?force=1", operation("op-1", "done"));
  EXPECT_EQ(vpsctl(fake, {"start", "--wait", "--timeout", "2m", "1"}).out, "1: ready\n");
  EXPECT_EQ(vpsctl(fake, {"stop", "-f", "--timeout", "1.5s", "1"}).out, "1: stopped\n");
  EXPECT_EQ(vpsctl(fake, {"restart", "--force", "--wait", "1"}).out, "1: ready\n");
  EXPECT_EQ(vpsctl(fake, {"resume", "1"}).out, "1: running\n");
  EXPECT_EQ(vpsctl(fake, {"destroy", "1", "-o", "name"}).out, "1\n");
  EXPECT_EQ(vpsctl(fake, {"-q", "destroy", "--force", "1"}).out, "");
  EXPECT_THAT(fake.requests(),
              ElementsAre(R"(POST /v1/containers/1/start {"wait":"ready","timeout":"2m"})", R"(POST /v1/containers/1/stop {"force":true,"timeout":"1500ms"})",
                          R"(POST /v1/containers/1/restart {"force":true,"wait":"ready"})", "POST /v1/containers/1/resume {}", "DELETE /v1/containers/1",
                          "DELETE /v1/containers/1?force=1"));
}

constexpr std::string_view kFleet = R"([{"id":"10","state":"running","bootOrder":1},{"id":"9","state":"running","bootOrder":1},
  {"id":"db","state":"paused","bootOrder":-5},{"id":"old","state":"stopped","bootOrder":0},{"id":"bad","state":"failed","bootOrder":9}])";

TEST(VpsctlLifecycle, StopAllGoesInReverseBootOrder) {
  FakeVpsd fake;
  fake.on("GET /v1/containers?all=1", std::string(kFleet));
  for (const char* id : {"9", "10", "db"}) fake.on(std::string("POST /v1/containers/") + id + "/stop", operation("op", "done"));
  auto ran = vpsctl(fake, {"stop", "--all"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out, "9: stopped\n10: stopped\ndb: stopped\n");
}

TEST(VpsctlLifecycle, StartAllTakesWhatDoesNotRun) {
  FakeVpsd fake;
  fake.on("GET /v1/containers?all=1", std::string(kFleet));
  for (const char* id : {"old", "bad"}) fake.on(std::string("POST /v1/containers/") + id + "/start", operation("op", "done"));
  EXPECT_EQ(vpsctl(fake, {"start", "-a"}).out, "old: started\nbad: started\n");
  EXPECT_EQ(vpsctl(fake, {"start", "-a", "1"}).code, 2);
  EXPECT_EQ(vpsctl(fake, {"start"}).code, 2);
}

TEST(VpsctlLifecycle, StartDryRunPrintsTheSteps) {
  FakeVpsd fake;
  fake.on("POST /v1/containers/101/start", R"({"steps":["make cgroup vps/101/payload","mount overlay"]})");
  auto ran = vpsctl(fake, {"start", "--dry-run", "101"});
  EXPECT_EQ(ran.out, "  1  make cgroup vps/101/payload\n  2  mount overlay\n");
  EXPECT_THAT(fake.requests(), ElementsAre(R"(POST /v1/containers/101/start {"wait":"started","dryRun":true})"));
}

TEST(VpsctlLifecycle, WarningsAreSaid) {
  FakeVpsd fake;
  fake.on("POST /v1/containers/1/start", R"({"id":"op-1","status":"done","warnings":["io.read is not enforced"]})");
  auto ran = vpsctl(fake, {"start", "1"});
  EXPECT_EQ(ran.err, "vpsctl: warning: start 1: io.read is not enforced\n");
  EXPECT_EQ(vpsctl(fake, {"-q", "start", "1"}).err, "");
}

TEST(VpsctlLifecycle, InterruptedWaitLeavesTheWorkAndSaysHowToFindIt) {
  FakeVpsd fake;
  fake.on("POST /v1/containers/1/stop", operation("op-7", "running"));
  fake.on("GET /v1/operations/op-7?wait=60", Answer{.hang = true});
  auto process = Process::start({VPSCTL_PROGRAM, "stop", "1"}, options_for(fake));
  ASSERT_TRUE(process);
  ASSERT_TRUE(fake.wait_for_requests(2));
  ASSERT_TRUE(process->signal(SIGINT));
  auto ran = process->finish();
  ASSERT_TRUE(ran);
  EXPECT_EQ(ran->code, 128 + SIGINT);  // by the signal itself
  EXPECT_EQ(ran->err, "vpsctl: no longer waiting; it goes on in vpsd: vpsctl operation wait op-7\n");
  EXPECT_EQ(fake.requests().size(), 2u);
}

TEST(VpsctlCreate, InterruptUndoesIt) {
  FakeVpsd fake;
  fake.on("POST /v1/containers", operation("op-7", "running"));
  fake.on("GET /v1/operations/op-7?wait=60", Answer{.hang = true});
  fake.on("GET /v1/operations/op-7?wait=60", operation("op-7", "cancelled", R"("error":)" + error_json("failed", "cancelled")));
  fake.on("DELETE /v1/operations/op-7", operation("op-7", "running"));
  auto process = Process::start({VPSCTL_PROGRAM, "create", "1", "--template", "t"}, options_for(fake));
  ASSERT_TRUE(process);
  ASSERT_TRUE(fake.wait_for_requests(2));
  ASSERT_TRUE(process->signal(SIGINT));
  auto ran = process->finish();
  ASSERT_TRUE(ran);
  EXPECT_EQ(ran->code, 1);
  EXPECT_EQ(ran->err, "vpsctl: create 1: cancelled\n");
  EXPECT_THAT(fake.requests(), testing::Contains("DELETE /v1/operations/op-7"));
}

TEST(VpsctlCreate, OptionsBecomeAssignments) {
  FakeVpsd fake;
  fake.on("POST /v1/containers", operation("op-1", "done"));
  auto ran = vpsctl(fake, {"create", "101", "--template", "debian-12", "--hostname", "h", "--ip", "auto", "--ip", "10.0.0.2/24", "--ram", "512M", "--swap", "0",
                           "--cpus", "1.5", "--disk", "10G", "--onboot", "--name", "web", "--plan", "small", "--set", "labels.a=b=c", "--start"});
  EXPECT_EQ(ran.code, 0) << ran.describe();
  EXPECT_EQ(ran.out, "101: created and started\n");
  EXPECT_THAT(fake.requests(),
              ElementsAre(R"(POST /v1/containers {"definition":{"id":"101","template":"debian-12"},"set":["name=web","hostname=h","plan=small","ram=512M",)"
                          R"("swap=0","cpus=1.5","disk=10G","onboot=true","network.interfaces=[{name: eth0, network: \"default\", addresses: [\"auto\", )"
                          R"(\"10.0.0.2/24\"]}]","labels.a=b=c"],"start":true})"));
}

TEST(VpsctlCreate, AnInterfaceIsOnTheNamedNetwork) {
  FakeVpsd fake;
  fake.on("POST /v1/containers", operation("op-1", "done"));
  EXPECT_EQ(vpsctl(fake, {"create", "101", "-t", "x", "--network", "public"}).code, 0);
  EXPECT_EQ(vpsctl(fake, {"create", "102", "-t", "x", "--network", "public", "--ip", "203.0.113.7"}).code, 0);
  EXPECT_THAT(fake.requests(), ElementsAre(HasSubstr(R"("set":["network.interfaces=[{name: eth0, network: \"public\", addresses: [\"auto\"]}]"])"),
                                           HasSubstr(R"("set":["network.interfaces=[{name: eth0, network: \"public\", addresses: [\"203.0.113.7\"]}]"])")));
}

TEST(VpsctlCreate, FileMergesWithOptions) {
  FakeVpsd fake;
  fake.on("POST /v1/containers", operation("op-1", "done"));
  auto file = fake.dir() / "a.yaml";
  ASSERT_TRUE(write_file_atomic(file, "id: \"7\"\ntemplate: t\nname: x\n"));
  EXPECT_EQ(vpsctl(fake, {"create", "101", "--file", file, "--template", "u", "--ip", "none"}).code, 0);
  EXPECT_EQ(vpsctl(fake, {"create", "101", "-F", "-"}, "template: t\n").code, 0);
  EXPECT_THAT(fake.requests(),
              ElementsAre(R"(POST /v1/containers {"yaml":"id: \"101\"\ntemplate: \"u\"\nname: x\n","file":")" + file + R"(","set":["network=none"]})",
                          R"(POST /v1/containers {"yaml":"template: t\nid: \"101\"\n","file":"standard input"})"));
}

TEST(VpsctlCreate, DryRunShowsStepsLimitsAndDefinition) {
  FakeVpsd fake;
  fake.on("POST /v1/containers",
          R"({"definition":{"id":"101","template":"t"},"steps":["make disk"],"limits":[{"limit":"memory.limit","value":"512M","state":"enforced","file":"memory.max"}],"warnings":["careful"]})");
  auto ran = vpsctl(fake, {"create", "101", "--template", "t", "--dry-run"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.out, "  1  make disk\n\nLIMIT         VALUE  STATE     BY\nmemory.limit  512M   enforced  memory.max\n\nid: \"101\"\ntemplate: t\n");
  EXPECT_EQ(ran.err, "vpsctl: warning: careful\n");
}

struct UsageCase {
  Words words;
  std::string message;
};

TEST(Vpsctl, BadUsageIsOneLineAndTwo) {
  FakeVpsd fake;
  const std::vector<UsageCase> cases = {
      {{"create", "101"}, "create 101: missing --template (or --file with one)"},
      {{"create", "101", "--file", "/nonexistent"}, "create 101: open /nonexistent: No such file or directory"},
      {{"create", "101", "-t", "x", "--ip", "none", "--ip", "auto"}, "create 101: --ip none excludes other addresses"},
      {{"create", "101", "-t", "x", "--ip", "none", "--network", "public"}, "create 101: --ip none excludes --network"},
      {{"create", "101", "-t", "x", "--ip", "a b"}, "create 101: --ip a b: expected auto, none or an address like 10.0.0.2/24"},
      {{"create", "101", "-t", "x", "--set", "ram"}, "create 101: --set ram: expected KEY=VALUE"},
      {{"create", "", "-t", "x"}, "create: an id is empty"},
      {{"stop", "1", "--timeout", "soon"}, "stop: --timeout: 'soon' is not a duration"},
      {{"set", "1", "ram"}, "set 1: 'ram': expected KEY=VALUE"},
      {{"list", "--columns", "id,colour"}, "list: --columns: unknown column 'colour'"},
      {{"list", "--sort", "colour"}, "list: --sort: unknown column 'colour'"},
      {{"list", "--filter", "state"}, "list: --filter state: expected KEY=VALUE or KEY!=VALUE"},
      {{"apply"}, "apply: missing --file"},
      {{"events", "--since", "yesterday"}, "events: --since yesterday: expected a sequence number"},
      {{"stats", "--interval", "0", "--count", "2"}, "stats: --interval 0 prints once"},
      {{"stats", "--count", "many"}, "stats: --count: 'many' is not a number"},
      {{"logs", "1", "-n", "-3"}, "logs 1: --lines: '-3' is not a number"},
      {{"logs", "1", "-n", "3", "--tail", "5"}, "logs: --lines and --tail exclude each other"},
      {{"show", "a/b"}, "show a/b: 'a/b' is no id, name or uuid"},
      {{"top"}, "top: top needs a terminal"},
      {{"help", "nonsense"}, "help: unknown command 'nonsense'"},
      {{"rename", "1"}, "rename: missing NAME"},
      {{"template", "import", "x", "/nonexistent"}, "template import x: /nonexistent: No such file"},
      {{"--socket", "", "list"}, "list: socket name '' is empty"},
  };
  for (const auto& item : cases) {
    auto ran = vpsctl(fake, item.words);
    EXPECT_EQ(ran.code, 2) << ran.describe();
    EXPECT_EQ(ran.out, "") << ran.describe();
    EXPECT_THAT(ran.err, StartsWith("vpsctl: " + item.message)) << ran.describe();
    EXPECT_EQ(ran.err.find('\n'), ran.err.size() - 1) << ran.describe();
  }
  EXPECT_THAT(fake.requests(), IsEmpty());
}

TEST(Vpsctl, EveryCodeOfTheDaemonBecomesItsExitCode) {
  const std::vector<std::pair<std::string, int>> codes = {{"failed", 1},     {"usage", 2}, {"not_found", 3}, {"exists", 4},     {"wrong_state", 5},
                                                          {"not_allowed", 6}, {"busy", 7}, {"timed_out", 8}, {"unavailable", 9}, {"unheard_of", 1}};
  for (const auto& [name, code] : codes) {
    FakeVpsd fake;
    fake.on("GET /v1/containers/1", Answer{.status = 500, .body = error_json(name, "reason")});
    auto ran = vpsctl(fake, {"show", "1"});
    EXPECT_EQ(ran.code, code) << name;
    EXPECT_EQ(ran.err, "vpsctl: show 1: reason\n");
  }
}

TEST(Vpsctl, UsageErrorsAreJsonToo) {
  FakeVpsd fake;
  auto ran = vpsctl(fake, {"list", "-o", "json", "--nope"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.err, R"x({"code":"usage","message":"unknown option --nope (see vpsctl list --help)","details":{"command":"list","exit":2}})x"
                     "\n");
}

TEST(Vpsctl, ControlCharactersFromTheDaemonDoNotReachTheTerminal) {
  FakeVpsd fake;
  fake.on("GET /v1/containers", R"([{"id":"1","state":"running","hostname":"a\u001b[2Jb"}])");
  fake.on("GET /v1/containers/1", Answer{.status = 500, .body = error_json("failed", "bad \\u001b]0;x\\u0007 name")});
  EXPECT_THAT(vpsctl(fake, {"list"}).out, HasSubstr("a\\x1b[2Jb"));
  EXPECT_EQ(vpsctl(fake, {"show", "1"}).err, "vpsctl: show 1: bad \\x1b]0;x\\x07 name\n");
}

TEST(Vpsctl, NobodyListens) {
  FakeVpsd fake;
  fake.stop();
  auto ran = vpsctl(fake, {"list"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.err, "vpsctl: list: cannot reach vpsd at " + fake.socket() + ": No such file or directory (is vpsd running?)\n");
  EXPECT_EQ(vpsctl(fake, {"exec", "101", "true"}).code, 125);
  auto doctor = vpsctl(fake, {"doctor"});
  EXPECT_EQ(doctor.code, 1);
  EXPECT_THAT(doctor.out, HasSubstr("systemctl start vpsd"));
}

TEST(Vpsctl, AnswersThatAreNoAnswers) {
  const std::vector<std::pair<Answer, std::string>> cases = {
      {Answer{.raw = "nonsense\r\n\r\n"}, "vpsd's answer is not HTTP"},
      {Answer{.raw = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[]"}, "vpsd closed the connection before its answer was complete"},
      {Answer{.raw = "HTTP/1.1 200"}, "vpsd closed the connection before its answer was complete"},
      {Answer{.raw = "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"}, "vpsd's answer is not HTTP"},
      {Answer{.body = "[1,"}, "vpsd's answer: malformed JSON at byte"},
      {Answer{.body = "{}"}, "vpsd's answer is malformed: the list of VPSes should be an array"},
      {Answer{.status = 500, .body = "oops"}, "vpsd answered with status 500 and no error object"},
      {Answer{.status = 302, .body = ""}, "vpsd answered with status 302 and no error object"},
  };
  for (const auto& [answer, message] : cases) {
    FakeVpsd fake;
    fake.on("GET /v1/containers", answer);
    auto ran = vpsctl(fake, {"list"});
    EXPECT_EQ(ran.code, 1) << message;
    EXPECT_THAT(ran.err, StartsWith("vpsctl: list: " + message));
    EXPECT_EQ(ran.out, "");
  }
}

TEST(Vpsctl, MalformedObjectsAreErrorsNotCrashes) {
  FakeVpsd fake;
  fake.on("POST /v1/containers/1/start", "[]");
  fake.on("GET /v1/containers/1", "[1]");
  fake.on("PATCH /v1/containers/1", "null");
  fake.on("POST /v1/containers/1/exec", "{}");
  fake.on("GET /v1/stats", "{}");
  fake.on("GET /v1/events?since=0", Answer{.chunks = {"{\"seq\":\"x\"}\n"}});
  fake.on("POST /v1/containers/2/start", R"({"id":"op-1","status":"exploded"})");
  EXPECT_EQ(vpsctl(fake, {"start", "1"}).err, "vpsctl: start 1: vpsd's answer is malformed: no operation\n");
  EXPECT_EQ(vpsctl(fake, {"start", "2"}).err, "vpsctl: start 2: vpsd's answer is malformed: operation status 'exploded'\n");
  EXPECT_EQ(vpsctl(fake, {"show", "1"}).err, "vpsctl: show 1: vpsd's answer is malformed: the VPS should be an object\n");
  EXPECT_EQ(vpsctl(fake, {"set", "1", "a=b"}).err, "vpsctl: set 1: vpsd's answer is malformed: no changes\n");
  EXPECT_EQ(vpsctl(fake, {"exec", "1", "x"}).err, "vpsctl: exec 1: vpsd's answer is malformed: no session\n");
  EXPECT_EQ(vpsctl(fake, {"stats"}).code, 1);
  EXPECT_EQ(vpsctl(fake, {"events"}).code, 1);
}

TEST(Vpsctl, OutputThatCannotBeWrittenIsAnError) {
  FakeVpsd fake;
  fake.on("GET /v1/containers", "[]");
  auto ran = run({"/bin/sh", "-c", std::string(VPSCTL_PROGRAM) + " list > /dev/full"}, options_for(fake));
  ASSERT_TRUE(ran);
  EXPECT_EQ(ran->code, 1);
  EXPECT_EQ(ran->err, "vpsctl: write the output: No space left on device\n");
}

TEST(Vpsctl, VerboseShowsTheRequests) {
  FakeVpsd fake;
  fake.on("GET /v1/containers", "[]");
  EXPECT_EQ(vpsctl(fake, {"-v", "list", "-H"}).err, "> GET /v1/containers\n< 200 (2 bytes)\n");
}

TEST(VpsctlList, RunningOnlyUnlessAsked) {
  FakeVpsd fake;
  fake.on("GET /v1/containers", R"([{"id":"101","state":"running","hostname":"web","template":"debian-12","addresses":[],"memory":1048576,"uptime":61}])");
  fake.on("GET /v1/containers?all=1", R"([{"id":"20","state":"stopped"},{"id":"3","state":"running"}])");
  EXPECT_EQ(vpsctl(fake, {"list"}).out,
            "ID   NAME  STATE    HOSTNAME  TEMPLATE   ADDRESSES   MEMORY  UPTIME\n101  -     running  web       debian-12  -          1.0 MiB   1m01s\n");
  EXPECT_EQ(vpsctl(fake, {"list", "-a", "-o", "name"}).out, "3\n20\n");
  EXPECT_EQ(vpsctl(fake, {"list", "--filter", "state=stopped", "-c", "id,state", "-H"}).out, "20  stopped\n");
  EXPECT_EQ(vpsctl(fake, {"list", "-a", "-o", "json", "--sort", "-id"}).out,
            "[\n  {\n    \"id\": \"20\",\n    \"state\": \"stopped\"\n  },\n  {\n    \"id\": \"3\",\n    \"state\": \"running\"\n  }\n]\n");
  EXPECT_EQ(vpsctl(fake, {"list", "-a", "-o", "yaml"}).out, "- id: \"3\"\n  state: running\n- id: \"20\"\n  state: stopped\n");
}

TEST(VpsctlShow, YamlIsTheDefinitionAsTheDaemonWritesIt) {
  FakeVpsd fake;
  std::string yaml = "id: \"101\"\n# kept\nresources:\n  cpu: {limit: 1.5}\n";
  fake.on("GET /v1/containers/101?format=yaml", yaml);
  fake.on("GET /v1/containers/101", R"({"definition":{"id":"101"},"status":{"pid":7}})");
  EXPECT_EQ(vpsctl(fake, {"show", "101", "-o", "yaml"}).out, yaml);
  EXPECT_EQ(vpsctl(fake, {"show", "101", "-o", "json"}).out, "{\n  \"definition\": {\n    \"id\": \"101\"\n  },\n  \"status\": {\n    \"pid\": 7\n  }\n}\n");
}

TEST(VpsctlSet, PrintsEveryChange) {
  FakeVpsd fake;
  fake.on("PATCH /v1/containers/101",
          R"({"changes":[{"key":"resources.memory.limit","from":"","to":"1G","effect":"live"},{"key":"hostname","from":"a","to":"b","effect":"nextStart"}],
              "limits":[],"warnings":["w"],"restartRequired":["hostname"]})");
  auto ran = vpsctl(fake, {"set", "101", "ram=1G", "hostname=b"});
  EXPECT_EQ(ran.out, "101: changed\n  resources.memory.limit: (not set) -> 1G (live)\n  hostname: a -> b (at the next start)\n");
  EXPECT_EQ(ran.err, "vpsctl: warning: 101: w\nvpsctl: 101: a restart is needed for hostname\n");
  EXPECT_EQ(vpsctl(fake, {"set", "--live", "101", "ram=1G"}).code, 0);
  EXPECT_EQ(vpsctl(fake, {"set", "--saved", "--dry-run", "101", "ram="}).code, 0);
  EXPECT_THAT(fake.requests(), ElementsAre(R"(PATCH /v1/containers/101 {"set":["ram=1G","hostname=b"],"mode":"both"})", R"(PATCH /v1/containers/101 {"set":["ram=1G"],"mode":"live"})",
                                           R"(PATCH /v1/containers/101 {"set":["ram="],"mode":"saved","dryRun":true})"));
}

TEST(VpsctlApply, UpdatesOrCreates) {
  FakeVpsd fake;
  fake.on("PUT /v1/containers/101", R"({"changes":[],"warnings":[]})");
  fake.on("PUT /v1/containers/102", Answer{.status = 404, .body = error_json("not_found", "no vps 102")});
  fake.on("POST /v1/containers", operation("op-1", "done"));
  EXPECT_EQ(vpsctl(fake, {"apply", "-f", "-"}, "id: 101\n").out, "101: nothing to change\n");
  EXPECT_EQ(vpsctl(fake, {"apply", "-f", "-", "102"}, "name: x\n").out, "102: created\n");
  EXPECT_EQ(vpsctl(fake, {"apply", "-f", "-"}, "name: x\n").code, 2);
  EXPECT_EQ(vpsctl(fake, {"apply", "-f", "-", "103"}, "id: 101\n").code, 2);
  EXPECT_THAT(fake.requests(), ElementsAre(R"(PUT /v1/containers/101 {"yaml":"id: 101\n","file":"standard input"})", testing::_,
                                           R"(POST /v1/containers {"yaml":"name: x\nid: \"102\"\n","file":"standard input"})"));
}

TEST(VpsctlRename, SendsTheName) {
  FakeVpsd fake;
  fake.on("POST /v1/containers/101/rename", R"({"id":"101","name":"web"})");
  EXPECT_EQ(vpsctl(fake, {"rename", "101", "web"}).out, "101: is web now\n");
  EXPECT_EQ(vpsctl(fake, {"rename", "101", ""}).out, "101: has no name now\n");
  EXPECT_THAT(fake.requests(), ElementsAre(R"(POST /v1/containers/101/rename {"name":"web"})", R"(POST /v1/containers/101/rename {"name":""})"));
}

TEST(VpsctlLogs, PrintsTheTail) {
  FakeVpsd fake;
  fake.on("GET /v1/containers/101/log?tail=1152921504606846976", Answer{.body = "one\ntwo\nthree\n"});
  fake.on("GET /v1/containers/101/log?tail=10", Answer{.chunks = {"two\n", "three\n"}});
  fake.on("GET /v1/containers/101/log?tail=16384", Answer{.chunks = {"x"}});
  EXPECT_EQ(vpsctl(fake, {"logs", "101"}).out, "one\ntwo\nthree\n");
  EXPECT_EQ(vpsctl(fake, {"logs", "-n", "2", "101"}).out, "two\nthree\n");
  EXPECT_EQ(vpsctl(fake, {"logs", "--tail", "16K", "101"}).out, "x");
}

TEST(VpsctlLogs, FollowsUntilInterrupted) {
  FakeVpsd fake;
  fake.on("GET /v1/containers/101/log?tail=1152921504606846976&follow=1", Answer{.chunks = {"old\n"}, .open_end = true});
  auto process = Process::start({VPSCTL_PROGRAM, "logs", "-f", "101"}, options_for(fake));
  ASSERT_TRUE(process);
  ASSERT_TRUE(process->read_until("old\n"));
  fake.push("new\n");
  ASSERT_TRUE(process->read_until("new\n"));
  ASSERT_TRUE(process->signal(SIGINT));
  EXPECT_EQ(process->finish().value_or(CommandResult{}).code, 128 + SIGINT);
}

constexpr std::string_view kEvents =
    "{\"seq\":1,\"time\":\"2026-11-22T10:00:00Z\",\"type\":\"vps.started\",\"vps\":\"101\",\"message\":\"started\",\"data\":{}}\n"
    "{\"seq\":2,\"time\":\"2026-11-22T11:00:00Z\",\"type\":\"vpsd.started\",\"vps\":\"\",\"message\":\"up\",\"data\":{}}\n";

TEST(VpsctlEvents, AllFormats) {
  FakeVpsd fake;
  // A line may be cut anywhere.
  std::string text(kEvents);
  fake.on("GET /v1/events?since=0", Answer{.chunks = {text.substr(0, 30), text.substr(30, 60), text.substr(90)}});
  fake.on("GET /v1/events?since=1&vps=101", Answer{.chunks = {text}});
  EXPECT_EQ(vpsctl(fake, {"events"}).out,
            "     1  2026-11-22 10:00:00  vps.started        101        started\n     2  2026-11-22 11:00:00  vpsd.started       -          up\n");
  EXPECT_EQ(vpsctl(fake, {"events", "-o", "json"}).out, kEvents);
  EXPECT_EQ(vpsctl(fake, {"events", "--type", "vpsd.", "-o", "name"}).out, "vpsd.started\n");
  EXPECT_EQ(vpsctl(fake, {"events", "--since", "2026-11-22T10:30:00Z", "-o", "name"}).out, "vpsd.started\n");
  EXPECT_EQ(vpsctl(fake, {"events", "--since", "1", "--vps", "101", "-o", "name"}).out, "vps.started\nvpsd.started\n");
}

TEST(VpsctlEvents, FollowBeginsAtTheEndAndLivesThroughARestartOfVpsd) {
  FakeVpsd fake;
  fake.on("GET /v1/host", R"({"events":{"last":41}})");
  // The first stream breaks off after an event; the next one must begin where it ended.
  fake.on("GET /v1/events?since=41&follow=1",
          Answer{.raw = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1c\r\n{\"seq\":42,\"type\":\"vps.oom\"}\n\r\n"});
  fake.on("GET /v1/events?since=42&follow=1", Answer{.open_end = true});
  auto process = Process::start({VPSCTL_PROGRAM, "events", "-f", "-o", "json"}, options_for(fake));
  ASSERT_TRUE(process);
  ASSERT_TRUE(process->read_until("{\"seq\":42,\"type\":\"vps.oom\"}\n"));
  ASSERT_TRUE(process->read_until("vpsctl: vpsd is away; waiting for it\n"));
  fake.push("{\"seq\":43,\"type\":\"vps.started\"}\n");
  EXPECT_TRUE(process->read_until("{\"seq\":43,\"type\":\"vps.started\"}\n"));
}

TEST(VpsctlStats, CountersAndRates) {
  FakeVpsd fake;
  fake.on("GET /v1/stats", R"([{"id":"101","time":"2026-11-22T10:00:00Z","cpu":{"usageUsec":0},"memory":{"current":1048576,"limit":2097152,"swap":0,"oomKills":0},"pids":{"current":3,"limit":18446744073709551615},"io":{"readBytes":0,"writeBytes":0}}])");
  fake.on("GET /v1/stats", R"([{"id":"101","time":"2026-11-22T10:00:01Z","cpu":{"usageUsec":500000},"memory":{"current":1048576,"limit":2097152,"swap":0,"oomKills":1},"pids":{"current":3,"limit":18446744073709551615},"io":{"readBytes":1024,"writeBytes":0}}])");
  EXPECT_EQ(vpsctl(fake, {"stats", "--interval", "10ms", "--count", "1"}).out,
            "ID     CPU             MEMORY  SWAP  PIDS       READ  WRITTEN  OOM\n101  50.0%  1.0 MiB / 2.0 MiB   0 B     3  1.0 KiB/s    0 B/s    1\n");
  EXPECT_THAT(vpsctl(fake, {"stats", "--interval", "0", "-o", "json"}).out, HasSubstr("\"rates\": null"));
  fake.on("GET /v1/containers/9/stats", Answer{.status = 409, .body = error_json("wrong_state", "it is stopped")});
  auto ran = vpsctl(fake, {"stats", "9", "--interval", "0"});
  EXPECT_EQ(ran.code, 5);
  EXPECT_EQ(ran.err, "vpsctl: stats 9: it is stopped\n");
}

TEST(VpsctlTemplate, AllOfIt) {
  FakeVpsd fake;
  fake.on("POST /v1/templates", operation("op-1", "done"));
  fake.on("GET /v1/templates", R"([{"name":"debian-12","distribution":"debian 12","architecture":"amd64","init":"systemd","size":1073741824,"created":"2026-11-22T10:00:00Z","usedBy":["101"]}])");
  fake.on("GET /v1/templates/debian-12", R"({"name":"debian-12","size":1024})");
  fake.on("DELETE /v1/templates/a", "{}");
  fake.on("DELETE /v1/templates/b", Answer{.status = 423, .body = error_json("busy", "101 uses it")});
  EXPECT_EQ(vpsctl(fake, {"template", "build", "debian-12"}).out, "debian-12: built\n");
  EXPECT_EQ(vpsctl(fake, {"template", "import", "mine", fake.dir().path() + "/."}).out, "mine: imported\n");
  EXPECT_EQ(vpsctl(fake, {"template", "list"}).out,
            "NAME       DISTRIBUTION  ARCH   INIT        SIZE  CREATED              USED BY\ndebian-12  debian 12     amd64  systemd  1.0 GiB  2026-11-22 10:00:00        1\n");
  EXPECT_EQ(vpsctl(fake, {"template", "show", "debian-12"}).out, "name          debian-12\nsize          1.0 KiB\n");
  auto ran = vpsctl(fake, {"template", "remove", "a", "b"});
  EXPECT_EQ(ran.code, 7);
  EXPECT_EQ(ran.out, "a: removed\n");
  EXPECT_EQ(ran.err, "vpsctl: template remove b: 101 uses it\n");
  EXPECT_EQ(fake.requests()[0], R"(POST /v1/templates {"action":"build","recipe":"debian-12","name":"debian-12"})");
  EXPECT_EQ(fake.requests()[1], R"(POST /v1/templates {"action":"import","name":"mine","path":")" + fake.dir().path() + R"("})");
}

TEST(VpsctlOperation, ListWaitCancel) {
  FakeVpsd fake;
  fake.on("GET /v1/operations", "[" + operation("op-1", "running") + "]");
  fake.on("GET /v1/operations/op-1", operation("op-1", "running"));
  fake.on("GET /v1/operations/op-1?wait=60", operation("op-1", "failed", R"("error":)" + error_json("timed_out", "too slow")));
  fake.on("DELETE /v1/operations/op-1", Answer{.status = 409, .body = error_json("wrong_state", "too late")});
  EXPECT_EQ(vpsctl(fake, {"operation", "list"}).out, "ID    KIND   VPS  STATUS   DONE  STEP    CREATED  ERROR\nop-1  start  101  running   40%  unpack  -        -\n");
  EXPECT_EQ(vpsctl(fake, {"operation", "show", "op-1"}).out, "op-1: start 101: running, 40% unpack\n");
  auto waited = vpsctl(fake, {"operation", "wait", "op-1"});
  EXPECT_EQ(waited.code, 8);
  EXPECT_EQ(waited.err, "vpsctl: operation wait op-1: too slow\n");
  EXPECT_EQ(vpsctl(fake, {"operation", "cancel", "op-1"}).code, 5);
}

TEST(VpsctlHost, DoctorAndVersion) {
  FakeVpsd fake;
  fake.on("GET /v1/host/doctor", R"([{"check":"kernel","status":"ok","message":"6.18","fix":""},{"check":"swap","status":"warning","message":"no swap accounting","fix":"swapaccount=1"}])");
  fake.on("GET /v1/host/doctor", R"([{"check":"overlay","status":"error","message":"missing","fix":"modprobe overlay"}])");
  fake.on("GET /v1/host", R"({"version":")" VPS_VERSION R"(","kernel":"6.18","controllers":["cpu","memory"]})");
  auto fine = vpsctl(fake, {"doctor"});
  EXPECT_EQ(fine.code, 0);
  EXPECT_EQ(fine.out, "CHECK   STATUS   MESSAGE\nkernel  ok       6.18\nswap    warning  no swap accounting\n\nTo mend:\n  swap: swapaccount=1\n");
  EXPECT_EQ(vpsctl(fake, {"doctor"}).code, 1);
  EXPECT_EQ(vpsctl(fake, {"version"}).out, "vpsctl " VPS_VERSION "\nvpsd " VPS_VERSION "\n  kernel          6.18\n  controllers     cpu,memory\n");
  EXPECT_EQ(vpsctl(fake, {"version", "--client", "-o", "json"}).out, "{\n  \"client\": \"" VPS_VERSION "\"\n}\n");
}

}  // namespace
}  // namespace vps::test
