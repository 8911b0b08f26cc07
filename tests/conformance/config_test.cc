// What config.json asks for, held against what a process inside sees.
#include <linux/ioprio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/conformance/fixture.h"

namespace vps::test {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Conformance : public ConformanceTest {};

TEST_F(Conformance, ProcessIsAsAskedFor) {
  set("/process/user", R"({"uid": 1000, "gid": 1001, "umask": 63, "additionalGids": [7, 8]})");
  set("/process/env", R"(["PATH=/", "GREETING=a b"])");
  set("/process/cwd", R"("/tmp")");
  set("/process/noNewPrivileges", "true");
  set("/process/rlimits", R"([{"type": "RLIMIT_CORE", "soft": 5, "hard": 10}, {"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}])");
  set("/process/oomScoreAdj", "500");
  set("/process/capabilities/ambient", R"(["CAP_KILL"])");
  set("/process/capabilities/inheritable", R"(["CAP_KILL"])");
  look({"id", "umask", "env:GREETING", "cwd", "status:NoNewPrivs", "limit:4", "limit:7", "read:/proc/self/oom_score_adj", "status:CapBnd",
        "status:CapEff", "status:CapAmb", "pid", "terminal"});
  auto seen = report();
  EXPECT_EQ(seen["id"], "1000:1001 7 8");
  EXPECT_EQ(seen["umask"], "63");
  EXPECT_EQ(seen["env:GREETING"], "a b");
  EXPECT_EQ(seen["cwd"], "/tmp");
  EXPECT_EQ(seen["status:NoNewPrivs"], "1");
  EXPECT_EQ(seen["limit:4"], "5:10");
  EXPECT_EQ(seen["limit:7"], "64:128");
  EXPECT_EQ(seen["read:/proc/self/oom_score_adj"], "500");
  EXPECT_EQ(seen["status:CapBnd"], "0000000008000021");
  EXPECT_EQ(seen["status:CapEff"], "0000000000000020") << "of a user that is not root only the ambient set survives execve";
  EXPECT_EQ(seen["status:CapAmb"], "0000000000000020");
  EXPECT_EQ(seen["pid"], "1");
  EXPECT_EQ(seen["terminal"], "no");
}

TEST_F(Conformance, NothingOfTheCallerLeaksIn) {
  look({"list:/proc/self/fd", "status:SigBlk", "status:SigIgn", "env:HOME", "mount:/", "list:/", "status:CapInh"});
  store_config();
  // A caller with an open descriptor, an ignored signal and a variable of its own.
  auto words = "trap '' USR1; exec 9</etc/passwd; exec \"$0\" --root \"$1\" run --bundle \"$2\" \"$3\"";
  const char* program = ::getenv("VPS_CONFORMANCE_RUNTIME");
  auto result = vps::test::run({"/bin/sh", "-c", words, program != nullptr ? program : VPS_TEST_BIN_DIR "/vpsrun", path("run"), path("bundle"), id()});
  ASSERT_TRUE(result);
  auto seen = parse_report(result->out);
  EXPECT_EQ(seen["list:/proc/self/fd"], "0 1 2") << result->describe();
  EXPECT_EQ(seen["status:SigBlk"], "0000000000000000");
  EXPECT_EQ(seen["status:CapInh"], "0000000000000000");
  if (is_vpsrun()) {
    EXPECT_EQ(seen["status:SigIgn"], "0000000000000000");
  }
  EXPECT_EQ(seen["env:HOME"].find("/root"), std::string::npos);
  EXPECT_EQ(seen["list:/"], "dev etc probe proc sys tmp");
}

