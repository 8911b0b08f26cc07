// The commands across processes, as engines call them.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/files.h"
#include "runtime/init.h"
#include "tests/conformance/fixture.h"
#include "tests/conformance/hand_over.h"

namespace vps::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class Commands : public ConformanceTest {};

TEST_F(Commands, FromCreateToDelete) {
  look({"wait"});
  set("/annotations", R"({"key": "value"})");
  store_config();
  auto created = vps::test::run({"/bin/sh", "-c", "exec \"$@\" </dev/null >" + path("out") + " 2>&1", "sh", VPS_TEST_BIN_DIR "/vpsrun", "--root", path("run"),
                                 "create", "--bundle", path("bundle"), "--pid-file", path("pid"), id()});
  ASSERT_EQ(created->code, 0) << read_file(path("out")).value_or("");
  auto now = state();
  EXPECT_EQ(now.string("/status"), "created");
  EXPECT_EQ(now.string("/id"), id());
  EXPECT_EQ(now.string("/bundle"), path("bundle"));
  EXPECT_EQ(now.string("/ociVersion"), "1.0.2");
  EXPECT_EQ(now.string("/annotations/key"), "value");
  EXPECT_EQ(std::to_string(now.number("/pid")), read_file(path("pid")).value_or(""));
  EXPECT_EQ(read_file(path("out")).value_or(""), "") << "the program must not run before its start";

  auto again = runtime({"create", "--bundle", path("bundle"), id()});
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.err, HasSubstr("exists"));
  EXPECT_EQ(runtime({"exec", id(), "/probe", "exit:3"}).code, 3) << "exec in a created container";

  EXPECT_EQ(runtime({"start", id()}).code, 0);
  EXPECT_TRUE(eventually([&] { return read_file(path("out")).value_or("") == "waiting\n"; }));
  EXPECT_EQ(state().string("/status"), "running");
  EXPECT_EQ(runtime({"start", id()}).code, 1);
  auto refused = runtime({"delete", id()});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("not stopped"));

  EXPECT_EQ(runtime({"kill", id(), "TERM"}).code, 0);
  EXPECT_TRUE(eventually([&] { return state().string("/status") == "stopped"; }));
  auto dead = runtime({"kill", id(), "9"});
  EXPECT_EQ(dead.code, 1);
  EXPECT_THAT(dead.err, HasSubstr("container not running"));
  EXPECT_EQ(runtime({"kill", "--all", id(), "9"}).code, 0);
  EXPECT_EQ(runtime({"exec", id(), "/probe"}).code, 255);
  EXPECT_EQ(runtime({"delete", id()}).code, 0);
  for (const char* command : {"state", "start", "kill", "delete", "pause"}) {
    auto unknown = runtime({command, id()});
    EXPECT_NE(unknown.code, 0) << command;
    EXPECT_THAT(unknown.err, HasSubstr("does not exist")) << command;
  }
  EXPECT_EQ(runtime({"delete", "--force", id()}).code, 0);
}

TEST_F(Commands, ErrorsAreLoggedForTheEngine) {
  look({});
  set("/process/args", R"(["missing-program"])");
  store_config();
  auto result = runtime({"--log", path("log.json"), "--log-format", "json", "create", "--bundle", path("bundle"), id()});
  EXPECT_EQ(result.code, 1);
  auto lines = Json::parse_lines(read_file(path("log.json")).value_or(""));
  ASSERT_TRUE(lines);
  ASSERT_FALSE(lines->empty());
  EXPECT_EQ(lines->back().string("/level"), "error");
  EXPECT_THAT(lines->back().string("/msg"), HasSubstr("executable file not found"));
  EXPECT_THAT(lines->back().string("/time"), testing::MatchesRegex("[0-9T:.-]+Z"));
  EXPECT_THAT(result.err, HasSubstr("executable file not found"));
  // The system's reasons in the spelling that engines know.
  set("/process/args", R"(["/etc"])");
  store_config();
  EXPECT_THAT(runtime({"create", "--bundle", path("bundle"), id()}).err, HasSubstr("permission denied"));
  result = runtime({"--log", path("log.text"), "state", "none"});
  EXPECT_THAT(read_file(path("log.text")).value_or(""), testing::MatchesRegex("time=\"[^\"]*\" level=error msg=\"container 'none' does not exist\"\n"));
  for (const char* command : {"create", "start", "state", "kill", "delete", "exec", "pause", "resume", "ps", "update", "events"})
    EXPECT_NE(runtime({command}).code, 0) << command << " without an id";
  EXPECT_NE(runtime({"create", "--bundle", path("bundle"), "../x"}).code, 0);
  EXPECT_EQ(runtime({"create", "--help"}).code, 0);
  EXPECT_THAT(runtime({"--version"}).out, HasSubstr("spec: 1.3.0"));
}

