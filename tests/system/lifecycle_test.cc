// The life of a VPS through vpsctl: states, exit codes of INTERFACES, what create takes and refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/files.h"
#include "tests/support/vpsd_fixture.h"

namespace vps::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class LifecycleTest : public VpsdTest {
 protected:
  std::vector<std::string> ids(const Argv& list) {
    std::vector<std::string> result;
    for (const auto& vps : json(list).items()) result.push_back(vps.string("/id"));
    return result;
  }
  // Size of a file as the VPS has it in its own layer.
  off_t upper_size(const std::string& id, const std::string& path) {
    struct stat info{};
    return ::stat((vpsd_->state() + "/containers/" + id + "/disk/upper" + path).c_str(), &info) == 0 ? info.st_size : -1;
  }
};

TEST_F(LifecycleTest, FromCreateToDestroy) {
  ctl({"create", "101", "--template", "busybox", "--hostname", "web.example.org", "--ip", "none", "--ram", "64M", "--cpus", "1.5"});
  EXPECT_EQ(state_of("101"), "stopped");
  EXPECT_THAT(ids({"list"}), IsEmpty()) << "list without -a shows only what runs";
  EXPECT_THAT(ids({"list", "-a"}), testing::ElementsAre("101"));

  ctl({"start", "--wait", "101"});
  EXPECT_EQ(state_of("101"), "running");
  auto show = json({"show", "101"});
  EXPECT_GT(show.number("/status/pid"), 1);
  EXPECT_EQ(show.string("/definition/hostname"), "web.example.org");
  EXPECT_EQ(show.string("/definition/template"), "busybox");
  EXPECT_EQ(ctl({"exec", "101", "--", "hostname"}).out, "web.example.org\n");
  EXPECT_THAT(ids({"list"}), testing::ElementsAre("101"));

  ctl({"stop", "101"});
  EXPECT_EQ(state_of("101"), "stopped");
  ctl({"destroy", "101"});
  EXPECT_THAT(ids({"list", "-a"}), IsEmpty());
  ctl({"show", "101"}, 3);
}

TEST_F(LifecycleTest, RestartMakesANewPidOne) {
  make_vps("101");
  auto pid = json({"show", "101"}).number("/status/pid");
  ctl({"exec", "101", "--", "touch", "/root/kept", "/run/lost"});
  ctl({"restart", "--wait", "101"});
  EXPECT_EQ(state_of("101"), "running");
  EXPECT_NE(json({"show", "101"}).number("/status/pid"), pid);
  ctl({"exec", "101", "--", "test", "-e", "/root/kept"});
  ctl({"exec", "101", "--", "test", "-e", "/run/lost"}, 1);
}

TEST_F(LifecycleTest, PauseStopsEveryProcessAndResumeLetsItGoOn) {
  make_vps("101");
  ctl({"exec", "--detach", "101", "--", "sh", "-c", "while :; do echo tick >> /root/ticks; usleep 20000; done"});
  ASSERT_TRUE(eventually([&] { return upper_size("101", "/root/ticks") > 10; }));
  ctl({"pause", "101"});
  EXPECT_EQ(state_of("101"), "paused");
  auto frozen = upper_size("101", "/root/ticks");
  // Ten periods of the writer: a VPS that still ran would write.
  (void)eventually([] { return false; }, std::chrono::milliseconds(200));
  EXPECT_EQ(upper_size("101", "/root/ticks"), frozen);
  ctl({"resume", "101"});
  EXPECT_EQ(state_of("101"), "running");
  EXPECT_TRUE(eventually([&] { return upper_size("101", "/root/ticks") > frozen; }));
}

TEST_F(LifecycleTest, APausedVpsCanBeStoppedAndDestroyed) {
  make_vps("101");
  ctl({"pause", "101"});
  ctl({"stop", "101"});
  EXPECT_EQ(state_of("101"), "stopped");
  ctl({"start", "101"});
  ctl({"pause", "101"});
  ctl({"destroy", "--force", "101"});
}

