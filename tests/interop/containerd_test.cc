// containerd and its shim, driven by ctr: a daemon of the suite's own.
#include <unistd.h>

#include "base/files.h"
#include "tests/interop/engine.h"
#include "tests/interop/oci_archive.h"
#include "tests/support/pty.h"

namespace vps::test {
namespace {

using testing::HasSubstr;

constexpr const char* kImage = "example.test/bb:latest";

class Containerd : public EngineTest {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  static Argv argv(const Argv& words) {
    Argv all{"/usr/bin/ctr", "--address", engine().path("s")};
    all.insert(all.end(), words.begin(), words.end());
    return all;
  }
  // ctr waits for the end of a piped input: it gets none.
  static Argv without_input(const Argv& words) {
    Argv all{"/bin/sh", "-c", "exec \"$@\" </dev/null", "sh"};
    auto own = argv(words);
    all.insert(all.end(), own.begin(), own.end());
    return all;
  }
  static CommandResult ctr(int code, const Argv& words) { return run_expecting(code, without_input(words)); }
  // `ctr run OPTIONS IMAGE NAME COMMAND`, in a group of the suite's.
  static Argv run_words(const std::string& name, const Argv& options, const Argv& command) {
    Argv words{"run", "--runc-binary", Engine::runtime(), "--snapshotter", "overlayfs", "--cgroup", engine().cgroup() + "/" + name};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {kImage, name});
    words.insert(words.end(), command.begin(), command.end());
    return words;
  }
  static CommandResult run_once(int code, const Argv& options, const std::string& script) {
    auto all = options;
    all.emplace_back("--rm");
    return ctr(code, run_words("once", all, {"sh", "-c", script}));
  }
  // A task that writes "ready" and, on SIGUSR1, "usr1" into its log and ends with 3 on SIGTERM.
  static void start(const std::string& name, const Argv& options = {}) {
    Argv all{"-d", "--log-uri", "file://" + engine().path(name + ".log")};
    all.insert(all.end(), options.begin(), options.end());
    ctr(0, run_words(name, all, {"sh", "-c", "trap 'exit 3' TERM; trap 'echo usr1' USR1; sleep 100000 & echo ready; while :; do wait; done"}));
    EXPECT_TRUE(eventually([&] { return log_of(name) == "ready\n"; }));
  }
  static std::string log_of(const std::string& name) { return read_file(engine().path(name + ".log")).value_or(""); }
  static std::string status_of(const std::string& name) {
    auto table = ctr(0, {"task", "ls"}).out;
    auto line = table.find(name + " ");
    if (line == std::string::npos) return "";
    auto text = table.substr(line, table.find('\n', line) - line);
    while (!text.empty() && text.back() == ' ') text.pop_back();
    return text.substr(text.rfind(' ') + 1);
  }
  static void remove(const std::string& name, const std::string& signal = "KILL") {
    (void)run(without_input({"task", "kill", "-a", "-s", signal, name}));
    EXPECT_TRUE(eventually([&] { return status_of(name) == "STOPPED"; }));
    (void)run(without_input({"task", "delete", name}));  // the task's code
    ctr(0, {"container", "rm", name});
    (void)remove_file(engine().path(name + ".log"));
  }
};

void Containerd::SetUpTestSuite() {
  open_suite({"containerd", "ctr", "containerd-shim-runc-v2", "busybox", "tar"});
  if (!engine().problem().empty()) return;
  auto configuration = fmt::format(R"(version = 2
root = "{0}/root"
state = "{0}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.tracing"]
[grpc]
address = "{0}/s"
[ttrpc]
address = "{0}/t"
)", engine().path());
  ASSERT_TRUE(write_file_atomic(engine().path("config.toml"), configuration));
  auto started = engine().start_daemon({"/usr/bin/containerd", "--config", engine().path("config.toml")},
                                       [] { return run(without_input({"version"}))->code == 0; });
  if (!started) engine().set_problem("containerd does not start here: " + started.error().to_string());
  ASSERT_TRUE(started) << started.error().to_string();
  auto archive = write_oci_archive(engine().layer(), kImage, engine().path(), engine().path("image.tar"));
  ASSERT_TRUE(archive) << archive.error().to_string();
  ctr(0, {"images", "import", "--snapshotter", "overlayfs", engine().path("image.tar")});
  engine().watch_records("/run/containerd/runc");  // the shim's --root
  start("shared");
}

