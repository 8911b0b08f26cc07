// Limits of groups on a real kernel: each is set, and seen to hold.
#include "tests/system/cgroups_fixture.h"

namespace vps::cgroups {
namespace {

using ::testing::HasSubstr;

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
  ASSERT_OK(group.apply(pids(10)));
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