TEST_F(LifecycleTest, WrongStateIsFive) {
  make_vps("101", false);
  for (const Argv& command : {Argv{"stop", "101"}, {"pause", "101"}, {"resume", "101"}, {"exec", "101", "--", "true"}}) {
    auto result = vpsd_->ctl(command);
    // exec has the exit codes of the command it runs; 125 is vpsctl's own failure.
    EXPECT_EQ(result.code, command[0] == "exec" ? 125 : 5) << result.describe();
    EXPECT_THAT(result.err, AllOf(HasSubstr("101"), HasSubstr("stopped")));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
  ctl({"start", "101"});
  ctl({"start", "101"}, 5);
  ctl({"resume", "101"}, 5);
  ctl({"destroy", "101"}, 5);
  EXPECT_EQ(state_of("101"), "running") << "a refused destroy changes nothing";
  ctl({"pause", "101"});
  ctl({"pause", "101"}, 5);
}

TEST_F(LifecycleTest, UnknownIsThree) {
  for (const Argv& command : {Argv{"start", "999"}, {"stop", "999"}, {"restart", "999"}, {"pause", "999"}, {"resume", "999"}, {"destroy", "999"}, {"show", "999"},
                              {"set", "999", "ram=64M"}, {"logs", "999"}, {"rename", "999", "x"}, {"template", "show", "nothing"}, {"template", "remove", "nothing"},
                              {"create", "101", "--template", "nothing", "--ip", "none"}}) {
    auto result = vpsd_->ctl(command);
    EXPECT_EQ(result.code, 3) << result.describe();
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, testing::StartsWith("vpsctl: "));
  }
  EXPECT_THAT(ids({"list", "-a"}), IsEmpty());
}

TEST_F(LifecycleTest, ExistingIsFour) {
  make_vps("101", false);
  ctl({"create", "101", "--template", "busybox", "--ip", "none"}, 4);
  ctl({"create", "102", "--template", "busybox", "--ip", "none", "--name", "web"});
  ctl({"create", "103", "--template", "busybox", "--ip", "none", "--name", "web"}, 4);
  ctl({"rename", "101", "web"}, 4);
  EXPECT_THAT(ids({"list", "-a"}), testing::ElementsAre("101", "102"));
}

TEST_F(LifecycleTest, BadValuesAreTwoAndLeaveNothing) {
  const std::vector<Argv> bad = {
      {"create", "UPPER", "--template", "busybox"},
      {"create", "-x", "--template", "busybox"},
      {"create", std::string(64, 'a'), "--template", "busybox"},
      {"create", "a/b", "--template", "busybox"},
      {"create", "101"},
      {"create", "101", "--template", "busybox", "--ram", "lots"},
      {"create", "101", "--template", "busybox", "--ram", "-1"},
      {"create", "101", "--template", "busybox", "--cpus", "0"},
      {"create", "101", "--template", "busybox", "--cpus", "1e3"},
      {"create", "101", "--template", "busybox", "--hostname", "under_score"},
      {"create", "101", "--template", "busybox", "--set", "no.such.key=1"},
      {"create", "101", "--template", "busybox", "--set", "resources.pids.limit=many"},
      {"create", "101", "--template", "busybox", "--set", "noequals"},
      {"create", "101", "--template", "busybox", "--ip", "300.1.1.1"},
      {"create", "101", "--template", "busybox", "--no-such-option"},
      {"create", "101", "--template", "../etc"},
      {"no-such-command"},
      {"list", "--columns", "nothing"},
  };
  for (const auto& arguments : bad) {
    auto result = vpsd_->ctl(arguments);
    EXPECT_EQ(result.code, 2) << result.describe();
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << "one clear line, not: " << result.err;
  }
  EXPECT_THAT(ids({"list", "-a"}), IsEmpty());
}

