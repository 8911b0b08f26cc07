// A filter that has been made small, held against the one that it was made from: call by call.
#include "namespaces/seccomp_compact.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <random>

#include "namespaces/seccomp.h"
#include "specs/vps/compile.h"
#include "tests/support/bpf.h"
#include "tests/support/temp_dir.h"

namespace vps::namespaces {
namespace {

using test::run_filter;
using Program = std::vector<std::uint64_t>;

std::uint64_t word(const sock_filter& each) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &each, sizeof bits);
  return bits;
}
Program program(std::initializer_list<sock_filter> code) {
  Program made;
  for (const auto& each : code) made.push_back(word(each));
  return made;
}
constexpr std::uint32_t kNumber = offsetof(seccomp_data, nr), kArch = offsetof(seccomp_data, arch), kFirst = offsetof(seccomp_data, args);

// All numbers that a kernel knows, those of x32, and some that none does; architectures that the profile names and others.
void expect_alike(const Program& one, const Program& other, std::vector<std::uint32_t> words = {}) {
  words.insert(words.end(), {0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff});
  std::minstd_rand random(7);
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t base : {0u, 0x40000000u, 0x7fffff00u, 0xfffffe00u})
    for (std::uint32_t i = 0; i < 512; ++i) numbers.push_back(base + i);
  for (std::uint32_t arch : std::initializer_list<std::uint32_t>{AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, 0, AUDIT_ARCH_X86_64 + 1})
    for (std::uint32_t number : numbers)
      for (int round = 0; round < 6; ++round) {
        auto any = [&] { return std::uint64_t{words[random() % words.size()]}; };
        seccomp_data call{.nr = static_cast<int>(number), .arch = arch, .instruction_pointer = any(), .args = {}};
        for (auto& argument : call.args) argument = (round < 2 ? 0 : any()) << 32 | any();
        ASSERT_EQ(run_filter(one, call), run_filter(other, call)) << fmt::format("{:#x} of {:#x}, {:#x} {:#x}", number, arch, call.args[0], call.args[1]);
      }
}

TEST(SeccompCompact, TheFilterOfAVpsIsASixthAndAnswersAlike) {
  auto full = compile_seccomp(default_seccomp_profile()).value().instructions;
  auto small = compact_filter(full);
  ASSERT_TRUE(small);
  EXPECT_LT(small->size(), full.size() / 6) << full.size();
  expect_alike(full, *small, {AF_UNIX, AF_INET, AF_INET6, AF_VSOCK, 0x7e020000, 0x20000, 8, 0x20008});
  EXPECT_FALSE(compact_filter(*small)) << "smaller still";
}

TEST(SeccompCompact, TheCacheKeepsTheSmallOne) {
  test::TempDir dir;
  auto profile = default_seccomp_profile();
  for (int round = 0; round < 2; ++round)
    EXPECT_EQ(compile_seccomp_cached(profile, dir.path()).value().instructions, compact_filter(compile_seccomp(profile).value().instructions).value());
}