TEST_F(Commands, ExecIsAsAskedFor) {
  set("/process/env", R"(["PATH=/", "OWN=1"])");
  start_waiting();
  auto seen = exec({"--cwd", "/tmp", "--env", "MORE=2", "--user", "1000:1001", "--additional-gids", "5", "--cap", "CAP_SETUID"},
                   {"cwd", "env:OWN", "env:MORE", "id", "status:CapBnd", "status:CapInh", "status:CapEff", "read:/proc/1/cmdline", "list:/proc/self/fd"});
  EXPECT_EQ(seen["cwd"], "/tmp");
  EXPECT_EQ(seen["env:OWN"], "1");
  EXPECT_EQ(seen["env:MORE"], "2");
  EXPECT_EQ(seen["id"], "1000:1001 5");
  EXPECT_EQ(seen["status:CapBnd"], "00000000080000a1");
  EXPECT_EQ(seen["status:CapInh"], "0000000000000000") << "CVE-2022-29162";
  EXPECT_THAT(seen["read:/proc/1/cmdline"], HasSubstr("wait"));
  EXPECT_EQ(seen["list:/proc/self/fd"], "0 1 2");

  write_file("process.json", R"({"args": ["/probe", "env:A", "id", "exit:9"], "env": ["A=B"], "cwd": "/", "user": {"uid": 7, "gid": 8}})");
  auto result = runtime({"exec", "--process", path("process.json"), id()});
  EXPECT_EQ(result.code, 9);
  EXPECT_EQ(parse_report(result.out)["env:A"], "B");
  EXPECT_EQ(parse_report(result.out)["id"], "7:8 ");

  result = runtime({"exec", id(), "missing"});
  EXPECT_EQ(result.code, 255);
  EXPECT_THAT(result.err, HasSubstr("executable file not found"));
  EXPECT_EQ(runtime({"exec", id()}).code, 255);
}

TEST_F(Commands, DetachedExecLeavesAPidFile) {
  start_waiting();
  auto result = vps::test::run({"/bin/sh", "-c", "exec \"$@\" </dev/null >" + path("out2") + " 2>&1", "sh", VPS_TEST_BIN_DIR "/vpsrun", "--root", path("run"),
                                "exec", "--detach", "--pid-file", path("pid2"), id(), "/probe", "wait"});
  ASSERT_EQ(result->code, 0);
  auto pid = read_file(path("pid2")).value_or("");
  auto pids = runtime({"ps", "--format", "json", id()});
  EXPECT_THAT(pids.out, HasSubstr(pid));
  EXPECT_THAT(runtime({"ps", id()}).out, testing::AllOf(HasSubstr("PID"), HasSubstr(pid)));
  EXPECT_THAT(runtime({"ps", id(), "-o", "pid,args"}).out, HasSubstr("/probe wait"));
  EXPECT_EQ(runtime({"kill", "--all", id(), "KILL"}).code, 0);
  EXPECT_TRUE(eventually([&] { return state().string("/status") == "stopped"; }));
}