TEST_F(Conformance, NamesAndNamespacesAreOnesOwn) {
  set("/domainname", "\"example.org\"");
  set("/linux/sysctl", R"({"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000"})");
  look({"read:/proc/sys/kernel/hostname", "read:/proc/sys/kernel/domainname", "read:/proc/sys/net/ipv4/ip_forward", "read:/proc/sys/kernel/msgmax",
        "link:/proc/self/ns/net", "link:/proc/self/ns/ipc", "link:/proc/self/ns/user", "read:/proc/self/cgroup", "sethostname:x"});
  auto seen = report();
  EXPECT_EQ(seen["read:/proc/sys/kernel/hostname"], "inside");
  if (is_vpsrun()) {
    EXPECT_EQ(seen["read:/proc/sys/kernel/domainname"], "example.org");
  }
  EXPECT_EQ(seen["read:/proc/sys/net/ipv4/ip_forward"], "1");
  EXPECT_EQ(seen["read:/proc/sys/kernel/msgmax"], "9000");
  for (const char* name : {"net", "ipc"})
    EXPECT_NE(seen[std::string("link:/proc/self/ns/") + name], *read_link_at(AT_FDCWD, std::string("/proc/self/ns/") + name)) << name;
  EXPECT_EQ(seen["link:/proc/self/ns/user"], *read_link_at(AT_FDCWD, "/proc/self/ns/user"));
  EXPECT_THAT(seen["read:/proc/self/cgroup"], Not(HasSubstr(cgroup_name()))) << "the container's cgroup is the root of its namespace";
  EXPECT_EQ(seen["sethostname:x"], "error EPERM");
}

TEST_F(Conformance, NamespacesByPathAreJoined) {
  start_waiting("other");
  auto other = Json::parse(runtime({"state", "other"}).out);
  ASSERT_TRUE(other);
  auto ns = [&](const std::string& name) { return "/proc/" + std::to_string(other->number("/pid")) + "/ns/" + name; };
  set("/linux/cgroupsPath", "\"/" + cgroup_name() + "/second\"");
  remove("/hostname");
  set("/linux/namespaces", R"([{"type": "mount"}, {"type": "cgroup"}, {"type": "pid", "path": ")" + ns("pid") + R"("}, {"type": "network", "path": ")" +
                               ns("net") + R"("}, {"type": "uts", "path": ")" + ns("uts") + R"("}, {"type": "ipc", "path": ")" + ns("ipc") + "\"}]");
  look({"pid", "link:/proc/self/ns/pid", "link:/proc/self/ns/net", "read:/proc/sys/kernel/hostname"});
  auto seen = report();
  EXPECT_NE(seen["pid"], "1");
  EXPECT_EQ(seen["link:/proc/self/ns/pid"], *read_link_at(AT_FDCWD, ns("pid")));
  EXPECT_EQ(seen["link:/proc/self/ns/net"], *read_link_at(AT_FDCWD, ns("net")));
  EXPECT_EQ(seen["read:/proc/sys/kernel/hostname"], "inside");
}

