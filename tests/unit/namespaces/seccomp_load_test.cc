// Filters loaded into real processes, and the cache on a real directory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "base/files.h"
#include "namespaces/seccomp.h"
#include "namespaces/seccomp_cache.h"
#include "namespaces/seccomp_compact.h"
#include "specs/vps/compile.h"
#include "tests/support/forked.h"
#include "tests/support/temp_dir.h"

namespace vps::namespaces {
namespace {

oci::Seccomp refusing(std::string name, std::uint32_t errno_ret) {
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ALLOW";
  oci::SeccompRule rule;
  rule.names = {std::move(name)};
  rule.action = "SCMP_ACT_ERRNO";
  rule.errno_ret = errno_ret;
  profile.syscalls.push_back(rule);
  return profile;
}

bool load(const SeccompProgram& program) {
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return !test::failed(load_seccomp(program));
}

// errno of a raw call, 0 for success.
template <class... Args>
int call(long number, Args... args) {
  return ::syscall(number, args...) == -1 ? errno : 0;
}

TEST(SeccompLoad, DeniedCallReturnsTheErrno) {
  auto program = compile_seccomp(refusing("getppid", 75)).value();
  EXPECT_EQ(call(SYS_getppid), 0);
  EXPECT_EQ(test::in_child([&] {
              if (!load(program)) return 1;
              if (call(SYS_getppid) != 75) return 2;
              return call(SYS_getuid) == 0 ? 0 : 3;
            }),
            0);
}

TEST(SeccompLoad, ConditionOnAnArgument) {
  auto profile = refusing("personality", 75);
  profile.syscalls[0].args = {{.index = 0, .value = 0x0008, .op = "SCMP_CMP_EQ"}};
  auto program = compile_seccomp(profile).value();
  EXPECT_EQ(test::in_child([&] {
              if (!load(program)) return 1;
              if (call(SYS_personality, 0x0008ul) != 75) return 2;
              return call(SYS_personality, 0xfffffffful) == 0 ? 0 : 3;
            }),
            0);
}

TEST(SeccompLoad, KillKills) {
  auto profile = refusing("getppid", 1);
  profile.syscalls[0].action = "SCMP_ACT_KILL_PROCESS";
  profile.syscalls[0].errno_ret.reset();
  auto program = compile_seccomp(profile).value();
  EXPECT_EQ(test::in_child([&] {
              if (!load(program)) return 1;
              return call(SYS_getppid);
            }),
            128 + SIGSYS);
}

TEST(SeccompLoad, DefaultProfileOfAVps) {
  auto program = compile_seccomp(default_seccomp_profile()).value();
  EXPECT_EQ(test::in_child([&] {
              if (!load(program)) return 1;
              // Numbers of no call, or of one that is newer than the table: the kernel seems not to have it.
              for (long number : {600l, 999l, 100'000l})
                if (call(number) != ENOSYS) return 2;
              if (call(SYS_bpf, 0, 0, 0) != EPERM) return 3;
              if (call(SYS_keyctl, 0, 0, 0) != ENOSYS) return 4;
              if (call(SYS_init_module, 0, 0, 0) != EPERM) return 5;
              if (call(SYS_settimeofday, 0, 0) != EPERM) return 6;
              if (::socket(AF_VSOCK, SOCK_STREAM, 0) != -1 || errno != EAFNOSUPPORT) return 7;
              int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
              if (fd < 0) return 8;
              // The kernel, not the filter, answers what is allowed: a bad pointer is EFAULT.
              if (call(SYS_mount, 1, 1, 1, 0, 0) == ENOSYS) return 9;
              pid_t pid = ::fork();
              if (pid == 0) ::execl("/bin/true", "true", nullptr);
              int status = 0;
              if (::waitpid(pid, &status, 0) != pid || status != 0) return 10;
              return 0;
            }),
            0);
}

#if defined(__x86_64__)
TEST(SeccompLoad, ThirtyTwoBitCallsAreFilteredToo) {
  auto int80 = [](long number) {
    long result = 0;
    asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(0), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
    return static_cast<int>(result);
  };
  constexpr long kGetpid32 = 20, kInitModule32 = 128, kKeyctl32 = 288;
  if (test::in_child([&] { return int80(kGetpid32) == ::getpid() ? 0 : 1; }) != 0)
    GTEST_SKIP() << "this kernel runs no 32-bit calls";
  auto program = compile_seccomp(default_seccomp_profile()).value();
  EXPECT_EQ(test::in_child([&] {
              if (!load(program)) return 1;
              if (int80(kGetpid32) != ::getpid()) return 2;
              if (int80(kInitModule32) != -EPERM) return 3;
              return int80(kKeyctl32) == -ENOSYS ? 0 : 4;
            }),
            0);
}
#endif

TEST(SeccompLoad, NotifyGivesTheListener) {
  auto profile = refusing("getppid", 1);
  profile.syscalls[0].action = "SCMP_ACT_NOTIFY";
  profile.syscalls[0].errno_ret.reset();
  profile.flags = {"SECCOMP_FILTER_FLAG_TSYNC"};
  auto program = compile_seccomp(profile).value();
  EXPECT_EQ(test::in_child([&] {
              ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
              auto listener = load_seccomp(program);
              if (test::failed(listener)) return 1;
              auto link = read_link_at(AT_FDCWD, "/proc/self/fd/" + std::to_string(listener->get()));
              return link && *link == "anon_inode:seccomp notify" ? 0 : 2;
            }),
            0);
}

TEST(SeccompLoad, BadProgramsAreErrors) {
  SeccompProgram program;
  EXPECT_EQ(load_seccomp(program).error().code(), Code::kUsage);
  program.instructions.resize(5000);
  EXPECT_EQ(load_seccomp(program).error().code(), Code::kUsage);
  EXPECT_EQ(test::in_child([] {
              ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
              SeccompProgram nonsense;
              nonsense.instructions = {0xffff};
              auto loaded = load_seccomp(nonsense);
              return !loaded && loaded.error().err() == EINVAL ? 0 : 1;
            }),
            0);
}

// ---- the cache ----

class SeccompCache : public testing::Test {
 protected:
  const oci::Seccomp profile = refusing("getppid", 75);
  const std::string key = seccomp_cache_key(profile);
  test::TempDir tmp;
  const std::string dir = tmp / "a/cache";
  const std::string file = dir + "/" + key + ".bpf";

  // An entry that compiles to something else: a reader that takes it shows it.
  std::string marked() const {
    SeccompProgram program = compile_seccomp(profile).value();
    program.skipped_syscalls = {"from_the_cache"};
    return format_seccomp_entry(program, key);
  }
  bool from_cache() const { return !compile_seccomp_cached(profile, dir).value().skipped_syscalls.empty(); }
};

TEST_F(SeccompCache, MissStoresAndHitGivesTheSame) {
  auto first = compile_seccomp_cached(profile, dir).value();
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(::stat(dir.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  auto second = compile_seccomp_cached(profile, dir).value();
  EXPECT_EQ(first.instructions, second.instructions);
  EXPECT_EQ(first.flags, second.flags);
  EXPECT_FALSE(from_cache());
  ASSERT_TRUE(write_file_atomic(file, marked(), 0600));
  EXPECT_TRUE(from_cache());
}

TEST_F(SeccompCache, EntryKeepsEveryField) {
  auto full = profile;
  full.syscalls[0].action = "SCMP_ACT_NOTIFY";
  full.syscalls[0].errno_ret.reset();
  full.syscalls[0].names.push_back("a_future");
  full.flags = {"SECCOMP_FILTER_FLAG_LOG"};
  auto program = compile_seccomp(full).value();
  auto back = parse_seccomp_entry(format_seccomp_entry(program, "k"), "k").value();
  EXPECT_EQ(back.instructions, program.instructions);
  EXPECT_EQ(back.flags, program.flags);
  EXPECT_EQ(back.needs_listener, true);
  EXPECT_EQ(back.skipped_syscalls, program.skipped_syscalls);
}

TEST_F(SeccompCache, AnyDamageIsSeen) {
  const std::string good = marked();
  ASSERT_TRUE(parse_seccomp_entry(good, key));
  EXPECT_FALSE(parse_seccomp_entry(good, seccomp_cache_key(refusing("getpid", 75))));
  for (std::size_t i = 0; i < good.size(); i += 7) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(parse_seccomp_entry(bad, key)) << "byte " << i;
    EXPECT_FALSE(parse_seccomp_entry(good.substr(0, i), key)) << "cut at " << i;
  }
  EXPECT_FALSE(parse_seccomp_entry(good + "x", key));
}

TEST_F(SeccompCache, DamagedEntryIsRewritten) {
  ASSERT_TRUE(compile_seccomp_cached(profile, dir));
  const std::string good = read_file(file).value();
  ASSERT_TRUE(write_file_atomic(file, good.substr(0, good.size() / 2), 0600));
  EXPECT_TRUE(compile_seccomp_cached(profile, dir));
  EXPECT_EQ(read_file(file).value(), good);
}

TEST_F(SeccompCache, EntryThatOthersCouldWriteIsNotTaken) {
  ASSERT_TRUE(make_dirs(dir, 0700));
  ASSERT_TRUE(write_file_atomic(file, marked(), 0600));
  ASSERT_TRUE(from_cache());
  ASSERT_EQ(::chmod(file.c_str(), 0622), 0);
  EXPECT_FALSE(from_cache());
}

TEST_F(SeccompCache, EntryOfAnotherUserIsNotTaken) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  ASSERT_TRUE(make_dirs(dir, 0700));
  ASSERT_TRUE(write_file_atomic(file, marked(), 0600));
  ASSERT_EQ(::chown(file.c_str(), 12345, 12345), 0);
  EXPECT_FALSE(from_cache());
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0u) << "rewritten";
}

TEST_F(SeccompCache, SymlinkAndFifoAreNotOpened) {
  ASSERT_TRUE(make_dirs(dir, 0700));
  ASSERT_TRUE(write_file_atomic(tmp / "elsewhere", marked(), 0600));
  ASSERT_EQ(::symlink((tmp / "elsewhere").c_str(), file.c_str()), 0);
  EXPECT_FALSE(from_cache());
  ASSERT_EQ(::unlink(file.c_str()), 0);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  EXPECT_FALSE(from_cache());
}

TEST_F(SeccompCache, UnusableDirectoryCostsTimeOnly) {
  ASSERT_TRUE(write_file_atomic(tmp / "file", "", 0600));
  auto program = compile_seccomp_cached(profile, tmp / "file/cache");
  ASSERT_TRUE(program);
  EXPECT_EQ(program->instructions, compact_filter(compile_seccomp(profile).value().instructions).value());
  EXPECT_TRUE(compile_seccomp_cached(profile, ""));
}

TEST_F(SeccompCache, OldestEntriesGo) {
  ASSERT_TRUE(make_dirs(dir, 0700));
  ASSERT_TRUE(write_file_atomic(dir + "/keep", "", 0600));
  for (int i = 0; i < 140; ++i) {
    std::string name = dir + "/" + std::to_string(i) + ".bpf";
    ASSERT_EQ(::close(::open(name.c_str(), O_CREAT | O_WRONLY, 0600)), 0);
    timespec times[2] = {{.tv_sec = 1000 + i, .tv_nsec = 0}, {.tv_sec = 1000 + i, .tv_nsec = 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, name.c_str(), times, 0), 0);
  }
  ASSERT_TRUE(compile_seccomp_cached(profile, dir));
  EXPECT_EQ(list_dir(dir)->size(), 128u);
  EXPECT_TRUE(path_exists(file));
  EXPECT_TRUE(path_exists(dir + "/keep"));
  EXPECT_FALSE(path_exists(dir + "/0.bpf"));
  EXPECT_TRUE(path_exists(dir + "/139.bpf"));
}

TEST_F(SeccompCache, KeyDependsOnEveryPartOfTheProfile) {
  std::vector<oci::Seccomp> variants(10, profile);
  variants[1].default_action = "SCMP_ACT_LOG";
  variants[2].default_errno_ret = 0;
  variants[3].architectures = {"SCMP_ARCH_X86"};
  variants[4].flags = {"SECCOMP_FILTER_FLAG_LOG"};
  variants[5].syscalls[0].names = {"getpid"};
  variants[6].syscalls[0].action = "SCMP_ACT_TRACE";
  variants[7].syscalls[0].errno_ret.reset();
  variants[8].syscalls[0].args = {{.index = 1, .value = 2, .value_two = 3, .op = "SCMP_CMP_EQ"}};
  variants[9].syscalls[0].args = {{.index = 1, .value = 2, .value_two = 4, .op = "SCMP_CMP_EQ"}};
  std::set<std::string> keys;
  for (const auto& variant : variants) keys.insert(seccomp_cache_key(variant));
  EXPECT_EQ(keys.size(), variants.size());
  EXPECT_TRUE(keys.contains(key));
}

}  // namespace
}  // namespace vps::namespaces