TEST_F(LifecycleTest, ABadDefinitionIsToldWithFileLineAndKey) {
  const std::string file = vpsd_->root() + "/etc/bad.yaml";
  struct Case {
    const char* yaml;
    std::vector<std::string> says;
  };
  for (const auto& [yaml, says] : {Case{"id: \"101\"\ntemplate: busybox\nresources:\n  memory: {limit: 12 apples}\n", {"bad.yaml:4", "resources.memory.limit", "12 apples"}},
                                   Case{"id: \"101\"\ntemplate: busybox\nhostnam: x\n", {"bad.yaml:3", "hostnam"}},
                                   Case{"id: \"101\"\nid: \"102\"\ntemplate: busybox\n", {"bad.yaml:2", "id"}},
                                   Case{"id: \"101\"\ntemplate: [\n", {"bad.yaml"}}}) {
    ASSERT_TRUE(write_file_atomic(file, yaml));
    auto result = ctl({"create", "101", "--file", file}, 2);
    for (const auto& word : says) EXPECT_THAT(result.err, HasSubstr(word));
  }
  EXPECT_THAT(ids({"list", "-a"}), IsEmpty());
  ASSERT_TRUE(remove_file(file));
}

TEST_F(LifecycleTest, ErrorsAsJsonHaveCodeAndMessage) {
  auto result = ctl({"-o", "json", "start", "999"}, 3);
  auto text = result.err.empty() ? result.out : result.err;
  auto error = Json::parse(text);
  ASSERT_TRUE(error) << result.describe();
  EXPECT_EQ(error->string("/code"), "not_found");
  EXPECT_THAT(error->string("/message"), HasSubstr("999"));
}

TEST_F(LifecycleTest, DryRunsTouchNothing) {
  auto plan = ctl({"create", "101", "--template", "busybox", "--ip", "none", "--dry-run"});
  EXPECT_THAT(plan.out, Not(IsEmpty()));
  EXPECT_THAT(ids({"list", "-a"}), IsEmpty());
  make_vps("101", false);
  auto steps = ctl({"start", "--dry-run", "101"});
  EXPECT_GT(std::count(steps.out.begin(), steps.out.end(), '\n'), 10) << steps.out;
  EXPECT_EQ(state_of("101"), "stopped");
}

TEST_F(LifecycleTest, NamesIdsAndUuidsAllWork) {
  make_vps("101", true, {"--name", "web"});
  auto uuid = json({"show", "web"}).string("/definition/uuid");
  ASSERT_EQ(uuid.size(), 36u);
  ctl({"rename", "101", "shop"});
  EXPECT_EQ(state_of("shop"), "running");
  ctl({"show", "web"}, 3);
  EXPECT_EQ(json({"show", uuid}).string("/definition/name"), "shop");
  ctl({"stop", uuid});
  EXPECT_EQ(json({"show", "101"}).string("/definition/uuid"), uuid);
  ctl({"rename", "101", "102"}, 0);
  EXPECT_EQ(json({"show", "101"}).string("/definition/name"), "102");
}

TEST_F(LifecycleTest, TheShownDefinitionMakesTheSameVps) {
  make_vps("101", false, {"--ram", "96M", "--cpus", "0.5", "--set", "labels.customer=42", "--set", "resources.pids.limit=77"});
  auto yaml = ctl({"show", "101", "-o", "yaml"}).out;
  const std::string file = vpsd_->root() + "/etc/copy.yaml";
  // id and uuid are the first VPS's own.
  std::string copy;
  for (std::size_t at = 0; at < yaml.size();) {
    auto end = yaml.find('\n', at);
    auto line = yaml.substr(at, end - at + 1);
    if (!line.starts_with("uuid:")) copy += line.starts_with("id:") ? "id: \"102\"\n" : line;
    at = end + 1;
  }
  ASSERT_TRUE(write_file_atomic(file, copy));
  ctl({"create", "102", "--file", file});
  auto definition = json({"show", "102"});
  EXPECT_EQ(definition.string("/definition/resources/memory/limit"), "96M");
  EXPECT_EQ(definition.string("/definition/labels/customer"), "42");
  ASSERT_TRUE(remove_file(file));
}

TEST_F(LifecycleTest, SeveralAtOnceHaveAResultEach) {
  for (const char* id : {"101", "102", "103"}) make_vps(id, false);
  auto result = ctl({"start", "101", "999", "103"}, 3);
  EXPECT_THAT(result.out + result.err, AllOf(HasSubstr("101"), HasSubstr("999"), HasSubstr("103")));
  EXPECT_EQ(state_of("101"), "running");
  EXPECT_EQ(state_of("102"), "stopped");
  EXPECT_EQ(state_of("103"), "running");
  ctl({"stop", "101", "103"});
}