TEST_F(Conformance, UserNamespaceMapsIdsAndIsJoinedByPath) {
  use_user_namespace();
  set("/process/rlimits", R"([{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}])");
  look({"id", "read:/proc/self/uid_map", "stat:/probe", "write:/tmp/new", "stat:/dev/null", "write:/dev/null", "limit:4"});
  auto seen = report();
  EXPECT_THAT(seen["id"], StartsWith("0:0"));
  EXPECT_THAT(seen["read:/proc/self/uid_map"], testing::ContainsRegex("0 +100000 +1000"));
  EXPECT_THAT(seen["stat:/probe"], HasSubstr(" 0:0 "));
  EXPECT_EQ(seen["write:/tmp/new"], "ok");
  EXPECT_EQ(seen["write:/dev/null"], "ok");
  EXPECT_EQ(seen["limit:4"], "1:2");
  struct stat st{};
  ASSERT_EQ(::stat(rootfs("/tmp/new").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 100000u);

  start_waiting("other");
  auto other = Json::parse(runtime({"state", "other"}).out);
  set("/linux/cgroupsPath", "\"/" + cgroup_name() + "/second\"");
  set("/linux/namespaces/6/path", "\"/proc/" + std::to_string(other->number("/pid")) + "/ns/user\"");
  look({"id", "link:/proc/self/ns/user", "read:/proc/self/uid_map", "write:/dev/null"});
  seen = report();
  EXPECT_EQ(seen["link:/proc/self/ns/user"], *read_link_at(AT_FDCWD, "/proc/" + std::to_string(other->number("/pid")) + "/ns/user"));
  EXPECT_THAT(seen["read:/proc/self/uid_map"], testing::ContainsRegex("0 +100000 +1000"));
  EXPECT_EQ(seen["write:/dev/null"], "ok");
}

TEST_F(Conformance, MountsHaveTheirOptions) {
  ASSERT_TRUE(make_dirs(path("data/sub")));
  write_file("data/file", "content");
  write_file("single", "one file");
  add_mount("/ro", "bind", path("data"), {"rbind", "ro", "nosuid", "nodev", "noexec"});
  add_mount("/rw", "bind", path("data"), {"bind", "rprivate"});
  add_mount("/made/deep/file", "bind", path("single"), {"bind", "ro"});
  add_mount("/small", "tmpfs", "tmpfs", {"size=64k", "mode=1777", "noexec"});
  add_mount("relative", "tmpfs", "tmpfs", {"ro"});
  write_file("bundle/rootfs/etc/shipped", "from the image");
  add_mount("/etc", "tmpfs", "tmpfs", {"tmpcopyup", "mode=755"});
  look({"mount:/ro", "write:/ro/new", "read:/ro/file", "write:/rw/new", "read:/made/deep/file", "write:/made/deep/file", "mount:/small",
        "stat:/small", "write:/relative/x", "read:/etc/shipped", "write:/etc/new", "mount:/rw"});
  auto seen = report();
  EXPECT_THAT(seen["mount:/ro"], HasSubstr("ro,nosuid,nodev,noexec"));
  EXPECT_EQ(seen["write:/ro/new"], "error EROFS");
  EXPECT_EQ(seen["read:/ro/file"], "content");
  EXPECT_EQ(seen["write:/rw/new"], "ok");
  EXPECT_TRUE(path_exists(path("data/new")));
  EXPECT_THAT(seen["mount:/rw"], HasSubstr("private"));
  EXPECT_EQ(seen["read:/made/deep/file"], "one file");
  EXPECT_EQ(seen["write:/made/deep/file"], "error EROFS");
  EXPECT_THAT(seen["mount:/small"], testing::AllOf(HasSubstr("noexec"), HasSubstr("size=64k")));
  EXPECT_THAT(seen["stat:/small"], HasSubstr("1777"));
  EXPECT_EQ(seen["write:/relative/x"], "error EROFS");
  EXPECT_EQ(seen["read:/etc/shipped"], "from the image");
  EXPECT_EQ(seen["write:/etc/new"], "ok");
  EXPECT_FALSE(path_exists(rootfs("/etc/new")));
}

TEST_F(Conformance, RecursiveReadOnlyAndIdmappedBinds) {
  if (!is_vpsrun()) GTEST_SKIP() << "newer than the runtimes that the tests are held against";
  ASSERT_TRUE(make_dirs(path("data")));
  add_mount("/rro", "bind", path("data"), {"rbind", "rro"});
  set("/mounts/-", R"({"destination": "/mapped", "type": "bind", "source": ")" + path("data") +
                       R"(", "options": ["bind", "idmap"], "uidMappings": [{"containerID": 0, "hostID": 5000, "size": 10}],
                        "gidMappings": [{"containerID": 0, "hostID": 5000, "size": 10}]})");
  write_file("data/file", "x");
  look({"write:/rro/new", "stat:/mapped/file", "stat:/rro/file"});
  auto seen = report();
  EXPECT_EQ(seen["write:/rro/new"], "error EROFS");
  EXPECT_THAT(seen["stat:/rro/file"], HasSubstr(" 0:0 "));
  EXPECT_THAT(seen["stat:/mapped/file"], HasSubstr(" 5000:5000 "));
}

TEST_F(Conformance, RootCanBeReadOnlyAndPathsHidden) {
  set("/root/readonly", "true");
  look({"write:/new", "write:/tmp/new", "write:/dev/new", "stat:/proc/keys", "list:/sys/firmware", "write:/proc/sys/kernel/msgmax", "mount:/proc/sys"});
  auto seen = report();
  EXPECT_EQ(seen["write:/new"], "error EROFS");
  EXPECT_EQ(seen["write:/dev/new"], "ok") << "other mounts keep their mode";
  EXPECT_THAT(seen["stat:/proc/keys"], testing::AnyOf(testing::ContainsRegex("char 666 [0-9]+:[0-9]+ 1:3"), HasSubstr("ENOENT")));
  EXPECT_EQ(seen["list:/sys/firmware"], "");
  EXPECT_EQ(seen["write:/proc/sys/kernel/msgmax"], "error EROFS");
  EXPECT_THAT(seen["mount:/proc/sys"], HasSubstr(" proc ro"));
}

