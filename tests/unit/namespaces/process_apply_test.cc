// Each apply_* in a child, looked at through the kernel's own getter.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <grp.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/files.h"
#include "namespaces/capabilities.h"
#include "namespaces/process.h"
#include "tests/support/forked.h"

namespace vps::namespaces {
namespace {

using test::failed;
using test::in_child;
using testing::HasSubstr;

bool has_capability(std::string_view name) {
  std::string status = read_file("/proc/self/status").value();
  auto at = status.find("CapEff:");
  return (std::stoull(status.substr(at + 7), nullptr, 16) & parse_capability(name).value()) != 0;
}

TEST(Rlimits, AreSet) {
  EXPECT_EQ(in_child([] {
              if (failed(apply_rlimits({{"RLIMIT_NOFILE", 100, 200}, {"RLIMIT_CORE", 0, 0}}))) return 1;
              rlimit limit{};
              ::getrlimit(RLIMIT_NOFILE, &limit);
              if (limit.rlim_cur != 100 || limit.rlim_max != 200) return 2;
              ::getrlimit(RLIMIT_CORE, &limit);
              if (limit.rlim_max != 0) return 3;
              ::getrlimit(RLIMIT_STACK, &limit);
              rlim_t hard = limit.rlim_max;
              if (failed(apply_rlimits({{"RLIMIT_STACK", 1 << 20, hard}}))) return 4;
              ::getrlimit(RLIMIT_STACK, &limit);
              return limit.rlim_cur == 1 << 20 && limit.rlim_max == hard ? 0 : 5;
            }),
            0);
}

TEST(Rlimits, UnlimitedIsAllOnes) {
  if (!has_capability("CAP_SYS_RESOURCE")) GTEST_SKIP() << "needs CAP_SYS_RESOURCE to raise a hard limit";
  EXPECT_EQ(in_child([] {
              if (failed(apply_rlimits({{"RLIMIT_MEMLOCK", ~0ull, ~0ull}}))) return 1;
              rlimit limit{};
              ::getrlimit(RLIMIT_MEMLOCK, &limit);
              return limit.rlim_max == RLIM_INFINITY ? 0 : 2;
            }),
            0);
}

TEST(Rlimits, ErrorsNameTheLimitAndItsValues) {
  EXPECT_EQ(in_child([] {
              if (failed(apply_rlimits({{"RLIMIT_NOFILE", 50, 60}}))) return 1;
              // Soft above hard: the kernel's own check, the same for root.
              auto result = apply_rlimits({{"RLIMIT_NOFILE", 70, 60}});
              if (result || result.error().err() != EINVAL) return 2;
              return result.error().message() == "set RLIMIT_NOFILE to 70:60 (now 50:60)" ? 0 : 3;
            }),
            0);
  auto unknown = apply_rlimits({{"RLIMIT_FUTURE", 1, 1}});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message(), "unknown rlimit 'RLIMIT_FUTURE'");
}

TEST(Scheduler, PolicyNiceAndFlags) {
  EXPECT_EQ(in_child([] {
              oci::Scheduler wanted;
              wanted.policy = "SCHED_BATCH";
              wanted.nice = 7;
              wanted.flags = {"SCHED_FLAG_RESET_ON_FORK"};
              if (failed(apply_scheduler(wanted))) return 1;
              if (::sched_getscheduler(0) != (SCHED_BATCH | SCHED_RESET_ON_FORK)) return 2;
              return ::getpriority(PRIO_PROCESS, 0) == 7 ? 0 : 3;
            }),
            0);
}

TEST(Scheduler, RealTimePriority) {
  EXPECT_EQ(in_child([] {
              oci::Scheduler wanted;
              wanted.policy = "SCHED_FIFO";
              wanted.priority = 11;
              auto result = apply_scheduler(wanted);
              // Not every host gives real time to a session's cgroup; then the error must say what was asked for.
              if (!result) return result.error().message().find("SCHED_FIFO (nice 0, priority 11") != std::string::npos ? 0 : 1;
              sched_param param{};
              ::sched_getparam(0, &param);
              return ::sched_getscheduler(0) == SCHED_FIFO && param.sched_priority == 11 ? 0 : 2;
            }),
            0);
}

TEST(Scheduler, BadValues) {
  oci::Scheduler wanted;
  wanted.policy = "SCHED_NONSENSE";
  EXPECT_EQ(apply_scheduler(wanted).error().message(), "unknown scheduling policy 'SCHED_NONSENSE'");
  wanted.policy = "SCHED_OTHER";
  wanted.flags = {"SCHED_FLAG_X"};
  EXPECT_EQ(apply_scheduler(wanted).error().message(), "unknown scheduler flag 'SCHED_FLAG_X'");
  wanted.flags.clear();
  wanted.priority = -1;
  EXPECT_EQ(apply_scheduler(wanted).error().code(), Code::kUsage);
  // A deadline without a budget: refused by the kernel, whoever asks.
  wanted = {};
  wanted.policy = "SCHED_DEADLINE";
  EXPECT_FALSE(apply_scheduler(wanted));
}

TEST(IoPriority, ClassAndLevel) {
  constexpr int kClassShift = 13, kBestEffort = 2, kIdle = 3;
  EXPECT_EQ(in_child([] {
              if (failed(apply_io_priority({"IOPRIO_CLASS_BE", 3}))) return 1;
              if (::syscall(SYS_ioprio_get, 1, 0) != (kBestEffort << kClassShift | 3)) return 2;
              if (failed(apply_io_priority({"IOPRIO_CLASS_IDLE", 0}))) return 3;
              return ::syscall(SYS_ioprio_get, 1, 0) >> kClassShift == kIdle ? 0 : 4;
            }),
            0);
  EXPECT_FALSE(apply_io_priority({"IOPRIO_CLASS_BE", 8}));
  EXPECT_FALSE(apply_io_priority({"IOPRIO_CLASS_BE", -1}));
  EXPECT_FALSE(apply_io_priority({"BE", 1}));
}

TEST(Personality, Domain) {
  EXPECT_EQ(in_child([] {
              oci::Personality wanted;
              wanted.domain = "LINUX32";
              if (failed(apply_personality(wanted))) return 1;
              if (::personality(0xffffffff) != PER_LINUX32) return 2;
              wanted.domain = "LINUX";
              if (failed(apply_personality(wanted))) return 3;
              return ::personality(0xffffffff) == PER_LINUX ? 0 : 4;
            }),
            0);
  oci::Personality bad;
  bad.domain = "BSD";
  EXPECT_FALSE(apply_personality(bad));
  bad.domain = "LINUX";
  bad.flags = {"ADDR_NO_RANDOMIZE"};
  EXPECT_EQ(apply_personality(bad).error().message(), "unknown personality flag 'ADDR_NO_RANDOMIZE'");
}

TEST(MemoryPolicy, ModeAndNodes) {
  constexpr int kBind = 2, kStaticNodes = 1 << 15;
  EXPECT_EQ(in_child([] {
              oci::MemoryPolicy wanted;
              wanted.mode = "MPOL_BIND";
              wanted.nodes = "0";
              wanted.flags = {"MPOL_F_STATIC_NODES"};
              auto result = apply_memory_policy(wanted);
              if (!result && result.error().err() == ENOSYS) return 77;
              if (failed(result)) return 1;
              int mode = 0;
              std::array<unsigned long, 128> mask{};
              if (::syscall(SYS_get_mempolicy, &mode, mask.data(), mask.size() * 64, nullptr, 0) != 0) return 2;
              if (mode != (kBind | kStaticNodes) || mask[0] != 1) return 3;
              wanted = {};
              wanted.mode = "MPOL_DEFAULT";
              if (failed(apply_memory_policy(wanted))) return 4;
              if (::syscall(SYS_get_mempolicy, &mode, nullptr, 0, nullptr, 0) != 0) return 5;
              return mode == 0 ? 0 : 6;
            }),
            0)
      << "77: the kernel has no NUMA";
  oci::MemoryPolicy bad;
  bad.mode = "MPOL_NONSENSE";
  EXPECT_FALSE(apply_memory_policy(bad));
  bad.mode = "MPOL_BIND";  // needs nodes: the kernel's check
  EXPECT_FALSE(apply_memory_policy(bad));
  bad.nodes = "0-";
  EXPECT_THAT(apply_memory_policy(bad).error().message(), HasSubstr("memory policy nodes"));
  bad.nodes = "0";
  bad.flags = {"MPOL_F_X"};
  EXPECT_FALSE(apply_memory_policy(bad));
}

TEST(CpuAffinity, IsSet) {
  cpu_set_t now;
  ASSERT_EQ(::sched_getaffinity(0, sizeof now, &now), 0);
  int last = -1;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &now)) last = cpu;
  EXPECT_EQ(in_child([&] {
              if (failed(apply_cpu_affinity(std::to_string(last)))) return 1;
              cpu_set_t set;
              ::sched_getaffinity(0, sizeof set, &set);
              return CPU_COUNT(&set) == 1 && CPU_ISSET(last, &set) ? 0 : 2;
            }),
            0);
  // A CPU that no machine has: the kernel refuses an empty intersection.
  EXPECT_EQ(in_child([] { return !apply_cpu_affinity("8191") ? 0 : 1; }), 0);
  EXPECT_FALSE(apply_cpu_affinity(""));
}

