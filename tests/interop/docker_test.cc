// dockerd with its own containerd, without a bridge of the host's and without packet filter rules.
#include <unistd.h>

#include "base/files.h"
#include "tests/interop/engine.h"
#include "tests/support/pty.h"

namespace vps::test {
namespace {

using testing::HasSubstr;

constexpr const char* kImage = "bb";
constexpr const char* kWaiting = "trap 'exit 3' TERM; trap 'echo usr1' USR1; sleep 100000 & echo ready; while :; do wait; done";

class Docker : public EngineTest {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  static std::string socket() { return "unix://" + engine().path("s"); }
  static std::map<std::string, std::string> environment() {
    return {{"DOCKER_HOST", socket()}, {"DOCKER_CONFIG", engine().path("client")}, {"DOCKER_BUILDKIT", "0"}, {"HOME", engine().path()}, {"LC_ALL", "C"}};
  }
  static Argv argv(const Argv& words) {
    Argv all{"/usr/bin/docker"};
    all.insert(all.end(), words.begin(), words.end());
    return all;
  }
  static CommandResult docker(int code, const Argv& words, const CommandOptions& options = {}) {
    auto with = options;
    with.env.merge(environment());
    return run_expecting(code, argv(words), with);
  }
  static CommandResult run_once(int code, const Argv& options, const std::string& script) {
    Argv words{"run", "--rm"};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {kImage, "sh", "-c", script});
    return docker(code, words);
  }
  static void start(const std::string& name, const Argv& options = {}) {
    Argv words{"run", "-d", "--name", name};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {kImage, "sh", "-c", kWaiting});
    docker(0, words);
    EXPECT_TRUE(eventually([&] { return docker(0, {"logs", name}).out.find("ready\n") != std::string::npos; })) << name;
  }
  static std::string inspect(const std::string& name, const std::string& field) {
    auto text = docker(0, {"inspect", "--format", "{{" + field + "}}", name}).out;
    return text.substr(0, text.find('\n'));
  }
  static void remove(const std::string& name) { docker(0, {"rm", "-f", "-v", name}); }
  static std::string group_of(const std::string& name) { return engine().cgroup() + "/" + inspect(name, ".Id"); }

  void TearDown() override {
    if (engine().problem().empty() && HasFailure()) {
      // What a failed test has not removed would fail the next ones.
      (void)run({"/bin/sh", "-c", "docker=/usr/bin/docker; $docker ps -aq --filter name=test- | xargs -r $docker rm -f; $docker network prune -f"}, {.env = environment()});
    }
    EngineTest::TearDown();
  }
};

void Docker::SetUpTestSuite() {
  open_suite({"dockerd", "docker", "containerd", "busybox", "tar"});
  if (!engine().problem().empty()) return;
  ASSERT_TRUE(write_file_atomic(engine().path("daemon.json"), "{}"));
  Argv daemon{"/usr/sbin/dockerd", "--config-file", engine().path("daemon.json"), "--add-runtime", "tested=" + Engine::runtime(), "--default-runtime", "tested",
              "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", engine().cgroup(), "--storage-driver", "overlay2",
              "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-masq=false", "--default-ulimit", "nofile=1024:4096",
              "--data-root", engine().path("data"), "--exec-root", engine().path("exec"), "--host", socket(), "--pidfile", engine().path("pid")};
  auto started = engine().start_daemon(daemon, [] { return run(argv({"version"}), {.env = environment()})->code == 0; });
  if (!started) engine().set_problem("dockerd does not start here: " + started.error().to_string());
  ASSERT_TRUE(started) << started.error().to_string();
  docker(0, {"import", engine().layer(), kImage});
  engine().watch_records(engine().path("exec/runtime-tested"));
  start("shared", {"--memory", "64m", "--hostname", "inside"});
}

void Docker::TearDownTestSuite() {
  if (engine().problem().empty()) {
    remove("shared");
    auto ended = engine().stop_daemon();
    EXPECT_TRUE(ended) << ended.error().to_string();
    // dockerd leaves the parent of its groups.
    force_clean(engine().leak_scope());
    EXPECT_THAT(engine().left_at_end(), testing::IsEmpty());
  }
  close_suite();
}

