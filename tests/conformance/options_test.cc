// Options and sections that engines and their suites ask for beyond the life of a container: agents of seccomp, sub-cgroups,
// names by regular expression, memory policy, figures at an interval.
#include <linux/mempolicy.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/conformance/fixture.h"
#include "tests/conformance/hand_over.h"

namespace vps::test {
namespace {

using testing::HasSubstr;

class Options : public ConformanceTest {
 protected:
  // Cgroups have the names of the host inside.
  void without_cgroup_namespace() {
    set("/linux/namespaces", R"([{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}])");
  }

  // In every hierarchy where the container is; taken away by delete.
  void make_sub_cgroup(const std::string& name) {
    auto hierarchies = list_dir("/sys/fs/cgroup");
    ASSERT_TRUE(hierarchies);
    for (const auto& hierarchy : *hierarchies) make_below("/sys/fs/cgroup/" + hierarchy, name);
    make_below("/sys/fs/cgroup", name);
  }

 private:
  void make_below(const std::string& base, const std::string& name) {
    auto own = base + "/" + cgroup_name() + "/c";
    if (!path_exists(own)) return;
    ASSERT_EQ(::mkdir((own + "/" + name).c_str(), 0755), 0) << own;
    // In v1 a group is born without any of them, and takes no process.
    for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
      auto value = read_file(own + "/" + file);
      if (!value || base == "/sys/fs/cgroup") continue;
      auto dir = open_dir(own + "/" + name);
      ASSERT_TRUE(dir && write_kernel_file_at(dir->get(), file, *value));
    }
  }
};

// config-linux.md "seccomp", "The Container Process State": the agent gets the listener with the state, and decides.
TEST_F(Options, SeccompAgentGetsListenerStateAndMetadata) {
  if (!is_vpsrun()) GTEST_SKIP() << "runc and crun send a state of their own versions";
  auto agent = HandOverSocket::listen(path("agent"));
  ASSERT_TRUE(agent) << agent.error().to_string();
  set("/linux/seccomp", R"({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "a \"word\"", "listenerPath": ")" + path("agent") +
                            R"(", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]})");
  set("/annotations", R"({"org.example": "x"})");
  look({"mkdir:/tmp/a"});
  store_config();
  auto running = Process::start({VPS_TEST_BIN_DIR "/vpsrun", "--root", path("run"), "run", "--bundle", path("bundle"), id()});
  ASSERT_TRUE(running);
  auto handed = agent->take();
  ASSERT_TRUE(handed) << handed.error().to_string();
  auto state = Json::parse(handed->text);
  ASSERT_TRUE(state) << handed->text;
  EXPECT_EQ(state->string("/fds/0"), "seccompFd");
  EXPECT_EQ(state->string("/metadata"), "a \"word\"");
  EXPECT_EQ(state->string("/state/id"), id());
  EXPECT_EQ(state->string("/state/bundle"), path("bundle"));
  EXPECT_EQ(state->string("/state/annotations/org.example"), "x");
  EXPECT_EQ(state->number("/pid"), state->number("/state/pid"));
  seccomp_notif question{};
  ASSERT_EQ(::ioctl(handed->fd.get(), SECCOMP_IOCTL_NOTIF_RECV, &question), 0);
  EXPECT_EQ(static_cast<std::int64_t>(question.pid), state->number("/pid"));
  seccomp_notif_resp answer{};
  answer.id = question.id;
  answer.error = -EXDEV;
  ASSERT_EQ(::ioctl(handed->fd.get(), SECCOMP_IOCTL_NOTIF_SEND, &answer), 0);
  auto result = running->finish();
  ASSERT_TRUE(result);
  EXPECT_EQ(parse_report(result->out)["mkdir:/tmp/a"], "error EXDEV") << result->describe();
}

TEST_F(Options, SeccompWithoutItsAgentIsAnError) {
  set("/linux/seccomp", R"({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": ")" + path("nobody") +
                            R"(", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]})");
  look({});
  auto result = run();
  EXPECT_NE(result.code, 0);
  EXPECT_THAT(result.err, HasSubstr("nobody"));
}

TEST_F(Options, PidfdSocketGetsTheProcess) {
  if (!is_vpsrun()) GTEST_SKIP() << "newer than the runtimes that the tests are held against";
  auto socket = HandOverSocket::listen(path("pidfd"));
  ASSERT_TRUE(socket);
  look({"wait"});
  store_config();
  auto created = vps::test::run({"/bin/sh", "-c", "exec \"$@\" </dev/null >/dev/null 2>&1", "sh", VPS_TEST_BIN_DIR "/vpsrun", "--root", path("run"), "create",
                                 "--bundle", path("bundle"), "--pidfd-socket", path("pidfd"), id()});
  ASSERT_EQ(created->code, 0);
  auto handed = socket->take();
  ASSERT_TRUE(handed);
  auto info = read_file("/proc/self/fdinfo/" + std::to_string(handed->fd.get())).value_or("");
  EXPECT_THAT(info, HasSubstr("Pid:\t" + std::to_string(state().number("/pid")) + "\n"));
}

