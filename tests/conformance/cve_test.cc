// Ways out of a container that have worked on runtimes before. Each test tries one class of them.
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/conformance/fixture.h"

namespace vps::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class Escape : public ConformanceTest {
 protected:
  void link(const std::string& target, const std::string& inside) { ASSERT_EQ(::symlink(target.c_str(), rootfs(inside).c_str()), 0); }
};

// CVE-2019-5736: the runtime executes itself inside; an attacker keeps its program file and writes to it afterwards.
TEST_F(Escape, ProgramFileOfTheRuntimeCannotBeWritten) {
  if (!is_vpsrun()) GTEST_SKIP() << "is about vpsrun's own file";
  link("/proc/self/exe", "/self");
  ASSERT_EQ(::mkfifo(rootfs("/fifo").c_str(), 0600), 0);
  start_waiting();
  // Detached: as long as some process executes the file, nobody can open it for writing in any case.
  auto hunter = vps::test::run({"/bin/sh", "-c", "exec \"$@\" </dev/null >" + path("hunt") + " 2>&1", "sh", VPS_TEST_BIN_DIR "/vpsrun", "--root", path("run"),
                                "exec", "--detach", id(), "/probe", "hunt"});
  ASSERT_EQ(hunter->code, 0);
  // Waits in the container, as vpsrun, until somebody reads the fifo.
  auto itself = Process::start({VPS_TEST_BIN_DIR "/vpsrun", "--root", path("run"), "exec", id(), "/self", "--log", "/fifo", "list"});
  ASSERT_TRUE(itself);
  auto said = [&] { return read_file(path("hunt")).value_or(""); };
  ASSERT_TRUE(eventually([&] { return said().find("hunter=found") != std::string::npos; })) << said();
  auto reader = open_path(rootfs("/fifo"), O_RDONLY | O_NONBLOCK);
  ASSERT_TRUE(reader);
  (void)itself->finish();
  EXPECT_TRUE(eventually([&] { return said().find("hunt=") != std::string::npos; }));
  EXPECT_EQ(parse_report(said())["hunt"], "error EROFS") << said();
}

// CVE-2021-30465, CVE-2024-45310: symlinks in the root lead mount targets to the host.
TEST_F(Escape, MountTargetsStayInTheRoot) {
  if (is_crun()) GTEST_SKIP() << "crun follows no dangling link to a target, which is as safe";
  ASSERT_TRUE(make_dirs(path("host")));
  write_file("file", "x");
  link(path("host"), "/out");
  link("../../../../../../" + path("host"), "/up");
  add_mount("/out/a", "tmpfs", "tmpfs", {});
  add_mount("/up/b", "bind", path("file"), {"bind"});
  look({"stat:" + path("host") + "/a", "mount:" + path("host") + "/a", "read:" + path("host") + "/b"});
  auto seen = report();
  EXPECT_THAT(*list_dir(path("host")), testing::IsEmpty()) << "nothing was made on the host";
  EXPECT_THAT(seen["mount:" + path("host") + "/a"], HasSubstr("tmpfs")) << "inside, the link leads to the same name below the root";
  EXPECT_EQ(seen["read:" + path("host") + "/b"], "x");
}

// Exchanges two names below the root as fast as it can until it goes: what a process of another container does in a volume that
// both have.
class Exchanger {
 public:
  Exchanger(const std::string& a, const std::string& b) : pid_(::fork()) {
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (true) (void)::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
  }
  Exchanger(const Exchanger&) = delete;
  Exchanger& operator=(const Exchanger&) = delete;
  ~Exchanger() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_;
};

// CVE-2021-30465, CVE-2024-45310: the component of a mount target becomes a symlink to the host between check and use. Files and
// directories that are missing for a target are not made out there either.
TEST_F(Escape, MountTargetsStayInTheRootDuringARace) {
  ASSERT_TRUE(make_dirs(path("host")));
  ASSERT_TRUE(make_dirs(rootfs("/vol/dir")));
  write_file("file", "x");
  link(path("host"), "/vol/link");
  add_mount("/vol/dir/made/deep", "tmpfs", "tmpfs", {});
  add_mount("/vol/dir/file", "bind", path("file"), {"bind"});
  look({});
  Exchanger exchanger(rootfs("/vol/dir"), rootfs("/vol/link"));
  constexpr int kRounds = 40;
  int refused = 0;
  for (int round = 0; round < kRounds; ++round) {
    if (run().code != 0) ++refused;
    ASSERT_THAT(*list_dir(path("host")), testing::IsEmpty()) << "round " << round;
  }
  // Whichever of the two the walk has met, the mount is in the root; a refusal is as good.
  RecordProperty("refused", refused);
}