TEST_F(Docker, RunGivesOutputAndExitCode) {
  auto result = run_once(7, {}, "echo out; echo err >&2; exit 7");
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_EQ(docker(0, {"run", "--rm", "-i", kImage, "cat"}, {.input = "through\n"}).out, "through\n");
}

TEST_F(Docker, ProgramsThatCannotRunAre126And127) {
  docker(127, {"run", "--rm", kImage, "/no/program"});
  docker(127, {"run", "--rm", kImage, "no-program"});
  docker(126, {"run", "--rm", kImage, "/etc/passwd"});
  docker(126, {"exec", "shared", "/etc/passwd"});
}

TEST_F(Docker, TheProcessIsWhatWasAskedFor) {
  auto result = run_once(0, {"--user", "user", "--group-add", "27", "--workdir", "/home", "--env", "KEY=a value", "--hostname", "named", "--cap-drop", "all", "--cap-add", "net_raw",
                             "--ulimit", "nofile=100:200", "--sysctl", "net.ipv4.ip_default_ttl=99", "--security-opt", "no-new-privileges"},
                         "id -u; id -G; pwd; echo \"$KEY\"; hostname; grep CapBnd /proc/self/status; ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_default_ttl;"
                         "grep NoNewPrivs /proc/self/status; grep Seccomp: /proc/self/status");
  EXPECT_EQ(result.out, "1000\n1000 26 27\n/home\na value\nnamed\nCapBnd:\t0000000000002000\n100\n200\n99\nNoNewPrivs:\t1\nSeccomp:\t2\n");
}

TEST_F(Docker, InteractiveTerminal) {
  auto pty = Pty::start(argv({"run", "--rm", "-it", kImage, "sh"}), {.rows = 31, .columns = 77}, {.env = environment()});
  ASSERT_TRUE(pty) << pty.error().to_string();
  ASSERT_TRUE(pty->read_until("/ # ")) << pty->transcript();
  ASSERT_TRUE(pty->write("tty; until stty size 2>/dev/null | grep '31 77'; do sleep 0.1; done; echo done-$((1+1))\n"));
  ASSERT_TRUE(pty->read_until("done-2")) << pty->transcript();
  EXPECT_THAT(pty->transcript(), HasSubstr("/dev/pts/0"));
  ASSERT_TRUE(pty->write("exit 5\n"));
  EXPECT_EQ(pty->finish()->code, 5);
}

TEST_F(Docker, Exec) {
  EXPECT_EQ(docker(9, {"exec", "shared", "sh", "-c", "echo out; echo err >&2; exit 9"}).out, "out\n");
  EXPECT_EQ(docker(0, {"exec", "-u", "user", "-w", "/home", "-e", "A=b c", "shared", "sh", "-c", "id -un; pwd; echo \"$A\"; hostname"}).out, "user\n/home\nb c\ninside\n");
  EXPECT_EQ(docker(0, {"exec", "-i", "shared", "cat"}, {.input = "piped\n"}).out, "piped\n");
  docker(0, {"exec", "-d", "shared", "touch", "/run/detached"});
  EXPECT_TRUE(eventually([] { return run(argv({"exec", "shared", "test", "-e", "/run/detached"}), {.env = environment()})->code == 0; }));
  auto pty = Pty::start(argv({"exec", "-it", "shared", "sh", "-c", "tty; read line; echo got $line; exit 4"}), {}, {.env = environment()});
  ASSERT_TRUE(pty) << pty.error().to_string();
  ASSERT_TRUE(pty->read_until("/dev/pts/")) << pty->transcript();
  ASSERT_TRUE(pty->write("words\n"));
  ASSERT_TRUE(pty->read_until("got words")) << pty->transcript();
  EXPECT_EQ(pty->finish()->code, 4);
}

TEST_F(Docker, TopAndStats) {
  EXPECT_THAT(docker(0, {"top", "shared"}).out, testing::AllOf(HasSubstr("echo ready"), HasSubstr("sleep 100000")));
  EXPECT_THAT(docker(0, {"stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", "shared"}).out, testing::MatchesRegex("shared [0-9.]+[KM]iB / 64MiB 2\n"));
}