TEST_F(Options, ExecGoesIntoASubCgroup) {
  if (!is_vpsrun()) GTEST_SKIP() << "they know the sub-cgroups of pure hosts only";
  without_cgroup_namespace();
  start_waiting();
  ASSERT_NO_FATAL_FAILURE(make_sub_cgroup("below"));
  auto own = "/" + cgroup_name() + "/c";
  EXPECT_THAT(exec({}, {"read:/proc/self/cgroup"})["read:/proc/self/cgroup"], testing::Not(HasSubstr("below")));
  auto seen = exec({"--cgroup", "below"}, {"read:/proc/self/cgroup"})["read:/proc/self/cgroup"];
  EXPECT_THAT(seen, HasSubstr("0::" + own + "/below"));
  EXPECT_THAT(seen, testing::Not(testing::ContainsRegex("/c(\\||$)"))) << "in every hierarchy";
  if (path_exists("/sys/fs/cgroup/memory" + own)) {
    seen = exec({"--cgroup", "memory,pids:/below"}, {"read:/proc/self/cgroup"})["read:/proc/self/cgroup"];
    EXPECT_THAT(seen, testing::AllOf(HasSubstr("memory:" + own + "/below"), HasSubstr("pids:" + own + "/below"), testing::Not(HasSubstr("0::" + own + "/below"))));
  }
  auto missing = runtime({"exec", "--cgroup", "none", id(), "/probe"});
  EXPECT_EQ(missing.code, 255);
  EXPECT_THAT(missing.err, HasSubstr("no such file or directory"));
  EXPECT_EQ(runtime({"exec", "--cgroup", "../..", id(), "/probe", "id"}).code, 0) << "stays in the container's own";
}

TEST_F(Options, ExecHasItsAffinity) {
  if (!is_vpsrun()) GTEST_SKIP() << "newer than the runtimes that the tests are held against";
  start_waiting();
  auto cpus = exec({}, {"affinity"})["affinity"];
  auto last = cpus.substr(cpus.rfind(',') + 1);
  write_file("process.json", R"({"args": ["/probe", "affinity"], "cwd": "/", "execCPUAffinity": {"initial": "0", "final": ")" + last + R"("}})");
  auto result = runtime({"exec", "--process", path("process.json"), id()});
  EXPECT_EQ(parse_report(result.out)["affinity"], last) << result.describe();
}

TEST_F(Options, RegularExpressionsNameContainers) {
  if (!is_vpsrun()) GTEST_SKIP() << "runc has none";
  for (const std::string prefix : {"web-1-", "web-2-", "db-"}) {
    set("/linux/cgroupsPath", "\"/" + cgroup_name() + "/" + prefix + "\"");
    start_waiting(prefix + id());
  }
  EXPECT_EQ(runtime({"kill", "--regex", "^web-[12]-", "KILL"}).code, 0);
  auto stopped = [&](const std::string& name) {
    auto text = Json::parse(runtime({"state", name}).out);
    return text && text->string("/status") == "stopped";
  };
  EXPECT_TRUE(eventually([&] { return stopped("web-1-" + id()) && stopped("web-2-" + id()); }));
  EXPECT_FALSE(stopped("db-" + id()));
  EXPECT_EQ(runtime({"delete", "--regex", "web"}).code, 0);
  EXPECT_EQ(runtime({"list", "-q"}).out, "db-" + id() + "\n");
  EXPECT_EQ(runtime({"delete", "--regex", "db"}).code, 1) << "it runs";
  auto bad = runtime({"delete", "--force", "--regex", "("});
  EXPECT_EQ(bad.code, 1);
  EXPECT_THAT(bad.err, HasSubstr("regular expression"));
  EXPECT_EQ(runtime({"delete", "--force", "--regex", "."}).code, 0);
  EXPECT_EQ(runtime({"list", "-q"}).out, "");
}

TEST_F(Options, MemoryPolicyIsSet) {
  if (!is_vpsrun()) GTEST_SKIP() << "newer than the runtimes that the tests are held against";
  set("/linux/memoryPolicy", R"({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]})");
  look({"mempolicy"});
  EXPECT_EQ(report()["mempolicy"], std::to_string(MPOL_BIND | MPOL_F_STATIC_NODES) + " 1");
  set("/linux/memoryPolicy", R"({"mode": "MPOL_BIND", "nodes": "900"})");
  auto result = run();
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("memory policy"));
  auto features = Json::parse(runtime({"features"}).out);
  ASSERT_TRUE(features);
  EXPECT_EQ(features->size("/linux/memoryPolicy/modes"), 7u);
}

TEST_F(Options, EventsComeAtTheIntervalUntilTheEnd) {
  if (!is_vpsrun()) GTEST_SKIP() << "runc waits for v1's notifications and does not end here";
  start_waiting();
  auto events = Process::start({program(), "--root", path("run"), "events", "--interval", "100ms", id()});
  ASSERT_TRUE(events);
  ASSERT_TRUE(events->read_until("\n"));
  EXPECT_EQ(runtime({"kill", id(), "KILL"}).code, 0);
  auto result = events->finish();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->code, 0) << result->describe();
  auto lines = Json::parse_lines(result->out);
  ASSERT_TRUE(lines) << result->out;
  for (const auto& line : *lines) EXPECT_EQ(line.string("/id"), id());
  EXPECT_EQ(runtime({"events", "--stats", id()}).code, 1) << "it has ended";
  EXPECT_EQ(runtime({"events", "--interval", "0s", id()}).code, 1);
}