TEST_F(Commands, PauseUpdateEventsList) {
  start_waiting();
  EXPECT_EQ(runtime({"pause", id()}).code, 0);
  EXPECT_EQ(state().string("/status"), "paused");
  EXPECT_EQ(runtime({"exec", id(), "/probe"}).code, 255);
  EXPECT_EQ(runtime({"resume", id()}).code, 0);
  EXPECT_EQ(state().string("/status"), "running");
  EXPECT_EQ(runtime({"resume", id()}).code, 1);

  EXPECT_EQ(runtime({"update", "--memory", "67108864", "--pids-limit", "30", "--cpu-quota", "40000", id()}).code, 0);
  EXPECT_THAT(cgroup_file("memory", "memory.limit_in_bytes", "memory.max"), testing::StartsWith("67108864"));
  EXPECT_THAT(cgroup_file("pids", "pids.max", "pids.max"), testing::StartsWith("30"));
  EXPECT_EQ(runtime({"update", "--resources", "-", id()}, {.input = R"({"pids": {"limit": 40}})"}).code, 0);
  EXPECT_THAT(cgroup_file("pids", "pids.max", "pids.max"), testing::StartsWith("40"));
  // All or nothing: the memory limit cannot be met, so the other one stays as well.
  EXPECT_EQ(runtime({"update", "--resources", "-", id()}, {.input = R"({"pids": {"limit": 50}, "cpu": {"cpus": "4000"}})"}).code, 1);
  EXPECT_THAT(cgroup_file("pids", "pids.max", "pids.max"), testing::StartsWith("40"));

  auto stats = Json::parse(runtime({"events", "--stats", id()}).out);
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->string("/type"), "stats");
  EXPECT_EQ(stats->number("/data/pids/limit"), 40);
  EXPECT_GT(stats->number("/data/memory/usage/usage"), 0);

  EXPECT_EQ(runtime({"list", "--quiet"}).out, id() + "\n");
  EXPECT_THAT(runtime({"list"}).out, HasSubstr("running"));
  auto listed = Json::parse(runtime({"list", "--format", "json"}).out);
  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->string("/0/id"), id());
}

TEST_F(Commands, HooksRunInTheirNamespacesWithTheState) {
  std::filesystem::copy_file(VPS_CONFORMANCE_PROBE, path("probe"));
  auto host_hook = [&](const std::string& name) { return R"([{"path": ")" + path("probe") + R"(", "args": ["probe", "touch:)" + path("log") + "-" + name + R"("]}])"; };
  std::string inside = R"([{"path": "/probe", "args": ["probe", "touch:/tmp/log"]}])";
  for (const char* name : {"prestart", "createRuntime", "createContainer", "poststart", "poststop"}) set(std::string("/hooks/") + name, host_hook(name));
  set("/hooks/startContainer", inside);
  start_waiting();
  auto status = [&](const std::string& file) {
    auto json = Json::parse(read_file(file).value_or(""));
    return json ? json->string("/status") + " " + json->string("/id") : "none";
  };
  EXPECT_EQ(status(path("log-prestart")), "creating " + id());
  EXPECT_EQ(status(path("log-createRuntime")), "creating " + id());
  EXPECT_EQ(status(path("log-createContainer")), "creating " + id());
  EXPECT_EQ(status(rootfs("/tmp/log")), "created " + id());
  EXPECT_EQ(status(path("log-poststart")), "running " + id());
  EXPECT_FALSE(path_exists(path("log-poststop")));
  EXPECT_EQ(runtime({"delete", "--force", id()}).code, 0);
  EXPECT_EQ(status(path("log-poststop")), "stopped " + id());
}

TEST_F(Commands, FailedHooksEndTheContainer) {
  look({"wait"});
  for (const char* name : {"prestart", "createRuntime", "createContainer", "startContainer", "poststart"}) {
    set("/hooks", "{}");
    set(std::string("/hooks/") + name, R"([{"path": ")" + std::string(std::string_view(name) == "startContainer" ? "/probe" : VPS_CONFORMANCE_PROBE) +
                                           R"(", "args": ["probe", "exit:5"]}])");
    store_config();
    auto result = runtime({"run", "--bundle", path("bundle"), id()});
    EXPECT_EQ(result.code, 1) << name;
    EXPECT_THAT(result.err, HasSubstr("exit code 5")) << name;
    EXPECT_THAT(runtime({"list", "-q"}).out, "") << name;
  }
}