TEST_F(Docker, UpdateChangesTheGroup) {
  start("test-updated", {"--memory", "32m", "--memory-swap", "32m", "--pids-limit", "50"});
  auto group = group_of("test-updated");
  EXPECT_EQ(group_file(group, "memory", "memory.limit_in_bytes", "memory.max"), "33554432\n");
  docker(0, {"update", "--memory", "48m", "--memory-swap", "48m", "--cpus", "0.5", "--pids-limit", "60", "--cpuset-cpus", "0", "test-updated"});
  EXPECT_EQ(group_file(group, "memory", "memory.limit_in_bytes", "memory.max"), "50331648\n");
  EXPECT_EQ(group_file(group, "pids", "pids.max", "pids.max"), "60\n");
  EXPECT_EQ(group_file(group, "cpuset", "cpuset.cpus", "cpuset.cpus"), "0\n");
  auto quota = group_file(group, "cpu", "cpu.cfs_quota_us", "cpu.max");
  EXPECT_EQ(quota.substr(0, quota.find_first_of(" \n")), "50000");
  remove("test-updated");
}

TEST_F(Docker, PauseAndUnpause) {
  docker(0, {"pause", "shared"});
  EXPECT_EQ(inspect("shared", ".State.Status"), "paused");
  docker(1, {"exec", "shared", "true"});
  docker(0, {"unpause", "shared"});
  docker(0, {"exec", "shared", "true"});
}

TEST_F(Docker, FromStartToRemoval) {
  start("test-life");
  docker(0, {"kill", "--signal", "USR1", "test-life"});
  EXPECT_TRUE(eventually([] { return docker(0, {"logs", "test-life"}).out == "ready\nusr1\n"; }));
  docker(0, {"stop", "-t", "30", "test-life"});
  EXPECT_EQ(inspect("test-life", ".State.ExitCode"), "3");
  docker(0, {"start", "test-life"});
  docker(0, {"restart", "-t", "0", "test-life"});
  docker(0, {"kill", "test-life"});
  EXPECT_EQ(docker(0, {"wait", "test-life"}).out, "137\n");
  docker(0, {"rm", "test-life"});
}

TEST_F(Docker, InitReapsOrphans) { EXPECT_EQ(run_once(0, {"--init"}, "cat /proc/1/comm").out, "docker-init\n"); }

TEST_F(Docker, RestartPolicy) {
  docker(0, {"run", "-d", "--name", "test-again", "--restart", "on-failure:2", kImage, "sh", "-c", "exit 4"});
  EXPECT_TRUE(eventually([] { return inspect("test-again", ".RestartCount") == "2" && inspect("test-again", ".State.Status") == "exited"; }, std::chrono::seconds(30)));
  EXPECT_EQ(inspect("test-again", ".State.ExitCode"), "4");
  remove("test-again");
  start("test-always", {"--restart", "always"});
  auto first = inspect("test-always", ".State.Pid");
  // From behind: with pid 1 all of its namespace is killed, the program that has sent the signal too.
  docker(0, {"exec", "-d", "test-always", "sh", "-c", "sleep 0.2; kill -TERM 1"});
  EXPECT_TRUE(eventually([&] { return inspect("test-always", ".RestartCount") == "1" && inspect("test-always", ".State.Status") == "running"; }, std::chrono::seconds(30)));
  EXPECT_NE(inspect("test-always", ".State.Pid"), first);
  remove("test-always");
}

TEST_F(Docker, OutOfMemoryIsReported) {
  docker(137, {"run", "--name", "test-hog", "--memory", "20m", "--memory-swap", "20m", kImage, "sh", "-c", "tail /dev/zero"});
  EXPECT_EQ(inspect("test-hog", ".State.OOMKilled"), "true");
  remove("test-hog");
}

TEST_F(Docker, Healthcheck) {
  start("test-healthy", {"--health-cmd", "test ! -e /run/sick", "--health-interval", "200ms", "--health-retries", "1"});
  EXPECT_TRUE(eventually([] { return inspect("test-healthy", ".State.Health.Status") == "healthy"; }, std::chrono::seconds(30)));
  docker(0, {"exec", "test-healthy", "touch", "/run/sick"});
  EXPECT_TRUE(eventually([] { return inspect("test-healthy", ".State.Health.Status") == "unhealthy"; }, std::chrono::seconds(30)));
  remove("test-healthy");
}