// Every flag of update; and a wrong one leaves all as they were.
TEST_F(Options, UpdateTakesEveryFlag) {
  if (!is_vpsrun()) GTEST_SKIP() << "the host's files are those that vpsrun writes";
  start_waiting();
  auto updated = runtime({"update", "--memory", "128M", "--memory-reservation", "64M", "--cpu-period", "50000", "--cpu-quota", "25000", "--cpu-share", "512",
                          "--cpuset-cpus", "0", "--cpuset-mems", "0", "--pids-limit", "77", "--kernel-memory", "0", "--kernel-memory-tcp", "0", id()});
  ASSERT_EQ(updated.code, 0) << updated.describe();
  EXPECT_THAT(cgroup_file("memory", "memory.limit_in_bytes", "memory.max"), testing::StartsWith("134217728"));
  EXPECT_THAT(cgroup_file("memory", "memory.soft_limit_in_bytes", "memory.low"), testing::StartsWith("67108864"));
  EXPECT_THAT(cgroup_file("cpu", "cpu.cfs_quota_us", "cpu.max"), testing::StartsWith("25000"));
  EXPECT_THAT(cgroup_file("cpuset", "cpuset.cpus", "cpuset.cpus"), testing::StartsWith("0"));
  EXPECT_THAT(cgroup_file("pids", "pids.max", "pids.max"), testing::StartsWith("77"));
  for (std::vector<std::string> wrong : {std::vector<std::string>{"--cpuset-cpus", "4000"}, {"--memory", "x"}, {"--cpu-idle", "7"}, {"--blkio-weight", "5"},
                                         {"--cpu-shares", "-3"}, {"--cpuset-mems", "77"}}) {
    wrong.insert(wrong.begin(), {"update", "--pids-limit", "88"});
    wrong.push_back(id());
    EXPECT_EQ(runtime(wrong).code, 1) << wrong[3];
    EXPECT_THAT(cgroup_file("pids", "pids.max", "pids.max"), testing::StartsWith("77")) << wrong[3];
  }
  EXPECT_EQ(runtime({"update", "--pids-limit", "-1", "--memory", "-1", id()}).code, 0);
  EXPECT_THAT(cgroup_file("pids", "pids.max", "pids.max"), testing::StartsWith("max"));
}

TEST_F(Options, CheckpointNamesTheProgramThatIsMissing) {
  if (!is_vpsrun()) GTEST_SKIP() << "the words are ours";
  for (const char* command : {"checkpoint", "restore"}) {
    EXPECT_EQ(runtime({command, "--help"}).code, 0) << "what podman looks for";
    start_waiting(std::string(command) + id());
    auto refused = runtime({command, "--image-path", path("images"), "--tcp-established", "--file-locks", "--ext-unix-sk", "--shell-job", "--manage-cgroups-mode", "soft",
                            std::string(command) + id()}, {.env = {{"PATH", "/nonexistent"}}});
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, HasSubstr("criu is not installed"));
    EXPECT_EQ(runtime({"delete", "--force", std::string(command) + id()}).code, 0);
  }
  auto probe = runtime({"restore", "--lsm-mount-context"});
  EXPECT_NE(probe.code, 0);
  EXPECT_THAT(probe.err, HasSubstr("flag needs an argument")) << "podman looks for these words";
}

TEST_F(Options, DebugTellsTheStepsAsJsonLines) {
  look({});
  store_config();
  auto result = runtime({"--debug", "--log", path("log"), "--log-format", "json", "run", "--bundle", path("bundle"), id()});
  EXPECT_EQ(result.code, 0) << result.describe();
  auto lines = Json::parse_lines(read_file(path("log")).value_or(""));
  ASSERT_TRUE(lines);
  EXPECT_TRUE(!lines->empty() || is_crun()) << "crun has nothing to say";
  for (const auto& line : *lines) EXPECT_EQ(line.string("/level"), "debug");
}

TEST_F(Options, DisabledCgroupManagerLeavesTheContainerInOurs) {
  if (!is_vpsrun()) GTEST_SKIP() << "runc has no such option";
  remove("/linux/resources");
  without_cgroup_namespace();
  look({"read:/proc/self/cgroup"});
  store_config();
  auto result = runtime({"--cgroup-manager", "disabled", "run", "--bundle", path("bundle"), id()});
  EXPECT_EQ(result.code, 0) << result.describe();
  EXPECT_THAT(result.out, testing::Not(HasSubstr(cgroup_name())));
  EXPECT_EQ(runtime({"--cgroup-manager", "none", "list"}).code, 1);
}

}  // namespace
}  // namespace vps::test
