// podman's commands over the life of a container.
#include <unistd.h>

#include "base/files.h"
#include "tests/interop/podman.h"

namespace vps::test {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST_F(Podman, RunGivesOutputAndExitCode) {
  auto result = run_once(7, {}, "echo out; echo err >&2; exit 7");
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_EQ(run_once(143, {"--init"}, "kill -15 $$").out, "");
  auto input = run_words({"--rm", "-i"});
  input.emplace_back("cat");
  EXPECT_EQ(podman(0, input, {.input = "through\n"}).out, "through\n");
}

TEST_F(Podman, ProgramsThatCannotRunAre126And127) {
  auto missing = run_words({"--rm"});
  missing.emplace_back("/no/program");
  podman(127, missing);
  auto plain = run_words({"--rm"});
  plain.emplace_back("/etc/passwd");
  podman(126, plain);
  podman(127, {"exec", kShared, "/no/program"});
  podman(126, {"exec", kShared, "/etc/passwd"});
}

TEST_F(Podman, TheProcessIsWhatWasAskedFor) {
  auto result = run_once(0, {"--user", "user", "--group-add", "26", "--workdir", "/home", "--env", "KEY=a value", "--hostname", "named", "--cap-drop", "all", "--cap-add", "net_raw",
                             "--ulimit", "nofile=100:200", "--ulimit", "nproc=500:500", "--sysctl", "net.ipv4.ip_default_ttl=99", "--tz", "local", "--label", "k=v", "--add-host", "other:10.9.8.7"},
                         "id -u; id -G; pwd; echo \"$KEY\"; hostname; grep CapBnd /proc/self/status; ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_default_ttl;"
                         "grep -c 10.9.8.7 /etc/hosts; grep NoNewPrivs /proc/self/status");
  EXPECT_EQ(result.out, "1000\n1000 26\n/home\na value\nnamed\nCapBnd:\t0000000000002000\n100\n200\n99\n1\nNoNewPrivs:\t0\n");
  EXPECT_THAT(run_once(0, {"--security-opt", "no-new-privileges"}, "cat /proc/self/status").out, HasSubstr("NoNewPrivs:\t1"));
}

TEST_F(Podman, SeccompIsThere) {
  EXPECT_EQ(run_once(0, {}, "grep Seccomp: /proc/self/status").out, "Seccomp:\t2\n");
  EXPECT_EQ(run_once(0, {"--security-opt", "seccomp=unconfined"}, "grep Seccomp: /proc/self/status").out, "Seccomp:\t0\n");
}

TEST_F(Podman, InteractiveTerminal) {
  auto words = run_words({"--rm", "-it"});
  words.emplace_back("sh");
  auto pty = Pty::start(argv(words), {.rows = 31, .columns = 77}, {.env = environment()});
  ASSERT_TRUE(pty) << pty.error().to_string();
  ASSERT_TRUE(pty->read_until("/ # "));
  // podman passes the size on when the program runs already.
  ASSERT_TRUE(pty->write("tty; until stty size 2>/dev/null | grep '31 77'; do sleep 0.1; done; echo done-$((1+1))\n"));
  auto seen = pty->read_until("done-2");
  ASSERT_TRUE(seen) << seen.error().to_string();
  EXPECT_THAT(*seen, HasSubstr("/dev/pts/0"));
  EXPECT_THAT(*seen, HasSubstr("31 77"));
  ASSERT_TRUE(pty->resize({.rows = 40, .columns = 100}));
  ASSERT_TRUE(pty->write("until stty size | grep '40 100'; do sleep 0.1; done; echo done-$((2+1))\n"));
  ASSERT_TRUE(pty->read_until("done-3")) << pty->transcript();
  ASSERT_TRUE(pty->write("exit 5\n"));
  auto status = pty->finish();
  ASSERT_TRUE(status) << status.error().to_string();
  EXPECT_EQ(status->code, 5);
}

TEST_F(Podman, ExecRunsBesideTheProgram) {
  EXPECT_THAT(podman(0, {"exec", kShared, "cat", "/proc/1/cmdline"}).out, HasSubstr("echo ready"));
  EXPECT_EQ(podman(9, {"exec", kShared, "sh", "-c", "echo out; echo err >&2; exit 9"}).err.substr(0, 4), "err\n");
  EXPECT_EQ(podman(0, {"exec", "-u", "user", "-w", "/home", "-e", "A=b c", kShared, "sh", "-c", "id -un; pwd; echo \"$A\"; hostname"}).out, "user\n/home\nb c\ninside\n");
  EXPECT_EQ(podman(0, {"exec", "-i", kShared, "cat"}, {.input = "piped\n"}).out, "piped\n");
  EXPECT_EQ(podman(0, {"exec", "--privileged", kShared, "grep", "CapEff", "/proc/self/status"}).out,
            podman(0, {"exec", "--privileged", kShared, "grep", "CapBnd", "/proc/self/status"}).out.replace(3, 3, "Eff"));
  podman(0, {"exec", "-d", kShared, "touch", "/run/detached"});
  EXPECT_TRUE(eventually([&] { return run(argv({"exec", kShared, "test", "-e", "/run/detached"}), {.env = environment()})->code == 0; }));
}

TEST_F(Podman, ExecOnATerminal) {
  auto pty = Pty::start(argv({"exec", "-it", kShared, "sh", "-c", "tty; until stty size 2>/dev/null | grep '33 99'; do sleep 0.1; done; read line; echo got $line; exit 4"}), {.rows = 33, .columns = 99}, {.env = environment()});
  ASSERT_TRUE(pty) << pty.error().to_string();
  auto seen = pty->read_until("33 99");
  ASSERT_TRUE(seen) << seen.error().to_string();
  EXPECT_THAT(*seen, HasSubstr("/dev/pts/"));
  ASSERT_TRUE(pty->write("words\n"));
  ASSERT_TRUE(pty->read_until("got words"));
  EXPECT_EQ(pty->finish()->code, 4);
}

TEST_F(Podman, TopAndStats) {
  auto top = podman(0, {"top", kShared, "pid", "user", "args"}).out;
  EXPECT_THAT(top, HasSubstr("echo ready"));
  auto stats = Json::parse(podman(0, {"stats", "--no-stream", "--format", "json", kShared}).out);
  ASSERT_TRUE(stats) << stats.error().to_string();
  EXPECT_EQ(stats->string("/0/name"), kShared);
  EXPECT_THAT(stats->string("/0/mem_usage"), HasSubstr("67.11MB"));  // of the limit
  EXPECT_GE(std::atoi(stats->string("/0/pids").c_str()), 1);
}

TEST_F(Podman, PauseAndUnpause) {
  podman(0, {"pause", kShared});
  EXPECT_EQ(inspect(kShared, ".State.Status"), "paused");
  podman(255, {"exec", kShared, "true"});
  podman(0, {"unpause", kShared});
  EXPECT_EQ(inspect(kShared, ".State.Status"), "running");
  podman(0, {"exec", kShared, "true"});
}

TEST_F(Podman, FromStartToRemoval) {
  start("life");
  podman(0, {"kill", "--signal", "USR1", "life"});
  EXPECT_TRUE(eventually([&] { return podman(0, {"logs", "life"}).out == "ready\nusr1\n"; }));
  podman(0, {"stop", "-t", "30", "life"});
  EXPECT_EQ(inspect("life", ".State.ExitCode"), "3");
  podman(255, {"exec", "life", "true"});
  podman(0, {"start", "life"});
  EXPECT_TRUE(eventually([&] { return podman(0, {"logs", "life"}).out == "ready\nusr1\nready\n"; }));
  auto first = inspect("life", ".State.Pid");
  podman(0, {"restart", "-t", "30", "life"});
  EXPECT_NE(inspect("life", ".State.Pid"), first);
  podman(0, {"kill", "life"});
  EXPECT_EQ(podman(0, {"wait", "life"}).out, "137\n");
  EXPECT_EQ(podman(0, {"diff", "life"}).out.find("/bin/sh"), std::string::npos);
  podman(0, {"rm", "life"});
  podman(125, {"inspect", "life"});
}

TEST_F(Podman, StopKillsWhatDoesNotListen) {
  podman(0, [] {
    auto words = run_words({"-d", "--name", "deaf"});
    for (const char* word : {"sh", "-c", "trap '' TERM; while :; do sleep 1; done"}) words.emplace_back(word);
    return words;
  }());
  podman(0, {"stop", "-t", "1", "deaf"});
  EXPECT_EQ(inspect("deaf", ".State.ExitCode"), "137");
  remove("deaf");
}

TEST_F(Podman, AttachFollowsTheOutput) {
  start("attached");
  auto attached = Process::start(argv({"attach", "--no-stdin", "attached"}), {.env = environment()});
  ASSERT_TRUE(attached) << attached.error().to_string();
  // Whatever is said before attach is ready is not seen by it.
  bool seen = eventually([&] {
    podman(0, {"kill", "--signal", "USR1", "attached"});
    return static_cast<bool>(attached->read_until("usr1", std::chrono::milliseconds(500)));
  });
  EXPECT_TRUE(seen);
  podman(0, {"stop", "-t", "30", "attached"});
  EXPECT_TRUE(attached->finish());
  remove("attached");
}

TEST_F(Podman, Healthcheck) {
  start("healthy", {"--health-cmd", "test ! -e /run/sick", "--health-interval", "disable", "--health-retries", "1"});
  podman(0, {"healthcheck", "run", "healthy"});
  EXPECT_EQ(inspect("healthy", ".State.Health.Status"), "healthy");
  podman(0, {"exec", "healthy", "touch", "/run/sick"});
  podman(1, {"healthcheck", "run", "healthy"});
  EXPECT_EQ(inspect("healthy", ".State.Health.Status"), "unhealthy");
  remove("healthy");
}

TEST_F(Podman, Build) {
  auto folder = engine().path("context");
  ASSERT_TRUE(make_dirs(folder));
  ASSERT_TRUE(write_file_atomic(folder + "/added", "from the context\n"));
  ASSERT_TRUE(write_file_atomic(folder + "/Containerfile",
                                "FROM localhost/bb\nCOPY added /added\nENV NAME=built\nRUN cat /added > /made && id -u >> /made && test -d /proc/self\n"
                                "USER user\nRUN echo $NAME > /tmp/by-user && stat -c %U /tmp/by-user | grep user\nCMD [\"cat\", \"/made\", \"/tmp/by-user\"]\n"));
  podman(0, {"build", "--isolation", "oci", "--network", "none", "--cgroup-parent", engine().cgroup() + "/build", "-t", "localhost/built", folder});
  EXPECT_EQ(podman(0, {"run", "--rm", "--network", "none", "--cgroup-parent", engine().cgroup(), "localhost/built"}).out, "from the context\n0\nbuilt\n");
  ASSERT_TRUE(write_file_atomic(folder + "/Containerfile", "FROM localhost/bb\nRUN exit 3\n"));
  auto failed = run(argv({"build", "--isolation", "oci", "--network", "none", "--cgroup-parent", engine().cgroup() + "/build", folder}), {.env = environment()});
  ASSERT_TRUE(failed);
  EXPECT_NE(failed->code, 0);
  EXPECT_THAT(failed->err, HasSubstr("exit status 3"));
}

TEST_F(Podman, PodSharesItsNamespaces) {
  podman(0, {"pod", "create", "--name", "group", "--network", "none", "--cgroup-parent", engine().cgroup(), "--share", "net,ipc,uts", "--hostname", "podhost"});
  podman(0, {"run", "-d", "--pod", "group", "--name", "server", kImage, "sh", "-c", "echo served >/tmp/index.html; exec httpd -f -p 127.0.0.1:8080 -h /tmp"});
  podman(0, {"run", "-d", "--pod", "group", "--name", "second", kImage, "sleep", "1000"});
  bool served = eventually([&] {
    return run(argv({"exec", "second", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/"}), {.env = environment()})->out == "served\n";
  });
  EXPECT_TRUE(served);
  EXPECT_EQ(podman(0, {"exec", "second", "hostname"}).out, "podhost\n");
  EXPECT_EQ(podman(0, {"exec", "server", "readlink", "/proc/self/ns/net"}).out, podman(0, {"exec", "second", "readlink", "/proc/self/ns/net"}).out);
  podman(0, {"pod", "pause", "group"});
  EXPECT_EQ(inspect("second", ".State.Status"), "paused");
  podman(0, {"pod", "unpause", "group"});
  podman(0, {"pod", "stop", "-t", "0", "group"});
  EXPECT_EQ(inspect("server", ".State.Running"), "false");
  podman(0, {"pod", "rm", "group"});
  // podman makes the pod's group in every hierarchy, and removes it from those with controllers only: on a hybrid host the rest is
  // left over with any runtime.
  auto groups = list_dir("/sys/fs/cgroup/unified" + engine().cgroup());
  for (const auto& name : groups.value_or(std::vector<std::string>{}))
    for (const char* hierarchy : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"})
      if (name.size() == 64) (void)::rmdir((hierarchy + engine().cgroup() + "/" + name).c_str());
}

TEST_F(Podman, ContainersJoinNamespaces) {
  EXPECT_EQ(run_once(0, {"--pid", std::string("container:") + kShared}, "cat /proc/1/cmdline | tr '\\0' ' '").out.substr(0, 5), "sh -c");
  auto words = Argv{"run", "--rm", "--cgroup-parent", engine().cgroup(), "--network", std::string("container:") + kShared, "--ipc", std::string("container:") + kShared, kImage, "readlink", "/proc/self/ns/net"};
  EXPECT_EQ(podman(0, words).out, podman(0, {"exec", kShared, "readlink", "/proc/self/ns/net"}).out);
  EXPECT_THAT(run_once(0, {"--pid", "host"}, "echo /proc/*").out, HasSubstr(std::to_string(::getpid())));
}

TEST_F(Podman, ContainersOnOneBridge) {
  podman(0, {"network", "create", "--disable-dns", "--subnet", "10.91.7.0/24", "lan"});
  auto words = Argv{"run", "-d", "--name", "web", "--cgroup-parent", engine().cgroup(), "--network", "lan", "--ip", "10.91.7.10", kImage, "sh", "-c",
                    "echo over the bridge >/tmp/index.html; exec httpd -f -p 80 -h /tmp"};
  auto started = run(argv(words), {.env = environment()});
  ASSERT_TRUE(started);
  if (started->code != 0 && started->err.find("netavark") != std::string::npos && started->err.find("iptables") != std::string::npos) {
    remove("web");
    podman(0, {"network", "rm", "lan"});
    GTEST_SKIP() << "the kernel lacks what netavark asks of iptables";
  }
  ASSERT_EQ(started->code, 0) << started->describe();
  bool seen = eventually([&] {
    return run(argv({"run", "--rm", "--cgroup-parent", engine().cgroup(), "--network", "lan", kImage, "wget", "-q", "-O", "-", "http://10.91.7.10/"}),
               {.env = environment()})->out == "over the bridge\n";
  });
  EXPECT_TRUE(seen);
  remove("web");
  podman(0, {"network", "rm", "-f", "lan"});
}

TEST_F(Podman, CopyAndCommit) {
  ASSERT_TRUE(write_file_atomic(engine().path("sent"), "sent\n"));
  podman(0, {"cp", engine().path("sent"), std::string(kShared) + ":/run/sent"});
  EXPECT_EQ(podman(0, {"exec", kShared, "cat", "/run/sent"}).out, "sent\n");
  podman(0, {"cp", std::string(kShared) + ":/etc/passwd", engine().path("fetched")});
  EXPECT_THAT(read_file(engine().path("fetched")).value_or(""), HasSubstr("user:x:1000"));
}

TEST_F(Podman, Checkpoint) {
  auto probe = run({Engine::runtime(), "checkpoint", "--help"});
  ASSERT_TRUE(probe);
  if (probe->code != 0) GTEST_SKIP() << "the runtime has no checkpoint command";
  auto criu = run({"criu", "check"});
  if (!criu || criu->code != 0) GTEST_SKIP() << "criu is not installed, or does not work on this kernel";
  podman(0, [] {
    auto words = run_words({"-d", "--name", "frozen"});
    for (const char* word : {"sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done"}) words.emplace_back(word);
    return words;
  }());
  EXPECT_TRUE(eventually([&] { return podman(0, {"logs", "frozen"}).out.find("3\n") != std::string::npos; }));
  podman(0, {"container", "checkpoint", "frozen"});
  EXPECT_EQ(inspect("frozen", ".State.Running"), "false");
  auto before = podman(0, {"logs", "frozen"}).out;
  podman(0, {"container", "restore", "frozen"});
  EXPECT_TRUE(eventually([&] { return podman(0, {"logs", "frozen"}).out.size() > before.size(); }));
  auto after = podman(0, {"logs", "frozen"}).out.substr(before.size());
  EXPECT_NE(after.substr(0, 2), "1\n") << "it goes on, it does not begin anew";
  remove("frozen");
}

}  // namespace
}  // namespace vps::test
