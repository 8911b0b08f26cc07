// Real control groups on this host: limits that bite, events that fire, nothing left behind. Needs root and a writable
// cgroup tree; each test works below "vps-test-<pid>" and removes what it made.
#include "tests/system/cgroups_fixture.h"

namespace vps::cgroups {
namespace {

using ::testing::HasSubstr;

TEST_F(CgroupSystem, ALeafOfTheV2TreeAloneIsItsParentInV1) {
  host_.unified_leaf = "payload";
  auto group = make("101/payload");
  ASSERT_OK(group.apply(pids(7)));
  EXPECT_TRUE(path_exists(host_.unified_base + "/" + name_ + "/101/payload"));
  for (const auto& hierarchy : host_.v1) {
    EXPECT_TRUE(path_exists(hierarchy.base + "/" + name_ + "/101")) << hierarchy.mount;
    EXPECT_FALSE(path_exists(hierarchy.base + "/" + name_ + "/101/payload")) << hierarchy.mount;
  }
  EXPECT_EQ(*read_file(host_.directory_of("pids", group.path()) + "/pids.max"), "7\n");
  EXPECT_TRUE(Group::open(host_, name_ + "/101/payload"));
  // Without the leaf, its folder and a sibling stay.
  make("101/supervisor");
  ASSERT_OK(Group::remove(host_, name_ + "/101/payload"));
  EXPECT_FALSE(path_exists(host_.unified_base + "/" + name_ + "/101/payload"));
  EXPECT_TRUE(path_exists(host_.unified_base + "/" + name_ + "/101/supervisor"));
}

// Lists of thousands of groups look at two files of each; and what they show is what the whole look shows.
TEST_F(CgroupSystem, UsageIsThatOfTheWholeStatistics) {
  auto group = make("101/payload");
  Child child(group, [] {
    std::string memory(8 << 20, 'x');
    volatile unsigned turns = 200'000'000;
    while (turns > 0) turns = turns - 1;
    return ::pause();
  });
  child.go();
  ASSERT_TRUE(vps::test::eventually([&] { return group.stats()->cpu.usage_usec > 50'000; }));
  auto before = group.stats();
  auto usage = Group::usage(host_, group.path());
  auto after = group.stats();
  ASSERT_OK(before);
  ASSERT_OK(usage);
  ASSERT_OK(after);
  EXPECT_GE(usage->cpu_usec, before->cpu.usage_usec);
  EXPECT_LE(usage->cpu_usec, after->cpu.usage_usec);
  if (!lacks("memory")) {
    EXPECT_GT(usage->memory_bytes, 4u << 20);
  }
  EXPECT_EQ(Group::usage(host_, name_ + "/102").error().code(), Code::kNotFound);
}

TEST_F(CgroupSystem, CpusetsOfV1AreBornWithTheirLists) {
  const auto* cpuset = host_.find_v1("cpuset");
  if (cpuset == nullptr) GTEST_SKIP() << "cpuset is not a v1 hierarchy here";
  auto text = [&](const std::string& file) { return *read_file(cpuset->base + "/" + file); };
  make("101");
  EXPECT_EQ(text(name_ + "/cgroup.clone_children"), "1\n");
  // Nobody writes them: a group that is made by hand has them.
  ASSERT_OK(make_dirs(cpuset->base + "/" + name_ + "/102"));
  for (const auto* group : {"/101", "/102"}) {
    EXPECT_EQ(text(name_ + group + "/cpuset.cpus"), text("cpuset.cpus"));
    EXPECT_EQ(text(name_ + group + "/cpuset.mems"), text("cpuset.mems"));
  }
  // A folder of an older version, which gives its groups nothing.
  auto folder = open_dir(cpuset->base + "/" + name_);
  ASSERT_TRUE(folder);
  ASSERT_OK(write_kernel_file_at(folder->get(), "cgroup.clone_children", "0"));
  make("103");
  EXPECT_EQ(text(name_ + "/103/cpuset.cpus"), text("cpuset.cpus"));
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
    ASSERT_OK(group.apply(pids(7)));
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

}  // namespace
}  // namespace vps::cgroups