void Containerd::TearDownTestSuite() {
  if (engine().problem().empty()) {
    remove("shared");
    auto ended = engine().stop_daemon();
    EXPECT_TRUE(ended) << ended.error().to_string();
    EXPECT_THAT(engine().left_at_end(), testing::IsEmpty());
  }
  close_suite();
}

TEST_F(Containerd, RunGivesOutputAndExitCode) {
  auto result = run_once(7, {}, "echo out; echo err >&2; exit 7");
  EXPECT_EQ(result.out, "out\n");
  EXPECT_THAT(result.err, HasSubstr("err\n"));
}

TEST_F(Containerd, ProgramsThatCannotRunSayWhy) {
  auto missing = run(without_input(run_words("none", {"--rm"}, {"/no/program"})));
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->code, 1);
  EXPECT_THAT(missing->err, testing::AllOf(HasSubstr("OCI runtime create failed"), HasSubstr("/no/program: no such file or directory")));
  auto plain = run(without_input(run_words("none", {"--rm"}, {"/etc/passwd"})));
  ASSERT_TRUE(plain);
  EXPECT_THAT(plain->err, HasSubstr("permission denied"));
}

TEST_F(Containerd, ExecInATask) {
  auto result = ctr(5, {"task", "exec", "--exec-id", "one", "--cwd", "/home", "--user", "user", "shared", "sh", "-c", "pwd; id -u; echo err >&2; exit 5"});
  EXPECT_EQ(result.out, "/home\n1000\n");
  EXPECT_THAT(result.err, HasSubstr("err\n"));
  auto missing = run(without_input({"task", "exec", "--exec-id", "two", "shared", "/no/program"}));
  ASSERT_TRUE(missing);
  EXPECT_NE(missing->code, 0);
  EXPECT_THAT(missing->err, HasSubstr("no such file or directory"));
  ctr(0, {"task", "exec", "--exec-id", "three", "--detach", "shared", "touch", "/run/detached"});
  EXPECT_TRUE(eventually([] { return run(without_input({"task", "exec", "--exec-id", "four", "shared", "test", "-e", "/run/detached"}))->code == 0; }));
}

TEST_F(Containerd, Terminals) {
  auto once = Pty::start(argv(run_words("terminal", {"-t", "--rm"}, {"sh", "-c", "tty; until stty size 2>/dev/null | grep '31 77'; do sleep 0.1; done; read line; echo got $line; exit 4"})),
                         {.rows = 31, .columns = 77});
  ASSERT_TRUE(once) << once.error().to_string();
  ASSERT_TRUE(once->read_until("31 77")) << once->transcript();
  EXPECT_THAT(once->transcript(), HasSubstr("/dev/pts/0"));
  ASSERT_TRUE(once->write("words\n"));
  ASSERT_TRUE(once->read_until("got words")) << once->transcript();
  EXPECT_EQ(once->finish()->code, 4);
  auto exec = Pty::start(argv({"task", "exec", "-t", "--exec-id", "tty", "shared", "sh", "-c", "tty; read line; echo got $line; exit 6"}));
  ASSERT_TRUE(exec) << exec.error().to_string();
  ASSERT_TRUE(exec->read_until("/dev/pts/")) << exec->transcript();
  ASSERT_TRUE(exec->write("more\n"));
  ASSERT_TRUE(exec->read_until("got more")) << exec->transcript();
  EXPECT_EQ(exec->finish()->code, 6);
}