// CVE-2025-31133, CVE-2025-52565: the same with the null device that masks are made of, and with the target of the console.
TEST_F(Escape, MasksAndConsoleHoldDuringARace) {
  set("/mounts", R"([{"destination": "/proc", "type": "proc", "source": "proc"},
                     {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]}])");
  ASSERT_TRUE(make_dirs(rootfs("/dev/pts")));
  write_file("bundle/rootfs/etc/secret", "secret");
  set("/linux/maskedPaths", R"(["/etc/secret"])");
  set("/linux/readonlyPaths", "[]");
  set("/process/terminal", "true");
  ASSERT_EQ(::mknod(rootfs("/dev/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  link("/proc/sys/kernel/msgmax", "/dev/other");
  write_file("bundle/rootfs/dev/console", "");
  link("/proc/sys/kernel/msgmnb", "/dev/elsewhere");
  look({"read:/etc/secret", "stat:/etc/secret", "stat:/proc/sys/kernel/msgmax", "stat:/proc/sys/kernel/msgmnb"});
  Exchanger nulls(rootfs("/dev/null"), rootfs("/dev/other"));
  Exchanger consoles(rootfs("/dev/console"), rootfs("/dev/elsewhere"));
  constexpr int kRounds = 40;
  int started = 0;
  for (int round = 0; round < kRounds; ++round) {
    auto result = run();
    if (result.code != 0) continue;
    ++started;
    auto text = result.out;
    std::erase(text, '\r');
    auto seen = parse_report(text);
    ASSERT_THAT(seen["stat:/etc/secret"], HasSubstr(" 1:3 ")) << "round " << round;
    ASSERT_THAT(seen["stat:/proc/sys/kernel/msgmax"], HasSubstr("file")) << "round " << round;
    ASSERT_THAT(seen["stat:/proc/sys/kernel/msgmnb"], HasSubstr("file")) << "the terminal lies over a file of /proc, round " << round;
  }
  RecordProperty("started", started);
}

// CVE-2024-21626: a working directory through a descriptor that the runtime left open.
TEST_F(Escape, WorkingDirectoryIsInsideTheRoot) {
  for (int fd = 3; fd < 24; ++fd) {
    set("/process/cwd", "\"/proc/self/fd/" + std::to_string(fd) + "\"");
    look({"cwd", "list:.", "list:../../../.."});
    auto result = run();
    auto seen = parse_report(result.out);
    if (result.code != 0) continue;
    EXPECT_EQ(seen["list:../../../.."], "dev etc probe proc sys tmp") << "cwd through descriptor " << fd;
  }
  set("/process/cwd", "\"/\"");
  start_waiting();
  for (int fd = 3; fd < 24; ++fd) {
    auto result = runtime({"exec", "--cwd", "/proc/self/fd/" + std::to_string(fd), id(), "/probe", "list:../../../.."});
    if (result.code == 0) {
      EXPECT_EQ(parse_report(result.out)["list:../../../.."], "dev etc probe proc sys tmp") << fd;
    }
  }
}

// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: /proc is a link, so that masks and labels go elsewhere.
TEST_F(Escape, ProcAndSysMustBeOrdinaryDirectories) {
  for (const char* name : {"/proc", "/sys"}) {
    ASSERT_EQ(::rmdir(rootfs(name).c_str()), 0);
    ASSERT_TRUE(make_dirs(rootfs("/evil")));
    link("/evil", name);
    look({"list:/evil"});
    auto result = run();
    EXPECT_NE(result.code, 0) << name << " " << result.describe();
    if (is_vpsrun()) {
      EXPECT_THAT(result.err, HasSubstr("symlink")) << result.describe();
    }
    ASSERT_EQ(::unlink(rootfs(name).c_str()), 0);
    ASSERT_TRUE(make_dirs(rootfs(name)));
  }
}

// CVE-2019-16884, CVE-2025-52881: a volume over /proc catches what the runtime writes there.
TEST_F(Escape, NothingElseIsMountedOverProc) {
  if (is_crun()) GTEST_SKIP() << "crun lets it be mounted and looks where it writes";
  ASSERT_TRUE(make_dirs(path("fake/sys/kernel")));
  write_file("fake/sys/kernel/msgmax", "untouched");
  for (const char* where : {"/proc", "/proc/self/attr", "/proc/sys"}) {
    remove("/mounts");
    set("/mounts", R"([{"destination": "/proc", "type": "proc", "source": "proc"}])");
    add_mount(where, "bind", path("fake"), {"bind"});
    look({});
    auto result = run();
    EXPECT_NE(result.code, 0) << where;
    EXPECT_THAT(result.err, HasSubstr("/proc")) << result.describe();
  }
  // Through a link, which a check of names cannot see.
  link("/proc", "/harmless");
  remove("/mounts");
  set("/mounts", R"([{"destination": "/proc", "type": "proc", "source": "proc"}])");
  add_mount("/harmless/sys", "bind", path("fake"), {"bind"});
  EXPECT_NE(run().code, 0);
  // Without any /proc there is nowhere to write a sysctl.
  set("/mounts", "[]");
  add_mount("/proc", "tmpfs", "tmpfs", {});
  set("/linux/sysctl", R"({"kernel.msgmax": "9000"})");
  EXPECT_NE(run().code, 0);
  EXPECT_EQ(read_file(path("fake/sys/kernel/msgmax")).value_or(""), "untouched");
}

// CVE-2025-31133: a /dev/null of the tenant's own shows itself at every masked path.
TEST_F(Escape, MaskIsTheNullDevice) {
  remove("/mounts");
  set("/mounts", R"([{"destination": "/proc", "type": "proc", "source": "proc"}])");
  link("/proc/sys/kernel/core_pattern", "/dev/null");
  set("/linux/maskedPaths", R"(["/proc/keys", "/etc/secret"])");
  write_file("bundle/rootfs/etc/secret", "secret");
  look({"read:/etc/secret", "stat:/etc/secret"});
  auto result = run();
  auto seen = parse_report(result.out);
  // Refused, or masked by the null device: never shown, and never something else in its place.
  if (result.code == 0) {
    EXPECT_THAT(seen["stat:/etc/secret"], HasSubstr("char 666 0:0 1:3"));
  } else {
    EXPECT_THAT(result.err, HasSubstr("/dev/null")) << result.describe();
  }
  EXPECT_THAT(result.out, Not(HasSubstr("=secret")));
}

// CVE-2025-52881, CVE-2019-16884: what the runtime writes for a process goes to a file that does nothing. The files of the first
// process are known by number: it is 1 inside.
TEST_F(Escape, LabelsAndSysctlsAreWrittenToProcItself) {
  if (is_crun()) GTEST_SKIP() << "crun lets it be mounted and looks where it writes";
  write_file("fake", "untouched");
  for (const char* where : {"/proc/1/attr/exec", "/proc/1/attr/apparmor/exec", "/proc/self/attr/exec", "/proc/thread-self/attr/exec", "/proc/sys/kernel/msgmax",
                            "/proc/1/oom_score_adj", "/proc/sysrq-trigger"}) {
    set("/mounts", R"([{"destination": "/proc", "type": "proc", "source": "proc"}])");
    add_mount(where, "bind", path("fake"), {"bind"});
    look({});
    auto result = run();
    EXPECT_NE(result.code, 0) << where;
    EXPECT_THAT(result.err, HasSubstr(where)) << result.describe();
  }
  // The other way round: a harmless file of /proc replaced by a dangerous one.
  set("/mounts", R"([{"destination": "/proc", "type": "proc", "source": "proc"}])");
  add_mount("/proc/1/attr/exec", "bind", "/proc/sysrq-trigger", {"bind"});
  EXPECT_NE(run().code, 0);
  EXPECT_EQ(read_file(path("fake")).value_or(""), "untouched");
}

// CVE-2025-52565: /dev/console is a link into /proc.
TEST_F(Escape, ConsoleIsMountedInTheRootOnly) {
  remove("/mounts");
  set("/mounts", R"([{"destination": "/proc", "type": "proc", "source": "proc"}])");
  add_mount("/dev/pts", "devpts", "devpts", {"newinstance", "ptmxmode=0666"});
  set("/linux/readonlyPaths", "[]");
  set("/linux/maskedPaths", "[]");
  set("/process/terminal", "true");
  link("/proc/sys/kernel/msgmax", "/dev/console");
  look({"stat:/proc/sys/kernel/msgmax"});
  auto result = run();
  EXPECT_THAT(result.out, Not(HasSubstr("stat:/proc/sys/kernel/msgmax=char"))) << "the terminal lies over a file of /proc";
}

// CVE-2022-29162: capabilities that a process of a user takes on through file capabilities.
TEST_F(Escape, InheritableSetStaysEmpty) {
  start_waiting();
  EXPECT_EQ(exec({}, {"status:CapInh"})["status:CapInh"], "0000000000000000");
  EXPECT_EQ(exec({"--cap", "CAP_NET_ADMIN"}, {"status:CapInh"})["status:CapInh"], "0000000000000000");
}

}  // namespace
}  // namespace vps::test
