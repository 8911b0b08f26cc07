// Real control groups on this host: limits that bite, events that fire, nothing left behind. Needs root and a writable
// cgroup tree; each test works below "vps-test-<pid>" and removes what it made.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>

#include "base/files.h"
#include "base/pidfd.h"
#include "cgroups/cgroup.h"
#include "tests/support/temp_dir.h"

namespace vps::cgroups {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kMiB = 1 << 20;
constexpr int kPatience = 20'000;  // ms; bounds of waits that normally end at once

// A process born in the group that waits for go() and then runs `work` as its whole life.
class Child {
 public:
  Child(const Group& group, const std::function<int()>& work) {
    int gate[2];
    int joined[2];
    EXPECT_EQ(::pipe2(gate, O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(joined, O_CLOEXEC), 0);
    int fd = -1;
    clone_args args{};
    args.flags = CLONE_INTO_CGROUP | CLONE_PIDFD;
    args.pidfd = reinterpret_cast<std::uintptr_t>(&fd);
    args.exit_signal = SIGCHLD;
    args.cgroup = static_cast<std::uint64_t>(group.dirfd());
    auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
    if (pid == 0) {
      char byte = 0;
      ::close(gate[1]);
      if (!group.join_v1() || ::write(joined[1], "j", 1) != 1) ::_exit(98);
      ::close(joined[1]);
      if (::read(gate[0], &byte, 1) != 1) ::_exit(99);
      ::_exit(work());
    }
    EXPECT_GT(pid, 0);
    ::close(gate[0]);
    ::close(joined[1]);
    gate_ = UniqueFd(gate[1]);
    process_ = PidFd(UniqueFd(fd), pid);
    char word = 0;
    EXPECT_EQ(::read(joined[0], &word, 1), 1) << "the child did not get into its v1 groups";
    ::close(joined[0]);
  }
  ~Child() {
    if (waited_) return;
    (void)process_.signal(SIGKILL);
    (void)process_.wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void go() { EXPECT_EQ(::write(gate_.get(), "g", 1), 1); }
  ExitStatus wait() {
    pollfd p{process_.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&p, 1, kPatience), 1) << "the child does not end";
    waited_ = true;
    auto status = process_.wait();
    return status ? *status : ExitStatus{};
  }
  [[nodiscard]] bool alive() const { return process_.alive(); }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }

 private:
  PidFd process_;
  UniqueFd gate_;
  bool waited_ = false;
};

// Touches `bytes` of anonymous memory.
void* take_memory(std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) ::_exit(98);
  auto* at = static_cast<volatile char*>(memory);
  for (std::size_t i = 0; i < bytes; i += 4096) at[i] = 1;
  return memory;
}

bool fires(const Group::Watch& watch) {
  pollfd p{watch.fd.get(), static_cast<short>(watch.eventfd ? POLLIN : POLLPRI), 0};
  return ::poll(&p, 1, kPatience) == 1;
}

class CgroupSystem : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    auto host = Host::discover({.probe = true});
    if (!host) GTEST_SKIP() << host.error().to_string();
    if (::access(host->unified_base.c_str(), W_OK) != 0) GTEST_SKIP() << host->unified_base << " is not writable";
    host_ = *host;
    name_ = fmt::format("vps-test-{}", ::getpid());
  }
  void TearDown() override {
    if (host_.unified_base.empty()) return;
    auto removed = Group::remove(host_, name_);
    EXPECT_TRUE(removed) << removed.error().to_string();
    EXPECT_THAT(leftovers(), ::testing::IsEmpty());
  }

  // Directories of ours, in every hierarchy.
  std::vector<std::string> leftovers() const {
    std::vector<std::string> found;
    auto look = [&](const std::string& base) {
      auto names = list_dir(base);
      ASSERT_TRUE(names) << names.error().to_string();
      for (const auto& name : *names)
        if (name == name_) found.push_back(base + "/" + name);
    };
    look(host_.unified_base);
    for (const auto& hierarchy : host_.v1) look(hierarchy.base);
    return found;
  }

  Group make(const std::string& sub) {
    auto group = Group::create(host_, name_ + "/" + sub);
    EXPECT_TRUE(group) << group.error().to_string();
    return std::move(*group);
  }
  bool lacks(std::string_view controller) const { return !host_.has(controller); }

  static oci::Resources memory(std::int64_t bytes) {
    oci::Resources resources;
    resources.memory.emplace();
    resources.memory->limit = bytes;
    resources.memory->swap = bytes;
    return resources;
  }
  static const Group::Watch* find(const std::vector<Group::Watch>& watches, Group::Watch::Kind kind) {
    for (const auto& watch : watches)
      if (watch.kind == kind) return &watch;
    return nullptr;
  }

  Host host_;
  std::string name_;
};