TEST_F(Conformance, DevicesAreThereAndNoOthersCanBeUsed) {
  set("/linux/devices", R"([{"path": "/dev/extra", "type": "c", "major": 1, "minor": 5, "fileMode": 384, "uid": 3, "gid": 4}])");
  look({"stat:/dev/null", "stat:/dev/zero", "stat:/dev/full", "stat:/dev/random", "stat:/dev/urandom", "stat:/dev/tty", "link:/dev/fd", "link:/dev/stdin",
        "link:/dev/ptmx", "stat:/dev/extra", "device:/tmp/loop0", "write:/dev/null"});
  auto seen = report();
  EXPECT_EQ(seen["stat:/dev/null"], "char 666 0:0 1:3 0");
  EXPECT_EQ(seen["stat:/dev/zero"], "char 666 0:0 1:5 0");
  EXPECT_EQ(seen["stat:/dev/full"], "char 666 0:0 1:7 0");
  EXPECT_EQ(seen["stat:/dev/random"], "char 666 0:0 1:8 0");
  EXPECT_EQ(seen["stat:/dev/urandom"], "char 666 0:0 1:9 0");
  EXPECT_EQ(seen["stat:/dev/tty"], "char 666 0:0 5:0 0");
  EXPECT_EQ(seen["link:/dev/fd"], "/proc/self/fd");
  EXPECT_EQ(seen["link:/dev/stdin"], "/proc/self/fd/0");
  EXPECT_EQ(seen["link:/dev/ptmx"], "pts/ptmx");
  EXPECT_THAT(seen["stat:/dev/extra"], StartsWith("char 600 3:4 1:5"));
  EXPECT_EQ(seen["device:/tmp/loop0"], "error EPERM") << "made, but not opened";
  EXPECT_EQ(seen["write:/dev/null"], "ok");
}

TEST_F(Conformance, LimitsAreInTheContainersCgroup) {
  set("/linux/resources/memory", R"({"limit": 67108864})");
  set("/linux/resources/pids", R"({"limit": 20})");
  set("/linux/resources/cpu", R"({"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"})");
  start_waiting();
  EXPECT_THAT(cgroup_file("memory", "memory.limit_in_bytes", "memory.max"), StartsWith("67108864"));
  EXPECT_THAT(cgroup_file("pids", "pids.max", "pids.max"), StartsWith("20"));
  EXPECT_THAT(cgroup_file("cpu", "cpu.cfs_quota_us", "cpu.max"), StartsWith("50000"));
  EXPECT_THAT(cgroup_file("cpuset", "cpuset.cpus", "cpuset.cpus"), StartsWith("0"));
  EXPECT_EQ(exec({}, {"affinity"})["affinity"], "0");
}

TEST_F(Conformance, LimitsThatCannotBeHeldAreRefused) {
  set("/linux/resources/hugepageLimits", R"([{"pageSize": "3MB", "limit": 4096}])");
  look({});
  auto result = run();
  EXPECT_NE(result.code, 0);
  EXPECT_THAT(result.err, HasSubstr(is_vpsrun() ? "3MB" : "hugetlb")) << result.describe();
}

TEST_F(Conformance, CgroupMountShowsTheContainersOwn) {
  add_mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "ro"});
  look({"list:/sys/fs/cgroup", "write:/sys/fs/cgroup/x", "read:/sys/fs/cgroup/memory/memory.limit_in_bytes", "read:/sys/fs/cgroup/memory.max"});
  set("/linux/resources/memory", R"({"limit": 67108864})");
  auto seen = report();
  EXPECT_THAT(seen["read:/sys/fs/cgroup/memory/memory.limit_in_bytes"] + seen["read:/sys/fs/cgroup/memory.max"], HasSubstr("67108864"));
  EXPECT_THAT(seen["write:/sys/fs/cgroup/x"], testing::AnyOf("error EROFS", "error EACCES"));
}