TEST(SeccompCompact, AnyProfileAnswersAlike) {
  const std::vector<std::string> names{"read",  "write", "open",   "socket",      "clone", "personality", "ioctl", "getppid", "kill",  "prctl",
                                       "mount", "chmod", "setuid", "keyctl",      "ptrace", "fcntl",      "futex", "bpf",     "statx", "clone3"};
  const std::vector<std::string> operators{"SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GT", "SCMP_CMP_GE", "SCMP_CMP_MASKED_EQ"};
  const std::vector<std::string> actions{"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG", "SCMP_ACT_KILL_PROCESS"};
  std::minstd_rand random(11);
  auto some = [&](const auto& list) { return list[random() % list.size()]; };
  int smaller = 0;
  for (int round = 0; round < 60; ++round) {
    oci::Seccomp profile;
    profile.default_action = some(actions);
    if (random() % 2 == 0) profile.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
    std::vector<std::uint32_t> words;
    for (std::size_t rules = 1 + random() % 40; rules > 0; --rules) {
      oci::SeccompRule rule;
      for (std::size_t count = 1 + random() % 4; count > 0; --count) rule.names.push_back(some(names));
      rule.action = some(actions);
      if (rule.action == "SCMP_ACT_ERRNO") rule.errno_ret = random() % 3;
      for (std::size_t count = random() % 3; count > 0; --count) {
        // Small values, so that a random call meets them; and the upper half now and then.
        std::uint64_t value = random() % 5 + (random() % 4 == 0 ? std::uint64_t{1} << 32 : 0);
        rule.args.push_back({.index = static_cast<std::uint32_t>(count), .value = value, .value_two = random() % 5, .op = some(operators)});
        words.push_back(static_cast<std::uint32_t>(value));
      }
      profile.syscalls.push_back(std::move(rule));
    }
    auto full = compile_seccomp(profile);
    ASSERT_TRUE(full) << full.error().to_string();
    auto small = compact_filter(full->instructions);
    if (!small) continue;
    ++smaller;
    EXPECT_LT(small->size(), full->instructions.size());
    expect_alike(full->instructions, *small, words);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(smaller, 10);
}

// Some hundred answers to values of an argument: what is jumped to lies further away than a conditional jump reaches.
TEST(SeccompCompact, FarTargetsAreReached) {
  Program full;
  auto add = [&](std::uint16_t code, std::uint8_t yes, std::uint8_t no, std::uint32_t k) { full.push_back(word({code, yes, no, k})); };
  constexpr std::uint32_t kNumbers = 200, kValues = 5;
  add(BPF_LD | BPF_W | BPF_ABS, 0, 0, kNumber);
  for (std::uint32_t number = 0; number < kNumbers; ++number) {
    // Two copies of the same: only one is needed.
    add(BPF_JMP | BPF_JEQ | BPF_K, 0, 3 * kValues * 2 + 3, number);
    for (int copy = 0; copy < 2; ++copy)
      for (std::uint32_t value = 0; value < kValues; ++value) {
        add(BPF_LD | BPF_W | BPF_ABS, 0, 0, kFirst);
        add(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value * 1000 + number);
        add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | (number * kValues + value) % 4000);
      }
    add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
    add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
    add(BPF_LD | BPF_W | BPF_ABS, 0, 0, kNumber);
  }
  add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
  if (full.size() > BPF_MAXINSNS) full.erase(full.begin() + 1, full.begin() + 1 + 34 * ((full.size() - BPF_MAXINSNS) / 34 + 1));
  auto small = compact_filter(full);
  ASSERT_TRUE(small);
  EXPECT_GT(small->size(), 600u);
  std::vector<std::uint32_t> words;
  for (std::uint32_t number = 0; number < kNumbers; ++number)
    for (std::uint32_t value = 0; value < kValues; ++value)
      for (std::uint32_t at : {number, number + 1})
        ASSERT_EQ(run_filter(full, AUDIT_ARCH_X86_64, static_cast<int>(at), {value * 1000 + number}), run_filter(*small, AUDIT_ARCH_X86_64, static_cast<int>(at), {value * 1000 + number}));
}

TEST(SeccompCompact, TheKernelTakesIt) {
  auto profile = default_seccomp_profile();
  SeccompProgram made = compile_seccomp(profile).value();
  made.instructions = compact_filter(made.instructions).value();
  pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!load_seccomp(made)) ::_exit(1);
    if (::syscall(SYS_getppid) <= 0) ::_exit(2);
    errno = 0;
    ::_exit(::syscall(SYS_kexec_load, 0, 0, nullptr, 0) == -1 && errno == EPERM ? 0 : 3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(SeccompCompact, LeavesAloneWhatItDoesNotUnderstand) {
  const sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW), deny = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  const sock_filter number = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNumber);
  EXPECT_FALSE(compact_filter({}));
  EXPECT_FALSE(compact_filter(program({number})));                                                             // falls off its end
  EXPECT_FALSE(compact_filter(program({number, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 1, 0), allow})));         // jumps out
  EXPECT_FALSE(compact_filter(program({number, BPF_STMT(BPF_MISC | BPF_TAX, 0), allow, allow, allow})));        // another instruction
  EXPECT_FALSE(compact_filter(program({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), allow, allow, allow})));         // beyond the call
  EXPECT_FALSE(compact_filter(program({number, BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1), allow, deny, deny, deny})));
  EXPECT_FALSE(compact_filter(program({number, BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 7), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1), allow, deny, deny, deny})));
  EXPECT_FALSE(compact_filter(program({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kArch), BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 5, 0, 1), allow, deny, deny, deny})));
  // And makes of this what it says.
  EXPECT_EQ(compact_filter(program({number, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0), allow, deny})), program({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kArch), allow}));
}

}  // namespace
}  // namespace vps::namespaces
