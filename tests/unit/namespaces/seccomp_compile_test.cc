// What a profile means, asked of the compiled filter instruction by instruction.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/syscall.h>

#include <cstdlib>
#include <map>
#include <set>

#include "namespaces/seccomp.h"
#include "namespaces/seccomp_names.h"
#include "specs/vps/compile.h"
#include "tests/support/bpf.h"

namespace vps::namespaces {
namespace {

using test::run_filter;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint32_t kErrno = SECCOMP_RET_ERRNO;
constexpr int kX32Bit = 0x40000000;

oci::SeccompRule rule(std::string name, std::string action, std::optional<std::uint32_t> errno_ret = {}) {
  oci::SeccompRule made;
  made.names = {std::move(name)};
  made.action = std::move(action);
  made.errno_ret = errno_ret;
  return made;
}

oci::Seccomp default_only(std::string action, std::optional<std::uint32_t> errno_ret = {}) {
  oci::Seccomp profile;
  profile.default_action = std::move(action);
  profile.default_errno_ret = errno_ret;
  return profile;
}

// One call ("getppid" unless said) with `action`, everything else allowed.
oci::Seccomp one_rule(std::string action, std::optional<std::uint32_t> errno_ret = {}, std::string name = "getppid") {
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ALLOW";
  profile.syscalls.push_back(rule(std::move(name), std::move(action), errno_ret));
  return profile;
}

std::uint32_t native(const SeccompProgram& program, int number, std::array<std::uint64_t, 6> args = {}) {
  return run_filter(program.instructions, ::seccomp_arch_native(), number, args);
}

std::string error_of(const oci::Seccomp& profile) {
  auto program = compile_seccomp(profile);
  if (program) return "compiled";
  EXPECT_EQ(program.error().code(), Code::kUsage);
  return program.error().to_string();
}

TEST(SeccompCompile, EveryActionGivesItsReturnValue) {
  const std::map<std::string, std::uint32_t> expected{
      {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},   {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
      {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS}, {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
      {"SCMP_ACT_LOG", SECCOMP_RET_LOG},            {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
      {"SCMP_ACT_ERRNO", kErrno | EPERM},           {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE | EPERM},
      {"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF}};
  EXPECT_EQ(expected.size(), seccomp_action_names().size());
  for (const auto& name : seccomp_action_names()) {
    auto program = compile_seccomp(one_rule(name));
    ASSERT_TRUE(program) << name << ": " << program.error().to_string();
    EXPECT_EQ(native(*program, SYS_getppid), expected.at(name)) << name;
    EXPECT_EQ(native(*program, SYS_getpid), std::uint32_t{SECCOMP_RET_ALLOW}) << name;
    EXPECT_EQ(program->needs_listener, name == "SCMP_ACT_NOTIFY") << name;
  }
}

TEST(SeccompCompile, ErrnoOfRuleAndDefault) {
  auto program = compile_seccomp(one_rule("SCMP_ACT_ERRNO", ENOSYS)).value();
  EXPECT_EQ(native(program, SYS_getppid), kErrno | ENOSYS);
  program = compile_seccomp(one_rule("SCMP_ACT_TRACE", 77)).value();
  EXPECT_EQ(native(program, SYS_getppid), SECCOMP_RET_TRACE | 77u);
  oci::Seccomp deny = default_only("SCMP_ACT_ERRNO");
  EXPECT_EQ(native(compile_seccomp(deny).value(), SYS_getppid), kErrno | EPERM);
  deny.default_errno_ret = ENOSYS;
  EXPECT_EQ(native(compile_seccomp(deny).value(), SYS_getppid), kErrno | ENOSYS);
}

TEST(SeccompCompile, ConditionsOnDifferentArgumentsMustAllHold) {
  auto profile = one_rule("SCMP_ACT_ERRNO", 11);
  profile.syscalls[0].args = {{.index = 0, .value = 5, .op = "SCMP_CMP_EQ"}, {.index = 1, .value = 9, .op = "SCMP_CMP_GT"}};
  auto program = compile_seccomp(profile).value();
  EXPECT_EQ(native(program, SYS_getppid, {5, 10}), kErrno | 11);
  EXPECT_EQ(native(program, SYS_getppid, {5, 9}), std::uint32_t{SECCOMP_RET_ALLOW});
  EXPECT_EQ(native(program, SYS_getppid, {6, 10}), std::uint32_t{SECCOMP_RET_ALLOW});
}

TEST(SeccompCompile, ConditionsOnOneArgumentAreAlternatives) {
  auto profile = one_rule("SCMP_ACT_ERRNO", 11);
  profile.syscalls[0].args = {{.index = 0, .value = 5, .op = "SCMP_CMP_EQ"}, {.index = 0, .value = 7, .op = "SCMP_CMP_EQ"}};
  auto program = compile_seccomp(profile).value();
  EXPECT_EQ(native(program, SYS_getppid, {5}), kErrno | 11);
  EXPECT_EQ(native(program, SYS_getppid, {7}), kErrno | 11);
  EXPECT_EQ(native(program, SYS_getppid, {6}), std::uint32_t{SECCOMP_RET_ALLOW});
}

TEST(SeccompCompile, EveryOperator) {
  struct Case {
    std::string op;
    std::uint64_t value, value_two;
    std::vector<std::uint64_t> hits, misses;
  };
  constexpr std::uint64_t kHigh = 1ull << 32;
  const std::vector<Case> cases{
      {"SCMP_CMP_EQ", 5, 0, {5}, {4, 6, kHigh + 5}},
      {"SCMP_CMP_NE", 5, 0, {4, 6, kHigh + 5}, {5}},
      {"SCMP_CMP_LT", 5, 0, {0, 4}, {5, 6, kHigh}},
      {"SCMP_CMP_LE", 5, 0, {4, 5}, {6, kHigh}},
      {"SCMP_CMP_GE", 5, 0, {5, 6, kHigh}, {0, 4}},
      {"SCMP_CMP_GT", 5, 0, {6, kHigh}, {4, 5}},
      {"SCMP_CMP_MASKED_EQ", 0xf0, 0x20, {0x20, 0x2f, kHigh + 0x120}, {0x30, 0}},
  };
  EXPECT_EQ(cases.size(), seccomp_operator_names().size());
  for (const auto& one : cases) {
    auto profile = one_rule("SCMP_ACT_ERRNO", 11);
    profile.syscalls[0].args = {{.index = 5, .value = one.value, .value_two = one.value_two, .op = one.op}};
    auto program = compile_seccomp(profile).value();
    for (auto v : one.hits) EXPECT_EQ(native(program, SYS_getppid, {0, 0, 0, 0, 0, v}), kErrno | 11) << one.op << " " << v;
    for (auto v : one.misses)
      EXPECT_EQ(native(program, SYS_getppid, {0, 0, 0, 0, 0, v}), std::uint32_t{SECCOMP_RET_ALLOW}) << one.op << " " << v;
  }
}

TEST(SeccompCompile, UnknownNamesAreSkippedAndReported) {
  auto profile = one_rule("SCMP_ACT_ERRNO");
  profile.syscalls[0].names = {"zz_future", "getppid", "a_future", "zz_future", ""};
  auto program = compile_seccomp(profile).value();
  EXPECT_THAT(program.skipped_syscalls, ElementsAre("", "a_future", "zz_future"));
  EXPECT_EQ(native(program, SYS_getppid), kErrno | EPERM);
}

TEST(SeccompCompile, RepeatedAndRedundantRulesAreFine) {
  auto profile = one_rule("SCMP_ACT_ERRNO");
  profile.syscalls.push_back(profile.syscalls[0]);
  profile.syscalls.push_back(rule("getpid", "SCMP_ACT_ALLOW"));
  auto program = compile_seccomp(profile);
  ASSERT_TRUE(program) << program.error().to_string();
  EXPECT_EQ(native(*program, SYS_getppid), kErrno | EPERM);
}

TEST(SeccompCompile, FlagsBecomeBits) {
  auto profile = one_rule("SCMP_ACT_LOG");
  profile.flags = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"};
  EXPECT_EQ(compile_seccomp(profile).value().flags,
            SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW);
}

TEST(SeccompCompile, ArchitecturesAreAdded) {
#if defined(__x86_64__)
  auto profile = one_rule("SCMP_ACT_ERRNO");
  auto only_native = compile_seccomp(profile).value();
  EXPECT_EQ(run_filter(only_native.instructions, AUDIT_ARCH_I386, 64), std::uint32_t{SECCOMP_RET_KILL_THREAD});
  // Once more the native one, and one that the specification has but that this libseccomp may lack.
  profile.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_LOONGARCH64"};
  auto three = compile_seccomp(profile).value();
  EXPECT_EQ(run_filter(three.instructions, AUDIT_ARCH_I386, 64), kErrno | EPERM);  // getppid of i386
  EXPECT_EQ(run_filter(three.instructions, AUDIT_ARCH_X86_64, kX32Bit | SYS_getppid), kErrno | EPERM);
  EXPECT_EQ(run_filter(three.instructions, AUDIT_ARCH_I386, 20), std::uint32_t{SECCOMP_RET_ALLOW});
#else
  GTEST_SKIP() << "x86 only";
#endif
}

TEST(SeccompCompile, WhatCannotBeMeantIsRefused) {
  EXPECT_THAT(error_of(one_rule("SCMP_ACT_NONSENSE")), HasSubstr("getppid: unknown action 'SCMP_ACT_NONSENSE'"));
  EXPECT_THAT(error_of(one_rule("")), HasSubstr("unknown action ''"));
  EXPECT_THAT(error_of(one_rule("SCMP_ACT_KILL", 5)), HasSubstr("takes no errnoRet"));
  EXPECT_THAT(error_of(one_rule("SCMP_ACT_ALLOW", 0)), HasSubstr("takes no errnoRet"));
  EXPECT_THAT(error_of(one_rule("SCMP_ACT_ERRNO", 65536)), HasSubstr("above 65535"));
  EXPECT_THAT(error_of(one_rule("SCMP_ACT_NOTIFY", {}, "sendmsg")), HasSubstr("would block"));
  EXPECT_THAT(error_of(default_only("SCMP_ACT_NOTIFY")), HasSubstr("would block"));
  EXPECT_THAT(error_of(default_only("")), HasSubstr("default action: unknown action"));
  EXPECT_THAT(error_of(default_only("SCMP_ACT_KILL", 1)), HasSubstr("takes no errnoRet"));
  auto profile = one_rule("SCMP_ACT_ERRNO");
  profile.flags = {"SECCOMP_FILTER_FLAG_NEW_LISTENER"};
  EXPECT_THAT(error_of(profile), HasSubstr("unknown flag"));
  profile = one_rule("SCMP_ACT_ERRNO");
  profile.architectures = {"SCMP_ARCH_VAX"};
  EXPECT_THAT(error_of(profile), HasSubstr("unknown architecture 'SCMP_ARCH_VAX'"));
  profile = one_rule("SCMP_ACT_ERRNO");
  profile.syscalls[0].args = {{.index = 6, .op = "SCMP_CMP_EQ"}};
  EXPECT_THAT(error_of(profile), HasSubstr("index 6"));
  profile.syscalls[0].args = {{.index = 0, .op = "=="}};
  EXPECT_THAT(error_of(profile), HasSubstr("unknown operator '=='"));
}

TEST(SeccompNames, OfThisKernel) {
  EXPECT_THAT(seccomp_flag_names(), Contains("SECCOMP_FILTER_FLAG_TSYNC"));
  EXPECT_THAT(seccomp_supported_flag_names(), Contains("SECCOMP_FILTER_FLAG_LOG"));
  EXPECT_THAT(seccomp_architecture_names(), Contains("SCMP_ARCH_X86_64"));
  for (const auto& name : seccomp_architecture_names())
    EXPECT_NE(::seccomp_arch_resolve_name(seccomp_architecture(name).data()), 0u) << name;
}

// ---- the default profile of a VPS, over every number of every architecture ----

struct Numbered {
  std::uint32_t arch, token;
  int offset;
};
#if defined(__x86_64__)
const std::vector<Numbered> kArchitectures{{AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64, 0},
                                           {AUDIT_ARCH_I386, SCMP_ARCH_X86, 0},
                                           {AUDIT_ARCH_X86_64, SCMP_ARCH_X32, kX32Bit}};
#else
const std::vector<Numbered> kArchitectures{{SCMP_ARCH_NATIVE, SCMP_ARCH_NATIVE, 0}};
#endif

TEST(DefaultProfileCompiled, EveryNumberGetsWhatItsGroupSays) {
  const oci::Seccomp profile = default_seccomp_profile();
  auto program = compile_seccomp(profile);
  ASSERT_TRUE(program) << program.error().to_string();
  std::map<std::string, std::uint32_t> answers;
  for (const auto& group : profile.syscalls) {
    if (!group.args.empty()) continue;
    for (const auto& name : group.names)
      answers[name] = group.action == "SCMP_ACT_ALLOW" ? SECCOMP_RET_ALLOW : kErrno | group.errno_ret.value();
  }
  // Calls of long ago, most of them gone from the kernel: no group, so ENOSYS.
  const std::set<std::string> bygone{
      "_sysctl", "afs_syscall", "bdflush", "break", "epoll_ctl_old", "epoll_wait_old", "ftime", "get_kernel_syms",
      "getpmsg", "gtty", "idle", "lock", "mpx", "nfsservctl", "oldfstat", "oldlstat", "oldolduname", "oldstat",
      "olduname", "prof", "profil", "putpmsg", "query_module", "readdir", "security", "sgetmask", "ssetmask", "stty",
      "sysfs", "tuxcall", "ulimit", "uselib", "ustat", "vserver"};
  for (const auto& [arch, token, offset] : kArchitectures) {
    int known = 0;
    for (int n = 0; n < 1200; ++n) {
      int number = offset | n;
      char* resolved = ::seccomp_syscall_resolve_num_arch(token, number);
      std::string name = resolved == nullptr ? "" : resolved;
      std::free(resolved);
      std::uint32_t got = run_filter(program->instructions, arch, number);
      if (name == "socket") {
        EXPECT_EQ(run_filter(program->instructions, arch, number, {2}), std::uint32_t{SECCOMP_RET_ALLOW});
        EXPECT_EQ(run_filter(program->instructions, arch, number, {40}), kErrno | EAFNOSUPPORT);  // vsock
        // Where the filter sees 64 bits, upper ones do not smuggle a value past it; 32-bit calls have none.
        if (token == SCMP_ARCH_X86_64) {
          EXPECT_EQ(run_filter(program->instructions, arch, number, {(1ull << 32) + 2}), kErrno | EAFNOSUPPORT);
        }
        continue;
      }
      auto answer = answers.find(name);
      if (answer != answers.end()) {
        EXPECT_EQ(got, answer->second) << name << " " << number << " of " << std::hex << arch;
        ++known;
      } else {
        EXPECT_EQ(got, kErrno | ENOSYS) << name << " " << number;
        EXPECT_TRUE(name.empty() || bygone.contains(name)) << name << " is in no group";
      }
    }
    EXPECT_GT(known, 300);
    for (int number : {-1, 100'000, 0x3fffffff}) EXPECT_EQ(run_filter(program->instructions, arch, number), kErrno | ENOSYS);
  }
}

}  // namespace
}  // namespace vps::namespaces