TEST(OomScore, RaisedAndRefused) {
  EXPECT_EQ(in_child([] {
              auto proc = open_dir("/proc");
              if (failed(proc)) return 1;
              if (failed(apply_oom_score_adj(proc->get(), 500))) return 2;
              if (read_file("/proc/self/oom_score_adj").value() != "500\n") return 3;
              return 0;
            }),
            0);
  auto proc = open_dir("/proc").value();
  EXPECT_FALSE(apply_oom_score_adj(proc.get(), 1001));
  EXPECT_FALSE(apply_oom_score_adj(proc.get(), -1001));
}

TEST(OomScore, LoweringNeedsTheCapability) {
  bool able = has_capability("CAP_SYS_RESOURCE");
  EXPECT_EQ(in_child([&] {
              auto proc = open_dir("/proc");
              auto result = apply_oom_score_adj(proc->get(), -1000);
              if (able) return result && read_file("/proc/self/oom_score_adj").value() == "-1000\n" ? 0 : 1;
              return !result && result.error().code() == Code::kNotAllowed ? 0 : 2;
            }),
            0);
}

// The children below make namespaces of their own: nothing of the host's is touched.
class OwnNamespaces : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || !has_capability("CAP_SYS_ADMIN")) GTEST_SKIP() << "needs root to make namespaces";
  }
};

