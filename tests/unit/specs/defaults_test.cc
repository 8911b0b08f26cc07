// The named security defaults: what must be in them, what must never be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "specs/vps/compile.h"

namespace vps {
namespace {

using testing::Contains;
using testing::Not;

// call -> its answer where it has one whatever the arguments: 0 allowed, else the errno.
std::map<std::string, std::uint32_t> unconditional(const oci::Seccomp& profile) {
  std::map<std::string, std::uint32_t> answers;
  for (const auto& rule : profile.syscalls) {
    if (!rule.args.empty()) continue;
    for (const auto& name : rule.names) {
      std::uint32_t answer = rule.action == "SCMP_ACT_ALLOW" ? 0 : rule.errno_ret.value();
      EXPECT_TRUE(answers.emplace(name, answer).second) << name << " stands in two groups";
    }
  }
  return answers;
}

TEST(DefaultSeccomp, DeniesByDefaultAndNeverKills) {
  oci::Seccomp profile = default_seccomp_profile();
  EXPECT_EQ(profile.default_action, "SCMP_ACT_ERRNO");
  EXPECT_EQ(profile.default_errno_ret, std::uint32_t{ENOSYS});
  EXPECT_GE(profile.architectures.size(), 2u);
  for (const auto& rule : profile.syscalls) {
    EXPECT_THAT(rule.action, testing::AnyOf("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"));
    EXPECT_EQ(rule.errno_ret.has_value(), rule.action == "SCMP_ACT_ERRNO");
  }
}

TEST(DefaultSeccomp, EveryCallHasOneAnswer) {
  auto answers = unconditional(default_seccomp_profile());
  EXPECT_GT(answers.size(), 300u);
  // What an init, a package manager, sshd and a nested engine cannot do without.
  for (const char* name : {"clone", "clone3", "unshare", "setns", "mount", "umount2", "pivot_root", "fsopen", "move_mount",
                           "mount_setattr", "reboot", "ptrace", "prctl", "seccomp", "setresuid", "chroot", "mknodat",
                           "name_to_handle_at", "openat2", "pidfd_open", "execve", "sethostname", "vhangup"})
    EXPECT_EQ(answers.at(name), 0u) << name;
  for (const char* name : {"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "bpf",
                           "perf_event_open", "userfaultfd", "open_by_handle_at", "settimeofday", "clock_settime",
                           "clock_settime64", "stime", "swapon", "swapoff", "iopl", "ioperm", "acct", "quotactl",
                           "syslog"})
    EXPECT_EQ(answers.at(name), std::uint32_t{EPERM}) << name;
  for (const char* name : {"keyctl", "add_key", "request_key", "io_uring_setup"})
    EXPECT_EQ(answers.at(name), std::uint32_t{ENOSYS}) << name;
  EXPECT_FALSE(answers.contains("socket"));
}

// The socket rules together answer every family, each with one answer.
TEST(DefaultSeccomp, SocketFamiliesAreCovered) {
  oci::Seccomp profile = default_seccomp_profile();
  for (std::uint64_t family : {0ull, 1ull, 2ull, 3ull, 10ull, 15ull, 16ull, 17ull, 18ull, 29ull, 38ull, 40ull, 44ull,
                               (1ull << 32) + 1, (1ull << 32) + 2, ~0ull}) {
    std::vector<std::uint32_t> answers;
    for (const auto& rule : profile.syscalls) {
      if (!std::ranges::count(rule.names, "socket")) continue;
      ASSERT_EQ(rule.args.size(), 1u);
      EXPECT_EQ(rule.args[0].index, 0u);
      bool hit = rule.args[0].op == "SCMP_CMP_EQ" ? family == rule.args[0].value : family > rule.args[0].value;
      if (hit) answers.push_back(rule.errno_ret.value_or(0));
    }
    bool good = family == 1 || family == 2 || family == 10 || family == 16 || family == 17;
    EXPECT_THAT(answers, testing::ElementsAre(good ? 0u : std::uint32_t{EAFNOSUPPORT})) << family;
  }
}

TEST(DefaultCapabilities, NothingThatActsOnTheMachine) {
  const auto& names = default_capabilities();
  for (const char* name : {"CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_TIME", "CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE",
                           "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_PERFMON", "CAP_BPF", "CAP_SYSLOG",
                           "CAP_SYS_RESOURCE", "CAP_AUDIT_CONTROL"})
    EXPECT_THAT(names, Not(Contains(name)));
  for (const char* name : {"CAP_SYS_BOOT", "CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SETUID", "CAP_SYS_CHROOT"})
    EXPECT_THAT(names, Contains(name));
  auto sorted = names;
  std::ranges::sort(sorted);
  EXPECT_EQ(std::ranges::adjacent_find(sorted), sorted.end());
}

TEST(DefaultPaths, AbsoluteAndDistinct) {
  std::vector<std::string> all = default_masked_paths();
  all.insert(all.end(), default_readonly_paths().begin(), default_readonly_paths().end());
  for (const auto& path : all) EXPECT_TRUE(path.starts_with("/proc/") || path.starts_with("/sys/")) << path;
  std::ranges::sort(all);
  EXPECT_EQ(std::ranges::adjacent_find(all), all.end());
  EXPECT_THAT(default_masked_paths(), Contains("/proc/kcore"));
  EXPECT_THAT(default_readonly_paths(), Contains("/proc/sysrq-trigger"));
}

}  // namespace
}  // namespace vps