TEST_F(Conformance, SeccompDecidesByNameAndArgument) {
  set("/process/noNewPrivileges", "true");
  set("/linux/seccomp", R"({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
      {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 33},
      {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 34, "args": [{"index": 0, "value": 4294967295, "op": "SCMP_CMP_EQ"}]}]})");
  look({"mkdir:/tmp/a", "personality", "status:Seccomp", "write:/tmp/b"});
  auto seen = report();
  EXPECT_EQ(seen["mkdir:/tmp/a"], "error EDOM");
  EXPECT_EQ(seen["personality"], "error ERANGE");
  EXPECT_EQ(seen["status:Seccomp"], "2");
  EXPECT_EQ(seen["write:/tmp/b"], "ok");
}

TEST_F(Conformance, SeccompIsLoadedWithoutNoNewPrivilegesToo) {
  set("/process/user", R"({"uid": 1000, "gid": 1000})");
  set("/linux/seccomp", R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 33}]})");
  look({"mkdir:/tmp/a", "status:Seccomp", "status:NoNewPrivs", "id"});
  auto seen = report();
  EXPECT_EQ(seen["mkdir:/tmp/a"], "error EDOM");
  EXPECT_EQ(seen["status:NoNewPrivs"], "0");
  EXPECT_THAT(seen["id"], StartsWith("1000:1000"));
}

TEST_F(Conformance, SchedulingPriorityPersonalityAndClocks) {
  if (!is_vpsrun()) GTEST_SKIP() << "newer than the runtimes that the tests are held against";
  set("/process/scheduler", R"({"policy": "SCHED_BATCH", "nice": 5})");
  set("/process/ioPriority", R"({"class": "IOPRIO_CLASS_BE", "priority": 6})");
  set("/linux/personality", R"({"domain": "LINUX32"})");
  set("/linux/namespaces/-", R"({"type": "time"})");
  set("/linux/timeOffsets", R"({"boottime": {"secs": 1000000, "nanosecs": 0}})");
  look({"policy", "nice", "ioprio", "personality", "boottime"});
  auto seen = report();
  EXPECT_EQ(seen["policy"], "3");
  EXPECT_EQ(seen["nice"], "5");
  EXPECT_EQ(seen["ioprio"], std::to_string(IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6)));
  EXPECT_EQ(seen["personality"], "8");
  EXPECT_GT(std::stol(seen["boottime"]), 1'000'000);
}

TEST_F(Conformance, RootfsPropagationIsSet) {
  if (!is_vpsrun()) GTEST_SKIP() << "others leave it at what the root was before";
  set("/linux/rootfsPropagation", "\"rshared\"");
  look({"mount:/"});
  EXPECT_THAT(report()["mount:/"], HasSubstr("shared"));
  set("/linux/rootfsPropagation", "\"rprivate\"");
  EXPECT_THAT(report()["mount:/"], HasSubstr("private"));
}

TEST_F(Conformance, AbsentFeaturesOfTheHostAreErrors) {
  if (!is_vpsrun()) GTEST_SKIP() << "others pass over what they cannot do";
  look({});
  set("/linux/intelRdt", R"({"closID": "x"})");
  auto result = run();
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("intelRdt"));
  remove("/linux/intelRdt");
  if (!path_exists("/sys/module/apparmor/parameters/enabled")) {
    set("/process/apparmorProfile", "\"x\"");
    result = run();
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr("AppArmor"));
    remove("/process/apparmorProfile");
  }
  set("/linux/namespaces", R"([{"type": "pid"}])");
  remove("/hostname");
  remove("/linux/maskedPaths");
  remove("/linux/readonlyPaths");
  result = run();
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("mount namespace"));
}

TEST_F(Conformance, ExitCodeIsTheProcesss) {
  look({"exit:7"});
  EXPECT_EQ(run().code, 7);
  look({"cwd"});
  set("/process/args/0", "\"/missing\"");
  auto result = run();
  EXPECT_NE(result.code, 0);
  EXPECT_THAT(result.err, HasSubstr("o such file or directory"));
}

}  // namespace
}  // namespace vps::test