TEST_F(LifecycleTest, EventsTellTheStoryInOrder) {
  make_vps("101");
  ctl({"stop", "101"});
  ctl({"destroy", "101"});
  auto events = Json::parse_lines(ctl({"-o", "json", "events", "--since", "0"}).out);
  ASSERT_TRUE(events);
  std::vector<std::string> types;
  std::int64_t last = 0;
  for (const auto& event : *events) {
    EXPECT_EQ(event.number("/seq"), last + 1);
    last = event.number("/seq");
    if (event.string("/vps") == "101") types.push_back(event.string("/type"));
  }
  for (const char* type : {"vps.created", "vps.started", "vps.stopped", "vps.destroyed"}) EXPECT_THAT(types, Contains(type));
  EXPECT_LT(std::ranges::find(types, "vps.started"), std::ranges::find(types, "vps.stopped"));
}

TEST_F(LifecycleTest, ATemplateInUseIsNotRemoved) {
  make_vps("101", false);
  auto result = ctl({"template", "remove", "busybox"}, 7);
  EXPECT_THAT(result.err, HasSubstr("101"));
  ctl({"start", "101"});
}

TEST_F(LifecycleTest, StopAllGoesInReverseBootOrder) {
  make_vps("101", true, {"--set", "bootOrder=1"});
  make_vps("102", true, {"--set", "bootOrder=3"});
  make_vps("103", true, {"--set", "bootOrder=2"});
  ctl({"stop", "--all"});
  auto events = Json::parse_lines(ctl({"-o", "json", "events", "--since", "0", "--type", "vps.stopped"}).out);
  ASSERT_TRUE(events);
  std::vector<std::string> order;
  for (const auto& event : *events) order.push_back(event.string("/vps"));
  EXPECT_THAT(order, testing::ElementsAre("102", "103", "101"));
}

TEST_F(LifecycleTest, TheConsoleLogKeepsWhatInitSaid) {
  make_vps("101", true, {"--set", R"(init=["/bin/sh", "-c", "echo this is pid $$ on the console; exec sleep 1000"])"});
  EXPECT_TRUE(eventually([&] { return vpsd_->ctl({"logs", "101"}).out.find("this is pid 1 on the console") != std::string::npos; }));
  ctl({"stop", "--force", "101"});
  EXPECT_THAT(ctl({"logs", "101"}).out, HasSubstr("this is pid 1 on the console")) << "the log outlives the run";
}

TEST_F(LifecycleTest, TheBackgroundDaemonLetsItsCallerGoOnceItServes) {
  ASSERT_TRUE(vpsd_->stop());
  const Argv command = {program_path("vpsd"), "--config", vpsd_->root() + "/etc/vpsd.yaml", "--daemon", "--log-file", vpsd_->root() + "/vpsd.log"};
  auto started = run(command);
  ASSERT_TRUE(started) << started.error().to_string();
  EXPECT_EQ(started->code, 0) << started->describe();
  EXPECT_FALSE(started->timed_out) << "its parent waits for ever";
  EXPECT_THAT(ctl({"list", "-a"}).out, testing::StartsWith("ID "));
  auto second = run(command);
  ASSERT_TRUE(second) << second.error().to_string();
  EXPECT_NE(second->code, 0) << "two daemons on one state";
  EXPECT_THAT(second->err, HasSubstr("vpsd: "));
  auto pid = read_file(vpsd_->run_dir() + "/vpsd.pid");
  ASSERT_TRUE(pid) << pid.error().to_string();
  auto daemon = PidFd::open(static_cast<pid_t>(std::stol(*pid)));
  ASSERT_TRUE(daemon) << daemon.error().to_string();
  ASSERT_TRUE(daemon->signal(SIGTERM));
  EXPECT_TRUE(eventually([&] { return !daemon->alive(); }, std::chrono::seconds(20)));
  EXPECT_FALSE(path_exists(vpsd_->run_dir() + "/vpsd.pid"));
  restart_vpsd();
}

}  // namespace
}  // namespace vps::test