TEST_F(Containerd, PauseAndResume) {
  ctr(0, {"task", "pause", "shared"});
  EXPECT_EQ(status_of("shared"), "PAUSED");
  ctr(0, {"task", "resume", "shared"});
  EXPECT_EQ(status_of("shared"), "RUNNING");
}

TEST_F(Containerd, MetricsAndProcesses) {
  EXPECT_THAT(ctr(0, {"task", "metrics", "shared"}).out, testing::AllOf(HasSubstr("pids.current"), HasSubstr("memory.usage_in_bytes")));
  // The program and its sleep.
  auto table = ctr(0, {"task", "ps", "shared"}).out;
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 3) << table;
}

TEST_F(Containerd, SignalsAndCodes) {
  start("signals");
  ctr(0, {"task", "kill", "-s", "USR1", "signals"});
  EXPECT_TRUE(eventually([] { return log_of("signals") == "ready\nusr1\n"; }));
  ctr(0, {"task", "kill", "-s", "TERM", "signals"});
  EXPECT_TRUE(eventually([] { return status_of("signals") == "STOPPED"; }));
  EXPECT_THAT(run(without_input({"task", "delete", "signals"}))->err, HasSubstr("exit code 3"));
  ctr(0, {"container", "rm", "signals"});
  start("killed");
  ctr(0, {"task", "kill", "-a", "-s", "KILL", "killed"});
  EXPECT_TRUE(eventually([] { return status_of("killed") == "STOPPED"; }));
  EXPECT_THAT(run(without_input({"task", "delete", "killed"}))->err, HasSubstr("exit code 137"));
  ctr(0, {"container", "rm", "killed"});
}

TEST_F(Containerd, LimitsAreInTheGroup) {
  start("limited", {"--memory-limit", "50331648", "--cpus", "0.5"});
  auto group = engine().cgroup() + "/limited";
  EXPECT_EQ(group_file(group, "memory", "memory.limit_in_bytes", "memory.max"), "50331648\n");
  auto quota = group_file(group, "cpu", "cpu.cfs_quota_us", "cpu.max");
  EXPECT_EQ(quota.substr(0, quota.find_first_of(" \n")), "50000");
  remove("limited");
}

TEST_F(Containerd, OutOfMemoryIsAnEvent) {
  auto events = Process::start(argv({"events"}));
  ASSERT_TRUE(events) << events.error().to_string();
  // Whoever listens already hears of this one.
  EXPECT_TRUE(eventually([&] {
    ctr(0, {"task", "pause", "shared"});
    ctr(0, {"task", "resume", "shared"});
    return static_cast<bool>(events->read_until("/tasks/paused", std::chrono::milliseconds(500)));
  }));
  auto killed = run(without_input(run_words("hog", {"--rm", "--memory-limit", "16777216"}, {"sh", "-c", "tail /dev/zero; echo survived $?"})));
  ASSERT_TRUE(killed);
  EXPECT_THAT(killed->out, testing::AnyOf("survived 137\n", ""));
  EXPECT_TRUE(events->read_until("/tasks/oom")) << events->out();
}

TEST_F(Containerd, MountsAndSettings) {
  auto folder = engine().path("folder");
  ASSERT_TRUE(make_dirs(folder));
  ASSERT_TRUE(write_file_atomic(folder + "/file", "host\n"));
  auto result = run_once(0, {"--mount", "type=bind,src=" + folder + ",dst=/data,options=rbind:ro", "--env", "KEY=a value", "--read-only", "--seccomp"},
                         "cat /data/file; touch /data/x /x 2>&1 | grep -c Read-only; echo $KEY; grep Seccomp: /proc/self/status");
  EXPECT_EQ(result.out, "host\n2\na value\nSeccomp:\t2\n");
}

}  // namespace
}  // namespace vps::test