TEST_F(Docker, MountsAndReadOnlyRoot) {
  auto folder = engine().path("folder");
  ASSERT_TRUE(make_dirs(folder));
  ASSERT_TRUE(write_file_atomic(folder + "/file", "host\n"));
  docker(0, {"volume", "create", "kept"});
  auto result = run_once(0, {"--read-only", "--tmpfs", "/scratch:size=1m,mode=1770", "-v", folder + ":/ro:ro", "-v", "kept:/kept", "--mount", "type=bind,src=" + folder + ",dst=/rw"},
                         "cat /ro/file; touch /x /ro/x 2>&1 | grep -c Read-only; echo kept >/kept/file; echo back >/rw/back; stat -c %a /scratch; touch /scratch/x");
  EXPECT_EQ(result.out, "host\n2\n1770\n");
  EXPECT_EQ(run_once(0, {"-v", "kept:/kept"}, "cat /kept/file").out, "kept\n");
  docker(0, {"volume", "rm", "kept"});
}

TEST_F(Docker, Build) {
  auto folder = engine().path("context");
  ASSERT_TRUE(make_dirs(folder));
  ASSERT_TRUE(write_file_atomic(folder + "/added", "from the context\n"));
  ASSERT_TRUE(write_file_atomic(folder + "/Dockerfile", "FROM bb\nCOPY added /added\nRUN cat /added >/made && id -u >>/made\nCMD [\"cat\", \"/made\"]\n"));
  docker(0, {"build", "--network", "none", "-t", "built", folder});
  EXPECT_EQ(docker(0, {"run", "--rm", "built"}).out, "from the context\n0\n");
  docker(0, {"rmi", "built"});
}

TEST_F(Docker, CopyAndCommit) {
  ASSERT_TRUE(write_file_atomic(engine().path("sent"), "sent\n"));
  docker(0, {"cp", engine().path("sent"), "shared:/var/sent"});
  EXPECT_EQ(docker(0, {"exec", "shared", "cat", "/var/sent"}).out, "sent\n");
  docker(0, {"commit", "shared", "committed"});
  EXPECT_EQ(docker(0, {"run", "--rm", "committed", "cat", "/var/sent"}).out, "sent\n");
  docker(0, {"rmi", "committed"});
}

// What a compose file with a server, a middle and a client would make: a network, a volume, names, an order.
TEST_F(Docker, ThreeContainersOnOneNetwork) {
  docker(0, {"network", "create", "--subnet", "10.92.0.0/24", "test-net"});
  docker(0, {"volume", "create", "test-data"});
  docker(0, {"run", "-d", "--name", "test-data-server", "--network", "test-net", "--network-alias", "data", "-v", "test-data:/data", kImage, "sh", "-c",
             "echo stored >/data/index.html; exec httpd -f -p 80 -h /data"});
  docker(0, {"run", "-d", "--name", "test-front", "--network", "test-net", "--network-alias", "front", kImage, "sh", "-c",
             "mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho; wget -q -O - http://data/\\n' >/www/cgi-bin/get; chmod 755 /www/cgi-bin/get; exec httpd -f -p 8080 -h /www"});
  // By name and through both.
  EXPECT_TRUE(eventually([] {
    return run(argv({"run", "--rm", "--network", "test-net", kImage, "wget", "-q", "-O", "-", "http://front:8080/cgi-bin/get"}), {.env = environment()})->out == "stored\n";
  }, std::chrono::seconds(30)));
  remove("test-front");
  remove("test-data-server");
  docker(0, {"network", "rm", "test-net"});
  docker(0, {"volume", "rm", "test-data"});
}

TEST_F(Docker, Privileged) {
  auto result = run(argv({"run", "--rm", "--privileged", kImage, "sh", "-c", "mount -t tmpfs x /tmp && ls /dev | grep -c kmsg"}), {.env = environment()});
  ASSERT_TRUE(result);
  if (result->code == 126 || result->code == 125)
    if (result->err.find("set capabilities") != std::string::npos || result->err.find("capset") != std::string::npos) GTEST_SKIP() << "--privileged asks for capabilities that this host's root does not have";
  EXPECT_EQ(result->code, 0) << result->describe();
  EXPECT_EQ(result->out, "1\n");
}

}  // namespace
}  // namespace vps::test