TEST_F(OwnNamespaces, LoopbackComesUp) {
  EXPECT_EQ(in_child([] {
              if (::unshare(CLONE_NEWNET) != 0) return 1;
              int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
              ifreq request{};
              std::memcpy(request.ifr_name, "lo", 3);
              if (::ioctl(fd, SIOCGIFFLAGS, &request) != 0 || (request.ifr_flags & IFF_UP) != 0) return 2;
              if (failed(bring_loopback_up())) return 3;
              if (::ioctl(fd, SIOCGIFFLAGS, &request) != 0 || (request.ifr_flags & IFF_UP) == 0) return 4;
              return failed(bring_loopback_up()) ? 5 : 0;  // again is fine
            }),
            0);
}

TEST_F(OwnNamespaces, SysctlIsWritten) {
  EXPECT_EQ(in_child([] {
              if (::unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWUTS) != 0) return 1;
              if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 2;
              auto proc = open_dir("/proc");
              if (failed(apply_sysctl(proc->get(), "net.ipv4.ip_forward", "1"))) return 3;
              if (read_file("/proc/sys/net/ipv4/ip_forward").value() != "1\n") return 4;
              if (failed(apply_sysctl(proc->get(), "kernel/shm_rmid_forced", "1"))) return 5;
              if (read_file("/proc/sys/kernel/shm_rmid_forced").value() != "1\n") return 6;
              auto missing = apply_sysctl(proc->get(), "net.ipv4.no_such_thing", "1");
              if (missing || missing.error().err() != ENOENT) return 7;
              auto bad = apply_sysctl(proc->get(), "net.ipv4.ip_forward", "many");
              if (bad || bad.error().err() != EINVAL) return 8;
              // Something mounted over a part of /proc/sys is not written to.
              if (::mount("none", "/proc/sys/net", "tmpfs", 0, nullptr) != 0) return 9;
              auto covered = apply_sysctl(proc->get(), "net.ipv4.ip_forward", "0");
              return !covered && covered.error().err() == EXDEV ? 0 : 10;
            }),
            0);
}

