// podman's limits, user namespaces, mounts and read-only roots.
#include <sys/stat.h>

#include <filesystem>

#include "base/files.h"
#include "tests/interop/podman.h"

namespace vps::test {
namespace {

using testing::HasSubstr;

// More than any limit here.
constexpr const char* kHog = "tail /dev/zero";

TEST_F(Podman, MemoryLimitKills) {
  auto words = run_words({"--name", "hog", "--memory", "24m", "--memory-swap", "24m"});
  for (const char* word : {"sh", "-c", kHog}) words.emplace_back(word);
  auto result = run(argv(words), {.env = environment()});
  ASSERT_TRUE(result);
  // The shell may be the victim (137) or its child (the shell's own code for a killed child: 137 as well).
  EXPECT_EQ(result->code, 137) << result->describe();
  remove("hog");
}

TEST_F(Podman, LimitsAreInTheGroup) {
  start("limited", {"--memory", "48m", "--memory-reservation", "16m", "--pids-limit", "33", "--cpus", "0.5", "--cpu-shares", "512", "--cpuset-cpus", "0"});
  auto group = engine().cgroup() + "/libpod-" + inspect("limited", ".Id");
  EXPECT_EQ(group_file(group, "memory", "memory.limit_in_bytes", "memory.max"), "50331648\n");
  EXPECT_EQ(group_file(group, "pids", "pids.max", "pids.max"), "33\n");
  EXPECT_EQ(group_file(group, "cpuset", "cpuset.cpus", "cpuset.cpus"), "0\n");
  auto quota = group_file(group, "cpu", "cpu.cfs_quota_us", "cpu.max");
  EXPECT_EQ(quota.substr(0, quota.find_first_of(" \n")), "50000");
  podman(0, {"update", "--memory", "64m", "--cpus", "0.25", "limited"});
  EXPECT_EQ(group_file(group, "memory", "memory.limit_in_bytes", "memory.max"), "67108864\n");
  quota = group_file(group, "cpu", "cpu.cfs_quota_us", "cpu.max");
  EXPECT_EQ(quota.substr(0, quota.find_first_of(" \n")), "25000");
  EXPECT_EQ(group_file(group, "pids", "pids.max", "pids.max"), "33\n") << "what was not named stays";
  remove("limited");
}

TEST_F(Podman, ProcessLimitRefusesForks) {
  // The shell itself, and what podman's own exec may add.
  EXPECT_THAT(run_once(2, {"--pids-limit", "4"}, "for i in 1 2 3 4 5 6; do sleep 5 & done 2>&1").out, HasSubstr("fork"));
}

TEST_F(Podman, UserNamespaceOfItsOwn) {
  // podman takes the ranges of the user "containers" for auto.
  auto automatic = run_once(0, {"--userns", "auto:size=4096"}, "cat /proc/self/uid_map; id -u; touch /tmp/mine && stat -c %u /tmp/mine; id -u user");
  EXPECT_THAT(automatic.out, testing::MatchesRegex(" +0 +700000 +4096\n0\n0\n1000\n"));
  auto mapped = run_once(0, {"--uidmap", "0:600000:2000", "--gidmap", "0:600000:2000"}, "cat /proc/self/uid_map; stat -c %u /bin/busybox; echo x >/etc/new");
  EXPECT_THAT(mapped.out, testing::MatchesRegex(" +0 +600000 +2000\n0\n"));
}

TEST_F(Podman, ReadOnlyRoot) {
  auto result = run_once(0, {"--read-only"}, "touch /file 2>&1; touch /tmp/file /run/file && echo writable");
  EXPECT_THAT(result.out, HasSubstr("Read-only file system"));
  EXPECT_THAT(result.out, HasSubstr("writable"));
  EXPECT_THAT(run_once(0, {"--read-only", "--read-only-tmpfs=false"}, "touch /tmp/file 2>&1; true").out, HasSubstr("Read-only file system"));
}

TEST_F(Podman, Volumes) {
  auto folder = engine().path("shared-folder");
  ASSERT_TRUE(make_dirs(folder));
  ASSERT_TRUE(write_file_atomic(folder + "/file", "host\n"));
  podman(0, {"volume", "create", "kept"});
  auto first = run_once(0, {"-v", folder + ":/rw", "-v", folder + ":/ro:ro", "-v", "kept:/kept", "--tmpfs", "/scratch:size=1m,mode=1777", "--mount", "type=tmpfs,destination=/other,tmpfs-mode=0700"},
                        "cat /ro/file; echo container >/rw/back; echo x >/ro/no 2>&1 | grep -o 'Read-only file system'; echo kept >/kept/file;"
                        "df -k /scratch | tail -1 | awk '{print $2}'; stat -c %a /scratch /other");
  EXPECT_EQ(first.out, "host\n1024\n1777\n700\n") << first.describe();
  EXPECT_THAT(first.err, HasSubstr("Read-only file system"));
  EXPECT_EQ(read_file(folder + "/back").value_or(""), "container\n");
  EXPECT_EQ(run_once(0, {"-v", "kept:/kept"}, "cat /kept/file").out, "kept\n");
  // An empty volume begins with what the image has there.
  EXPECT_THAT(run_once(0, {"-v", "fresh:/etc"}, "cat /etc/passwd").out, HasSubstr("user:x:1000"));
  podman(0, {"volume", "rm", "kept", "fresh"});
}

TEST_F(Podman, Devices) {
  EXPECT_EQ(run_once(0, {"--device", "/dev/null:/dev/own:rw", "--cap-add", "mknod"},
                     "echo x >/dev/own && echo opened; mknod /tmp/kmsg c 1 11 && (cat /tmp/kmsg 2>&1 | grep -o 'not permitted')").out, "opened\nnot permitted\n");
}

TEST_F(Podman, InitReapsOrphans) {
  // An orphan's parent is the init that podman puts in front of the program.
  EXPECT_THAT(run_once(0, {"--init"}, "cat /proc/1/comm").out, HasSubstr("podman-init"));
}

TEST_F(Podman, Privileged) {
  // With `nofile` and `nproc` as configured: --privileged takes the highest there are.
  auto words = run_words({"--rm", "--privileged"});
  for (const char* word : {"sh", "-c", "mount -t tmpfs x /tmp && ls /dev | grep -c kmsg"}) words.emplace_back(word);
  auto result = run(argv(words), {.env = environment()});
  ASSERT_TRUE(result);
  if (result->code != 0 && result->err.find("ermitted") != std::string::npos) GTEST_SKIP() << "--privileged needs CAP_SYS_RESOURCE: " << result->err;
  EXPECT_EQ(result->code, 0) << result->describe();
  EXPECT_EQ(result->out, "1\n");
}

}  // namespace
}  // namespace vps::test