// What an engine does with --console-socket: listens, and takes the descriptor that comes.
TEST_F(Commands, TerminalGoesToTheConsoleSocket) {
  set("/process/terminal", "true");
  look({"terminal", "stat:/dev/console", "wait"});
  store_config();
  auto engine = HandOverSocket::listen(path("s"));
  ASSERT_TRUE(engine);
  EXPECT_EQ(runtime({"create", "--bundle", path("bundle"), id()}).code, 1) << "a terminal without anybody to take it";
  auto created = runtime({"create", "--bundle", path("bundle"), "--console-socket", path("s"), id()});
  ASSERT_EQ(created.code, 0) << created.describe();
  auto handed = engine->take();
  ASSERT_TRUE(handed) << handed.error().to_string();
  const auto& terminal = handed->fd;
  ASSERT_EQ(runtime({"start", id()}).code, 0);
  std::string seen;
  while (seen.find("waiting") == std::string::npos) {
    std::array<char, 1024> buffer{};
    ssize_t n = ::read(terminal.get(), buffer.data(), buffer.size());
    ASSERT_GT(n, 0) << seen;
    seen.append(buffer.data(), static_cast<std::size_t>(n));
  }
  EXPECT_THAT(seen, testing::AllOf(HasSubstr("terminal=yes"), HasSubstr("stat:/dev/console=char")));
}

TEST_F(Commands, DescriptorsArePassedOnWhenAskedFor) {
  look({"list:/proc/self/fd", "env:LISTEN_FDS", "read:/proc/self/fd/4"});
  store_config();
  write_file("passed", "through fd 4");
  auto words = "exec 3</dev/null 4<" + path("passed") + " 5</dev/null; exec " VPS_TEST_BIN_DIR "/vpsrun --root " + path("run") +
               " run --preserve-fds 2 --bundle " + path("bundle") + " " + id();
  auto result = vps::test::run({"/bin/sh", "-c", words});
  auto seen = parse_report(result->out);
  EXPECT_EQ(seen["list:/proc/self/fd"], "0 1 2 3 4") << result->describe();
  EXPECT_EQ(seen["read:/proc/self/fd/4"], "through fd 4");
  EXPECT_EQ(vps::test::run({"/bin/sh", "-c", "exec 3<&- 4<&-; exec " VPS_TEST_BIN_DIR "/vpsrun --root " + path("run") + " run --preserve-fds 2 --bundle " +
                                                 path("bundle") + " " + id()})
                ->code,
            1);
}

TEST_F(Commands, SignalsArePassedOnInTheForeground) {
  look({"wait"});
  store_config();
  auto process = Process::start({VPS_TEST_BIN_DIR "/vpsrun", "--root", path("run"), "run", "--bundle", path("bundle"), id()});
  ASSERT_TRUE(process);
  ASSERT_TRUE(process->read_until("waiting"));
  ASSERT_TRUE(process->signal(SIGTERM));
  auto result = process->finish();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->code, 42) << "the probe's own answer to SIGTERM";
  EXPECT_EQ(runtime({"list", "-q"}).out, "");
}

TEST_F(Commands, SpecIsACompleteConfiguration) {
  ASSERT_TRUE(make_dirs(path("new")));
  EXPECT_EQ(runtime({"spec", "--bundle", path("new")}).code, 0);
  auto json = Json::parse(read_file(path("new/config.json")).value_or(""));
  ASSERT_TRUE(json);
  EXPECT_EQ(json->string("/process/args/0"), "sh");
  EXPECT_EQ(json->string("/ociVersion"), "1.3.0");
  EXPECT_TRUE(json->boolean("/process/terminal"));
  EXPECT_EQ(runtime({"spec", "--bundle", path("new")}).code, 1) << "an existing file stays";
  auto features = Json::parse(runtime({"features"}).out);
  ASSERT_TRUE(features);
  EXPECT_EQ(features->string("/ociVersionMax"), "1.3.0");
  EXPECT_GT(features->size("/mountOptions"), 50u);
  EXPECT_GT(features->size("/linux/namespaces"), 6u);
}