TEST(User, IdsGroupsUmaskAndCapabilities) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  EXPECT_EQ(in_child([] {
              oci::User user;
              user.uid = 1234;
              user.gid = 2345;
              user.additional_gids = {7, 9};
              user.umask = 027;
              if (failed(apply_user(user))) return 1;
              uid_t r = 0, e = 0, s = 0;
              if (::getresuid(&r, &e, &s) != 0 || r != 1234 || e != 1234 || s != 1234) return 2;
              if (::getresgid(&r, &e, &s) != 0 || r != 2345 || e != 2345 || s != 2345) return 3;
              gid_t groups[8];
              if (::getgroups(8, groups) != 2 || groups[0] != 7 || groups[1] != 9) return 4;
              if (::umask(0) != 027) return 5;
              // The permitted set has survived, so the container's own sets can still be made from it.
              CapMask chown = 1;
              if (failed(apply_capabilities({.effective = chown, .permitted = chown}))) return 6;
              return has_capability("CAP_CHOWN") && !has_capability("CAP_KILL") ? 0 : 7;
            }),
            0);
}

TEST(User, GroupsAreDropped) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to have groups to drop";
  EXPECT_EQ(in_child([] {
              gid_t groups[2] = {1, 2};
              if (::setgroups(2, groups) != 0) return 1;
              if (failed(apply_user({}))) return 2;
              return ::getgroups(0, nullptr) == 0 ? 0 : 3;
            }),
            0);
}

TEST(User, GroupsThatCannotBeDroppedAreAnError) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to have groups to drop";
  EXPECT_EQ(in_child([] {
              gid_t groups[2] = {1, 2};
              if (::setgroups(2, groups) != 0) return 1;
              if (failed(apply_capabilities({}))) return 2;  // no CAP_SETGID any more
              auto result = apply_user({});
              return !result && result.error().err() == EPERM ? 0 : 3;
            }),
            0);
}

TEST(User, NamespaceThatForbidsSetgroups) {
  EXPECT_EQ(in_child([] {
              uid_t uid = ::getuid();
              gid_t gid = ::getgid();
              gid_t groups[2] = {1, 2};
              if (uid == 0 && ::setgroups(2, groups) != 0) return 5;
              if (::unshare(CLONE_NEWUSER) != 0) return 77;
              if (!write_kernel_file_at(AT_FDCWD, "/proc/self/setgroups", "deny")) return 77;
              if (failed(write_kernel_file_at(AT_FDCWD, "/proc/self/uid_map", "0 " + std::to_string(uid) + " 1"))) return 1;
              if (failed(write_kernel_file_at(AT_FDCWD, "/proc/self/gid_map", "0 " + std::to_string(gid) + " 1"))) return 2;
              if (failed(apply_user({}))) return 3;
              oci::User user;
              user.additional_gids = {0};
              auto result = apply_user(user);
              return !result && result.error().err() == EPERM ? 0 : 4;
            }),
            0)
      << "77: this host makes no user namespaces";
}

TEST(User, TheIdThatMeansNoChangeIsRefused) {
  oci::User user;
  user.uid = 0xffffffff;
  EXPECT_EQ(apply_user(user).error().code(), Code::kUsage);
  user.uid = 0;
  user.gid = 0xffffffff;
  EXPECT_EQ(apply_user(user).error().code(), Code::kUsage);
  user.gid = 0;
  user.additional_gids = {0xffffffff};
  EXPECT_EQ(apply_user(user).error().code(), Code::kUsage);
}

}  // namespace
}  // namespace vps::namespaces