#define ASSERT_OK(expression)                                   \
  do {                                                          \
    auto ok_result = (expression);                              \
    ASSERT_TRUE(ok_result) << ok_result.error().to_string();    \
  } while (false)

TEST_F(CgroupSystem, ALeafOfTheV2TreeAloneIsItsParentInV1) {
  host_.unified_leaf = "payload";
  auto group = make("101/payload");
  oci::Resources limits;
  limits.pids.emplace().limit = 7;
  ASSERT_OK(group.apply(limits));
  EXPECT_TRUE(path_exists(host_.unified_base + "/" + name_ + "/101/payload"));
  for (const auto& hierarchy : host_.v1) {
    EXPECT_TRUE(path_exists(hierarchy.base + "/" + name_ + "/101")) << hierarchy.mount;
    EXPECT_FALSE(path_exists(hierarchy.base + "/" + name_ + "/101/payload")) << hierarchy.mount;
  }
  const auto* v1 = host_.find_v1("pids");
  EXPECT_EQ(*read_file((v1 != nullptr ? v1->base : host_.unified_base) + "/" + host_.path_in("pids", group.path()) + "/pids.max"), "7\n");
  EXPECT_TRUE(Group::open(host_, name_ + "/101/payload"));
  // Without the leaf, its folder and a sibling stay.
  make("101/supervisor");
  ASSERT_OK(Group::remove(host_, name_ + "/101/payload"));
  EXPECT_FALSE(path_exists(host_.unified_base + "/" + name_ + "/101/payload"));
  EXPECT_TRUE(path_exists(host_.unified_base + "/" + name_ + "/101/supervisor"));
}

TEST_F(CgroupSystem, MakesAndRemovesTheWholeSubtreeInEveryHierarchy) {
  auto group = make("101/payload");
  for (const auto& hierarchy : host_.v1)
    EXPECT_TRUE(path_exists(hierarchy.base + "/" + name_ + "/101/payload")) << hierarchy.mount;
  // A tenant's own sub-groups, as systemd leaves them behind.
  ASSERT_OK(make_dirs(host_.unified_base + "/" + name_ + "/101/payload/system.slice/sshd.service"));
  if (!host_.v1.empty()) ASSERT_OK(make_dirs(host_.v1.front().base + "/" + name_ + "/101/payload/init.scope"));
  EXPECT_TRUE(Group::open(host_, name_ + "/101/payload"));
  ASSERT_OK(Group::remove(host_, name_ + "/101"));
  EXPECT_EQ(Group::open(host_, name_ + "/101/payload").error().code(), Code::kNotFound);
  EXPECT_FALSE(path_exists(host_.unified_base + "/" + name_ + "/101"));
  for (const auto& hierarchy : host_.v1) EXPECT_FALSE(path_exists(hierarchy.base + "/" + name_ + "/101")) << hierarchy.mount;
  ASSERT_OK(Group::remove(host_, name_ + "/101"));  // already gone
}

TEST_F(CgroupSystem, TakesOverALeftoverWithoutItsSettings) {
  if (lacks("pids")) GTEST_SKIP() << "no pids controller";
  {
    auto group = make("101");
    oci::Resources resources;
    resources.pids = oci::PidsLimit{7};
    ASSERT_OK(group.apply(resources));
    ASSERT_OK(group.delegate(12345, 12345));
    ASSERT_OK(make_dirs(host_.unified_base + "/" + group.path() + "/stale"));
    EXPECT_EQ(group.stats()->pids_limit, 7u);
  }
  auto group = make("101");
  EXPECT_EQ(group.stats()->pids_limit, 0u);
  EXPECT_FALSE(path_exists(host_.unified_base + "/" + group.path() + "/stale"));
  struct stat st{};
  ASSERT_EQ(::fstat(group.dirfd(), &st), 0);
  EXPECT_EQ(st.st_uid, 0u);
}

TEST_F(CgroupSystem, RefusesAGroupWithProcesses) {
  auto group = make("101");
  Child child(group, [] { return ::pause(); });
  child.go();
  auto again = Group::create(host_, name_ + "/101");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Code::kBusy);
  EXPECT_THAT(again.error().message(), HasSubstr(fmt::format("pid {}", child.pid())));
  EXPECT_TRUE(child.alive());
}