// Death of vpsrun at every step: whatever is left, delete --force takes it away (the fixture looks for leftovers).
TEST_F(Commands, DeleteForceClearsWhatADeadRuntimeLeft) {
  look({"wait"});
  store_config();
  std::vector<std::string> points{"create.made",   "create.recorded", "create.cgroup", "create.limits",   "launch.prepared",
                                  "launch.cloned", "launch.id-map",   "launch.rootfs", "create.launched", "create.announced"};
  // All steps that a container of this config.json passes before it is created.
  for (const auto& step : runtime::init_steps()) {
    if (step.name == "start-container-hooks") break;
    if (step.need == runtime::Need::kAlways || step.need == runtime::Need::kNewCgroup || step.need == runtime::Need::kNewNetwork)
      points.push_back("init." + std::string(step.name));
  }
  for (const auto& point : points) {
    for (const char* action : {"kill", "error:EIO"}) {
      CommandOptions options{.env = {{"VPS_FAILPOINTS", point + "=" + action}}};
      auto created = runtime({"create", "--bundle", path("bundle"), id()}, options);
      EXPECT_NE(created.code, 0) << point << " " << action;
      if (std::string_view(action) != "kill" || point.starts_with("init.")) {
        EXPECT_EQ(runtime({"list", "-q"}).out, "") << point << ": an error leaves nothing";
      }
      EXPECT_EQ(runtime({"delete", "--force", id()}).code, 0) << point;
      EXPECT_EQ(runtime({"list", "-q"}).out, "") << point;
    }
  }
  for (const char* point : {"start.connected", "start.started", "delete.killed", "delete.cgroup", "delete.hooks"}) {
    ASSERT_EQ(vps::test::run({"/bin/sh", "-c", "exec \"$@\" </dev/null >/dev/null 2>&1", "sh", VPS_TEST_BIN_DIR "/vpsrun", "--root", path("run"), "create",
                              "--bundle", path("bundle"), id()})->code, 0);
    CommandOptions options{.env = {{"VPS_FAILPOINTS", std::string(point) + "=kill"}}};
    auto command = std::string(point).substr(0, std::string(point).find('.'));
    EXPECT_EQ(runtime({command, id()}, options).code, 128 + SIGKILL) << point;
    EXPECT_EQ(runtime({"delete", "--force", id()}).code, 0) << point;
    EXPECT_EQ(runtime({"list", "-q"}).out, "") << point;
  }
}

// The steps of the init half that come after the creation: the reason travels to start, and what dies there is a stopped container.
TEST_F(Commands, DeathDuringTheStartIsToldByStart) {
  if (!is_vpsrun()) GTEST_SKIP() << "failpoints are ours";
  look({"wait"});
  store_config();
  for (const char* step : {"start-container-hooks", "seccomp", "exec"}) {
    for (const char* action : {"kill", "error:EIO"}) {
      auto point = "init." + std::string(step) + "=" + action;
      ASSERT_EQ(vps::test::run({"/bin/sh", "-c", "exec \"$@\" </dev/null >/dev/null 2>&1", "sh", program(), "--root", path("run"), "create", "--bundle",
                                path("bundle"), id()}, {.env = {{"VPS_FAILPOINTS", point}}})->code, 0) << point;
      auto started = runtime({"start", id()});
      EXPECT_EQ(started.code, 1) << point;
      EXPECT_THAT(started.err, HasSubstr(std::string_view(action) == "kill" ? "ended during its start" : step)) << started.describe();
      EXPECT_TRUE(eventually([&] { return state().string("/status") == "stopped"; })) << point;
      EXPECT_EQ(runtime({"delete", id()}).code, 0) << point;
    }
  }
}

// An exec that fails or dies on its way leaves the container as it was.
TEST_F(Commands, DeathDuringExecLeavesTheContainerAlone) {
  if (!is_vpsrun()) GTEST_SKIP() << "failpoints are ours";
  start_waiting();
  for (const char* point : {"exec.joined", "exec.started"}) {
    for (const char* action : {"kill", "error:EIO"}) {
      CommandOptions options{.env = {{"VPS_FAILPOINTS", std::string(point) + "=" + action}}};
      auto result = runtime({"exec", id(), "/probe", "id"}, options);
      EXPECT_EQ(result.code, std::string_view(action) == "kill" ? 128 + SIGKILL : 255) << point;
      EXPECT_EQ(state().string("/status"), "running") << point;
      EXPECT_EQ(exec({}, {"id"})["id"], "0:0 ") << point;
    }
  }
}

}  // namespace
}  // namespace vps::test