TEST_F(CgroupSystem, RemoveRefusesToKillItsCaller) {
  auto group = make("101");
  pid_t pid = ::fork();
  if (pid == 0) {
    if (!write_kernel_file_at(group.dirfd(), "cgroup.procs", "0") || !group.join_v1()) ::_exit(1);
    auto removed = Group::remove(host_, name_ + "/101");
    ::_exit(!removed && removed.error().code() == Code::kWrongState ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

TEST_F(CgroupSystem, MemoryLimitKillsAHogAndSaysSo) {
  if (lacks("memory")) GTEST_SKIP() << "no memory controller";
  auto group = make("101");
  auto limits = group.apply(memory(32 * kMiB));
  ASSERT_TRUE(limits) << limits.error().to_string();
  EXPECT_EQ(limits->front().kind, Enforcement::Kind::kEnforced);
  auto watches = group.watches();
  ASSERT_TRUE(watches) << watches.error().to_string();
  const auto* watch = find(*watches, Group::Watch::Kind::kMemory);
  ASSERT_NE(watch, nullptr);
  Child hog(group, [] { return take_memory(128 * kMiB) == nullptr; });
  hog.go();
  EXPECT_EQ(hog.wait(), (ExitStatus{0, SIGKILL}));
  EXPECT_TRUE(fires(*watch));
  ASSERT_OK(watch->rearm());
  auto stats = group.stats();
  ASSERT_TRUE(stats) << stats.error().to_string();
  EXPECT_GE(stats->memory.oom_kills, 1u);
  EXPECT_EQ(stats->memory.limit, 32u * kMiB);
  EXPECT_GE(stats->memory.peak, 30u * kMiB);
}

TEST_F(CgroupSystem, ShrinkingMemoryBelowUseIsRefusedWithNumbers) {
  if (lacks("memory")) GTEST_SKIP() << "no memory controller";
  auto group = make("101");
  ASSERT_OK(group.apply(memory(96 * kMiB)));
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  Child hog(group, [&] {
    take_memory(64 * kMiB);
    return ::write(ready[1], "r", 1) == 1 ? ::pause() : 1;
  });
  hog.go();
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  auto shrunk = group.apply(memory(16 * kMiB));
  ASSERT_FALSE(shrunk);
  EXPECT_EQ(shrunk.error().code(), Code::kBusy) << shrunk.error().to_string();
  EXPECT_THAT(shrunk.error().message(), HasSubstr("MiB in use after reclaim, 16.0 MiB asked"));
  EXPECT_TRUE(hog.alive());
  EXPECT_EQ(group.stats()->memory.limit, 96u * kMiB);
  EXPECT_EQ(group.stats()->memory.oom_kills, 0u);
  ASSERT_OK(group.apply(memory(80 * kMiB)));
  EXPECT_EQ(group.stats()->memory.limit, 80u * kMiB);
  ASSERT_OK(group.apply(memory(256 * kMiB)));  // and up again: memory+swap must go first there
  EXPECT_EQ(group.stats()->memory.limit, 256u * kMiB);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(CgroupSystem, ShrinkingMemoryReclaimsPageCache) {
  if (lacks("memory")) GTEST_SKIP() << "no memory controller";
  test::TempDir dir;
  struct statfs fs{};
  constexpr long kTmpfs = 0x01021994;
  if (::statfs(dir.path().c_str(), &fs) != 0 || fs.f_type == kTmpfs) GTEST_SKIP() << dir.path() << " is on tmpfs";
  auto group = make("101");
  ASSERT_OK(group.apply(memory(96 * kMiB)));
  Child writer(group, [&] {
    int fd = ::open((dir / "cache").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    std::string block(kMiB, 'x');
    for (int i = 0; i < 48; ++i)
      if (::write(fd, block.data(), block.size()) != kMiB) return 1;
    return ::fsync(fd) == 0 ? 0 : 1;
  });
  writer.go();
  ASSERT_EQ(writer.wait(), (ExitStatus{0, 0}));
  ASSERT_GT(group.stats()->memory.current, 40u * kMiB);
  ASSERT_OK(group.apply(memory(16 * kMiB)));
  EXPECT_LE(group.stats()->memory.current, 16u * kMiB);
}

TEST_F(CgroupSystem, PidsLimitStopsAForkBomb) {
  if (lacks("pids")) GTEST_SKIP() << "no pids controller";
  auto group = make("101");
  oci::Resources resources;
  resources.pids = oci::PidsLimit{10};
  ASSERT_OK(group.apply(resources));
  auto watches = group.watches();
  ASSERT_TRUE(watches) << watches.error().to_string();
  const auto* watch = find(*watches, Group::Watch::Kind::kPids);
  ASSERT_NE(watch, nullptr);
  Child bomb(group, [] {
    for (int i = 0; i < 50; ++i) {
      pid_t pid = ::fork();
      if (pid == 0) ::pause();
      if (pid < 0) return errno == EAGAIN ? i : 77;
    }
    return 78;
  });
  bomb.go();
  EXPECT_EQ(bomb.wait(), (ExitStatus{9, 0}));  // itself and nine children
  if (host_.where("pids") == Where::kUnified) {  // v1 counts, but newer kernels do not notify
    EXPECT_TRUE(fires(*watch));
  }
  EXPECT_GE(group.stats()->pids_max_events, 1u);
  EXPECT_EQ(group.processes()->size(), 9u);
  ASSERT_OK(group.kill());
  ASSERT_OK(group.wait_empty());
  EXPECT_FALSE(*group.populated());
}

TEST_F(CgroupSystem, CpuQuotaHoldsASpinnerBack) {
  if (lacks("cpu")) GTEST_SKIP() << "no cpu controller";
  auto spin = [] {
    for (auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500); std::chrono::steady_clock::now() < end;) {
    }
    return 0;
  };
  auto limited = make("limited"), free = make("free");
  oci::Resources resources;
  resources.cpu.emplace();
  resources.cpu->quota = 1'000;  // 1 %: far below what a busy machine still gives to the other one
  resources.cpu->period = 100'000;
  ASSERT_OK(limited.apply(resources));
  Child one(limited, spin), other(free, spin);
  one.go();
  other.go();
  EXPECT_EQ(one.wait(), (ExitStatus{0, 0}));
  EXPECT_EQ(other.wait(), (ExitStatus{0, 0}));
  auto held = limited.stats(), wild = free.stats();
  ASSERT_TRUE(held && wild);
  EXPECT_GT(held->cpu.throttled_periods, 3u);
  EXPECT_GT(held->cpu.throttled_usec, 0u);
  EXPECT_EQ(wild->cpu.throttled_periods, 0u);
  EXPECT_GT(held->cpu.usage_usec, 0u);
  EXPECT_GT(wild->cpu.usage_usec, 2 * held->cpu.usage_usec) << "of the same time";
}

TEST_F(CgroupSystem, CpusetNarrowsTheAffinity) {
  if (lacks("cpuset")) GTEST_SKIP() << "no cpuset controller";
  auto group = make("a/b/101");
  oci::Resources resources;
  resources.cpu.emplace();
  resources.cpu->cpus = "0";
  ASSERT_OK(group.apply(resources));
  Child child(group, [] {
    cpu_set_t set;
    return ::sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set) ? 0 : 1;
  });
  child.go();
  EXPECT_EQ(child.wait(), (ExitStatus{0, 0}));
}

TEST_F(CgroupSystem, FreezeStopsAndThawContinues) {
  auto group = make("101");
  int ticks[2];
  ASSERT_EQ(::pipe2(ticks, O_CLOEXEC | O_NONBLOCK), 0);
  Child child(group, [&] {
    while (true) {
      (void)!::write(ticks[1], "t", 1);
      ::usleep(1000);
    }
    return 0;
  });
  child.go();
  pollfd p{ticks[0], POLLIN, 0};
  ASSERT_EQ(::poll(&p, 1, kPatience), 1);
  ASSERT_OK(group.freeze());
  EXPECT_TRUE(*group.frozen());
  char buffer[4096];
  while (::read(ticks[0], buffer, sizeof buffer) > 0) continue;
  EXPECT_EQ(::poll(&p, 1, 100), 0) << "a frozen process ran";
  ASSERT_OK(group.thaw());
  EXPECT_FALSE(*group.frozen());
  EXPECT_EQ(::poll(&p, 1, kPatience), 1);
  ASSERT_OK(group.freeze());  // kill works on a frozen group
  ASSERT_OK(group.kill());
  EXPECT_EQ(child.wait(), (ExitStatus{0, SIGKILL}));
  ::close(ticks[0]);
  ::close(ticks[1]);
}

TEST_F(CgroupSystem, PopulatedWatchFiresAtTheEnd) {
  auto group = make("101");
  Child child(group, [] { return 0; });
  auto watches = group.watches();
  ASSERT_TRUE(watches) << watches.error().to_string();
  const auto* watch = find(*watches, Group::Watch::Kind::kPopulated);
  ASSERT_NE(watch, nullptr);
  EXPECT_TRUE(*group.populated());
  child.go();
  child.wait();
  EXPECT_TRUE(fires(*watch));
  ASSERT_OK(watch->rearm());
  ASSERT_OK(group.wait_empty());
}

TEST_F(CgroupSystem, DeviceFilterDeniesAndIsReplaced) {
  auto group = make("101");
  auto probe = [](const char* path, int flags) {
    int fd = ::open(path, flags | O_CLOEXEC);
    return fd >= 0 ? 0 : errno;
  };
  auto in_group = [&](const std::function<int()>& work) {
    Child child(group, work);
    child.go();
    return child.wait().code;
  };
  EXPECT_EQ(in_group([&] { return probe("/dev/zero", O_RDWR); }), 0);
  oci::DeviceRule deny_all{.allow = false, .type = "a", .major = {}, .minor = {}, .access = "rwm"};
  oci::DeviceRule null{.allow = true, .type = "c", .major = 1, .minor = 3, .access = "rwm"};
  oci::DeviceRule zero{.allow = true, .type = "c", .major = 1, .minor = 5, .access = "r"};
  auto applied = apply_device_filter(group.dirfd(), {deny_all, null});
  if (!applied && applied.error().code() == Code::kUnavailable) GTEST_SKIP() << applied.error().to_string();
  ASSERT_TRUE(applied) << applied.error().to_string();
  EXPECT_EQ(in_group([&] { return probe("/dev/zero", O_RDONLY); }), EPERM);
  EXPECT_EQ(in_group([&] { return probe("/dev/null", O_RDWR); }), 0);
  test::TempDir dir;
  auto make_node = [&] { return ::mknod((dir / "disk").c_str(), S_IFBLK | 0600, makedev(7, 200)) == 0 ? 0 : errno; };
  EXPECT_EQ(in_group(make_node), EPERM);
  ASSERT_OK(apply_device_filter(group.dirfd(), {deny_all, zero}));
  EXPECT_EQ(in_group([&] { return probe("/dev/zero", O_RDONLY); }), 0);
  EXPECT_EQ(in_group([&] { return probe("/dev/zero", O_RDWR); }), EPERM);
  EXPECT_EQ(in_group([&] { return probe("/dev/null", O_RDWR); }), EPERM) << "the first filter still stands";
  ASSERT_OK(apply_device_filter(group.dirfd(), {}));
  EXPECT_EQ(in_group([&] { return probe("/dev/null", O_RDWR); }), 0);
}

TEST_F(CgroupSystem, DelegateMakesGroupsButNoLimits) {
  auto group = make("101");
  oci::Resources resources;
  resources.pids = oci::PidsLimit{50};
  ASSERT_OK(group.apply(resources));
  ASSERT_OK(group.delegate(65534, 65534));
  std::string unified = host_.unified_base + "/" + group.path();
  const auto* v1_pids = host_.find_v1("pids");
  std::string pids = (v1_pids != nullptr ? v1_pids->base : host_.unified_base) + "/" + group.path() + "/pids.max";
  Child child(group, [&] {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 1;
    if (::mkdir((unified + "/init.scope").c_str(), 0755) != 0) return 2;
    auto dir = open_dir(unified + "/init.scope");
    if (!dir || !write_kernel_file_at(dir->get(), "cgroup.procs", "0")) return 3;
    if (::open(pids.c_str(), O_WRONLY | O_CLOEXEC) >= 0 || errno != EACCES) return 4;
    if (v1_pids != nullptr && ::mkdir((v1_pids->base + "/" + group.path() + "/own").c_str(), 0755) == 0) return 5;
    return 0;
  });
  child.go();
  EXPECT_EQ(child.wait(), (ExitStatus{0, 0}));
  EXPECT_TRUE(path_exists(unified + "/init.scope"));
}

TEST_F(CgroupSystem, AGroupWithProcessesCannotHaveLimitedChildren) {
  if (host_.layout != Layout::kUnified) GTEST_SKIP() << "a rule of cgroup v2; this host limits by v1";
  auto group = make("crowded");
  Child child(group, [] { return ::pause(); });
  auto inner = Group::create(host_, group.path() + "/inner");
  ASSERT_FALSE(inner);
  EXPECT_EQ(inner.error().code(), Code::kBusy);
  EXPECT_THAT(inner.error().message(), HasSubstr("move them to a sub-cgroup"));
  EXPECT_FALSE(path_exists(host_.unified_base + "/" + group.path() + "/inner"));
}

TEST_F(CgroupSystem, ADelegatedServiceMakesGroupsBelowItself) {
  auto group = make("service");
  pid_t pid = ::fork();
  if (pid == 0) {
    auto work = [&]() -> Result<> {
      VPS_TRY(write_kernel_file_at(group.dirfd(), "cgroup.procs", "0"));
      VPS_TRY(group.join_v1());
      auto own = VPS_TRY(Host::discover({.base = Base::kOwn}));
      if (own.unified_base != host_.unified_base + "/" + group.path()) return fail(Code::kFailed, "base {}", own.unified_base);
      for (const auto& hierarchy : own.v1)
        if (!hierarchy.base.ends_with(group.path())) return fail(Code::kFailed, "base {}", hierarchy.base);
      VPS_TRY(enter_leaf(own, "daemon"));
      auto inner = VPS_TRY(Group::create(own, "101"));
      oci::Resources resources;
      resources.pids = oci::PidsLimit{9};
      auto limits = VPS_TRY(inner.apply(resources));
      if (limits.front().kind != Enforcement::Kind::kEnforced) return fail(Code::kFailed, "{}", limits.front().reason);
      if (VPS_TRY(inner.stats()).pids_limit != 9) return fail(Code::kFailed, "no limit");
      return Group::remove(own, "101");
    };
    auto done = work();
    if (!done) fmt::print(stderr, "{}\n", done.error().to_string());
    ::_exit(done ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

TEST_F(CgroupSystem, HugepageLimitGetsItsControllerWhenAsked) {
  if (host_.where("hugetlb") != Where::kUnified) GTEST_SKIP() << "no hugetlb controller in the v2 tree";
  auto root = read_file(host_.unified_base + "/cgroup.subtree_control");
  ASSERT_TRUE(root);
  if (host_.layout == Layout::kHybrid && root->find("hugetlb") == std::string::npos)
    GTEST_SKIP() << "the root of this host's v2 tree does not hand hugetlb out, and a test is not to change that";
  auto group = make("a/101");
  std::string file = host_.unified_base + "/" + group.path() + "/hugetlb.2MB.max";
  EXPECT_FALSE(path_exists(file));
  oci::Resources resources;
  resources.hugepage_limits = {{"2MB", 8 * kMiB}};
  auto limits = group.apply(resources);
  ASSERT_TRUE(limits) << limits.error().to_string();
  EXPECT_EQ(limits->front().kind, Enforcement::Kind::kEnforced) << limits->front().reason;
  EXPECT_EQ(*read_file(file), "8388608\n");
}

TEST_F(CgroupSystem, ARefusedLimitPutsTheOthersBack) {
  if (lacks("pids") || (lacks("io") && lacks("blkio"))) GTEST_SKIP() << "no pids or no io controller";
  auto group = make("101");
  oci::Resources resources;
  resources.pids = oci::PidsLimit{33};
  ASSERT_OK(group.apply(resources));
  resources = memory(64 * kMiB);
  resources.pids = oci::PidsLimit{44};
  resources.block_io.emplace();
  resources.block_io->throttle_read_bps.push_back({4000, 4000, 1'000'000});  // no such device
  auto applied = group.apply(resources);
  ASSERT_FALSE(applied);
  EXPECT_THAT(applied.error().message(), HasSubstr("throttleReadBpsDevice 4000:4000"));
  EXPECT_EQ(group.stats()->pids_limit, 33u);
  EXPECT_EQ(group.stats()->memory.limit, 0u);
}

TEST_F(CgroupSystem, ExplainSaysWhatApplyDoes) {
  auto group = make("101");
  auto resources = memory(64 * kMiB);
  resources.memory->swappiness = 10;
  resources.pids = oci::PidsLimit{100};
  resources.cpu.emplace();
  resources.cpu->quota = 50'000;
  resources.cpu->cpus = "0";
  resources.unified = {{"memory.low", "1048576"}, {"memory.high", "33554432"}, {"cpu.weight", "50"}, {"io.weight", "default 50"}};
  auto told = Group::explain(host_, resources);
  auto done = group.apply(resources);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(told, *done);
}

}  // namespace
}  // namespace vps::cgroups
