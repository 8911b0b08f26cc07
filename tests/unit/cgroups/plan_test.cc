#include "cgroups/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cgroups/fake_hosts.h"

namespace vps::cgroups {
namespace {

using test::hybrid_host;
using test::unified_host;
using ::testing::HasSubstr;

constexpr std::int64_t kMiB = 1 << 20;

// What a VPS definition with every limit compiles to.
oci::Resources vps_resources() {
  oci::Resources r;
  r.memory.emplace();
  r.memory->limit = 512 * kMiB;
  r.memory->swap = 768 * kMiB;
  r.cpu.emplace();
  r.cpu->quota = 150'000;
  r.cpu->period = 100'000;
  r.cpu->cpus = "0-1";
  r.pids = oci::PidsLimit{4096};
  r.block_io.emplace();
  r.block_io->throttle_read_bps = {{8, 0, 50u * kMiB}};
  r.block_io->throttle_write_iops = {{8, 0, 2000}};
  r.unified = {{"memory.low", "134217728"}, {"cpu.weight", "200"}, {"io.weight", "default 300"}};
  return r;
}

std::string planned(const Host& host, const oci::Resources& resources) {
  auto plan = plan_limits(host, resources);
  return plan ? format_plan(*plan) : "error: " + plan.error().to_string();
}

TEST(CgroupPlan, GoldenVpsOnUnified) {
  EXPECT_EQ(planned(unified_host(), vps_resources()),
            "write memory.max = 536870912\n"
            "write memory.swap.max = 268435456\n"
            "write cpu.max = 150000 100000\n"
            "write cpuset.cpus = 0-1\n"
            "write pids.max = 4096\n"
            "write io.max = 8:0 rbps=52428800\n"
            "write io.max = 8:0 wiops=2000\n"
            "write cpu.weight = 200\n"
            "write io.weight = default 300\n"
            "write memory.low = 134217728\n"
            "limit memory.limit = 512M: enforced by memory.max\n"
            "limit memory.swap = 768M: enforced by memory.swap.max\n"
            "limit cpu.quota = 1.5 CPUs: enforced by cpu.max\n"
            "limit cpu.cpus = 0-1: enforced by cpuset.cpus\n"
            "limit pids.limit = 4096: enforced by pids.max\n"
            "limit blockIO.throttleReadBpsDevice 8:0 = 50M: enforced by io.max\n"
            "limit blockIO.throttleWriteIOPSDevice 8:0 = 2000: enforced by io.max\n"
            "limit cpu.weight = 200: enforced by cpu.weight\n"
            "limit io.weight = default 300: enforced by io.weight\n"
            "limit memory.low = 134217728: enforced by memory.low\n");
}

TEST(CgroupPlan, GoldenVpsOnHybrid) {
  EXPECT_EQ(planned(hybrid_host(), vps_resources()),
            "write memory:memory.limit_in_bytes = 536870912\n"
            "write memory:memory.memsw.limit_in_bytes = 805306368\n"
            "write memory:memory.soft_limit_in_bytes = 134217728\n"
            "write cpu:cpu.shares = 2048\n"
            "write cpu:cpu.cfs_period_us = 100000\n"
            "write cpu:cpu.cfs_quota_us = 150000\n"
            "write cpuset:cpuset.cpus = 0-1\n"
            "write pids:pids.max = 4096\n"
            "write blkio:blkio.bfq.weight = 118\n"
            "write blkio:blkio.throttle.read_bps_device = 8:0 52428800\n"
            "write blkio:blkio.throttle.write_iops_device = 8:0 2000\n"
            "limit memory.limit = 512M: enforced by memory:memory.limit_in_bytes\n"
            "limit memory.swap = 768M: enforced by memory:memory.memsw.limit_in_bytes\n"
            "limit memory.low = 134217728: accounted by memory:memory.soft_limit_in_bytes "
            "(v1 guarantees nothing: its soft limit only makes the kernel reclaim from groups above theirs first)\n"
            "limit cpu.weight = 200: enforced by cpu:cpu.shares\n"
            "limit cpu.quota = 1.5 CPUs: enforced by cpu:cpu.cfs_quota_us\n"
            "limit cpu.cpus = 0-1: enforced by cpuset:cpuset.cpus\n"
            "limit pids.limit = 4096: enforced by pids:pids.max\n"
            "limit io.weight = 300: enforced by blkio:blkio.bfq.weight\n"
            "limit blockIO.throttleReadBpsDevice 8:0 = 50M: enforced by blkio:blkio.throttle.read_bps_device\n"
            "limit blockIO.throttleWriteIOPSDevice 8:0 = 2000: enforced by blkio:blkio.throttle.write_iops_device\n");
}

TEST(CgroupPlan, OciFieldsOnUnified) {
  oci::Resources r;
  r.memory.emplace();
  r.memory->limit = -1;
  r.memory->reservation = 64 * kMiB;
  r.memory->kernel = kMiB;
  r.memory->kernel_tcp = kMiB;
  r.memory->swappiness = 60;
  r.memory->disable_oom_killer = true;
  r.memory->use_hierarchy = true;
  r.cpu.emplace();
  r.cpu->shares = 1024;
  r.cpu->period = 50'000;
  r.cpu->burst = 1000;
  r.cpu->realtime_runtime = 950'000;
  r.cpu->idle = 0;
  r.cpu->mems = "0";
  r.pids = oci::PidsLimit{-1};
  r.block_io.emplace();
  r.block_io->weight = 500;
  r.block_io->leaf_weight = 10;
  r.block_io->weight_device = {{8, 16, 1000, {}}};
  r.block_io->throttle_write_bps = {{8, 0, 0}};
  r.hugepage_limits = {{"2MB", 4 * kMiB}};
  r.network.emplace();
  r.network->class_id = 0x100001;
  r.rdma["mlx5_0"] = {3, 100};
  Host host = unified_host();
  host.files[""] = {"memory.max", "memory.swap.max", "memory.low", "cpu.weight", "cpu.max", "cpu.max.burst", "cpu.idle",
                    "cpuset.cpus", "cpuset.mems", "pids.max", "io.max", "io.weight"};
  EXPECT_EQ(planned(host, r),
            "write memory.max = max\n"
            "write memory.swap.max = max\n"
            "write memory.low = 67108864\n"
            "write cpu.weight = 100\n"
            "write cpu.max = max 50000\n"
            "write cpu.max.burst = 1000\n"
            "write cpu.idle = 0\n"
            "write cpuset.mems = 0\n"
            "write pids.max = max\n"
            "write io.weight = default 4950\n"
            "write io.weight = 8:16 10000\n"
            "write io.max = 8:0 wbps=max\n"
            "write hugetlb.2MB.max = 4194304\n"
            "write hugetlb.2MB.rsvd.max = 4194304\n"
            "write rdma.max = mlx5_0 hca_handle=3 hca_object=100\n"
            "limit memory.limit = unlimited: enforced by memory.max\n"
            "limit memory.reservation = 64M: enforced by memory.low\n"
            "limit memory.kernel = 1M: unavailable (kernel memory has no limit of its own: memory.limit counts it)\n"
            "limit memory.kernelTCP = 1M: unavailable (cgroup v2 has no limit for socket buffers: memory.limit counts them)\n"
            "limit memory.swappiness = 60: unavailable (cgroup v2 has no swappiness of a group)\n"
            "limit memory.disableOOMKiller = true: unavailable (cgroup v2 cannot switch the OOM killer off)\n"
            "limit cpu.shares = 1024: enforced by cpu.weight\n"
            "limit cpu.period = unlimited per 50000us: enforced by cpu.max\n"
            "limit cpu.burst = 1000us: enforced by cpu.max.burst\n"
            "limit cpu.realtimeRuntime = 950000us: unavailable (cgroup v2 has no limit for realtime tasks)\n"
            "limit cpu.idle = 0: enforced by cpu.idle\n"
            "limit cpu.mems = 0: enforced by cpuset.mems\n"
            "limit pids.limit = unlimited: enforced by pids.max\n"
            "limit blockIO.weight = 500: enforced by io.weight\n"
            "limit blockIO.leafWeight = 10: unavailable (the kernel has no leaf weights since 5.0)\n"
            "limit blockIO.weightDevice 8:16 = 1000: enforced by io.weight\n"
            "limit blockIO.throttleWriteBpsDevice 8:0 = unlimited: enforced by io.max\n"
            "limit hugepageLimits 2MB = 4M: enforced by hugetlb.2MB.max\n"
            "limit rdma mlx5_0 = hca_handle=3 hca_object=100: enforced by rdma.max\n"
            "limit network.classID = 1048577: unavailable (this host has no net_cls controller)\n");
}

TEST(CgroupPlan, OciFieldsOnHybrid) {
  oci::Resources r;
  r.memory.emplace();
  r.memory->limit = -1;
  r.memory->swappiness = 60;
  r.memory->disable_oom_killer = true;
  r.cpu.emplace();
  r.cpu->shares = 512;
  r.cpu->quota = 20'000;
  r.cpu->realtime_period = 1'000'000;
  r.hugepage_limits = {{"2MB", 4 * kMiB}};
  r.rdma["mlx5_0"] = {3, {}};
  EXPECT_EQ(planned(hybrid_host(), r),
            "write memory:memory.limit_in_bytes = -1\n"
            "write memory:memory.memsw.limit_in_bytes = -1\n"
            "write memory:memory.swappiness = 60\n"
            "write memory:memory.oom_control = 1\n"
            "write cpu:cpu.shares = 512\n"
            "write cpu:cpu.cfs_quota_us = 20000\n"
            "write cpu:cpu.rt_period_us = 1000000\n"
            "write hugetlb.2MB.max = 4194304\n"
            "write hugetlb.2MB.rsvd.max = 4194304\n"
            "limit memory.limit = unlimited: enforced by memory:memory.limit_in_bytes\n"
            "limit memory.swappiness = 60: enforced by memory:memory.swappiness\n"
            "limit memory.disableOOMKiller = true: enforced by memory:memory.oom_control\n"
            "limit cpu.shares = 512: enforced by cpu:cpu.shares\n"
            "limit cpu.quota = 20000us: enforced by cpu:cpu.cfs_quota_us\n"
            "limit cpu.realtimePeriod = 1000000us: enforced by cpu:cpu.rt_period_us\n"
            "limit hugepageLimits 2MB = 4M: enforced by unified:hugetlb.2MB.max\n"
            "limit rdma mlx5_0 = hca_handle=3: unavailable (this host has no rdma controller)\n");
}

TEST(CgroupPlan, UnifiedKeysOnHybridAreTranslatedOrReported) {
  oci::Resources r;
  r.unified = {{"cpu.max", "50000 100000"},  {"cpu.idle", "1"},          {"cpuset.cpus", "1"},
               {"hugetlb.2MB.max", "max"},    {"io.max", "8:0 rbps=1000 wiops=max\n8:16 wbps=5"},
               {"memory.high", "1000000"},    {"memory.max", "2097152"},  {"memory.min", "4096"},
               {"memory.oom.group", "1"},     {"memory.swap.max", "0"},   {"pids.max", "max"},
               {"rdma.max", "mlx5_0 hca_handle=2"}};
  EXPECT_EQ(planned(hybrid_host(), r),
            "write memory:memory.limit_in_bytes = 2097152\n"
            "write memory:memory.memsw.limit_in_bytes = 2097152\n"
            "write cpu:cpu.cfs_period_us = 100000\n"
            "write cpu:cpu.cfs_quota_us = 50000\n"
            "write cpu:cpu.idle = 1\n"
            "write cpuset:cpuset.cpus = 1\n"
            "write pids:pids.max = max\n"
            "write blkio:blkio.throttle.read_bps_device = 8:0 1000\n"
            "write blkio:blkio.throttle.write_bps_device = 8:16 5\n"
            "write blkio:blkio.throttle.write_iops_device = 8:0 0\n"
            "write hugetlb.2MB.max = max\n"
            "limit memory.high = 1000000: unavailable (no counterpart in the v1 memory hierarchy, where this host has its controller)\n"
            "limit memory.min = 4096: unavailable (no counterpart in the v1 memory hierarchy, where this host has its controller)\n"
            "limit memory.oom.group = 1: unavailable (no counterpart in the v1 memory hierarchy, where this host has its controller)\n"
            "limit memory.max = 2097152: enforced by memory:memory.limit_in_bytes\n"
            "limit memory.swap.max = 0: enforced by memory:memory.memsw.limit_in_bytes\n"
            "limit cpu.max = 50000 100000: enforced by cpu:cpu.cfs_quota_us\n"
            "limit cpu.idle = 1: enforced by cpu:cpu.idle\n"
            "limit cpuset.cpus = 1: enforced by cpuset:cpuset.cpus\n"
            "limit pids.max = max: enforced by pids:pids.max\n"
            "limit io.max 8:0 rbps = 1000: enforced by blkio:blkio.throttle.read_bps_device\n"
            "limit io.max 8:16 wbps = 5: enforced by blkio:blkio.throttle.write_bps_device\n"
            "limit io.max 8:0 wiops = max: enforced by blkio:blkio.throttle.write_iops_device\n"
            "limit hugetlb.2MB.max = max: enforced by unified:hugetlb.2MB.max\n"
            "limit rdma.max mlx5_0 = mlx5_0 hca_handle=2: unavailable (this host has no rdma controller)\n");
}

TEST(CgroupPlan, UnifiedOverridesTheOciField) {
  oci::Resources r;
  r.pids = oci::PidsLimit{10};
  r.memory.emplace();
  r.memory->reservation = 100;
  r.unified = {{"pids.max", "20"}, {"memory.low", "200"}};
  EXPECT_EQ(planned(unified_host(), r),
            "write memory.low = 200\nwrite pids.max = 20\n"
            "limit memory.low = 200: enforced by memory.low\nlimit pids.max = 20: enforced by pids.max\n");
  EXPECT_EQ(planned(hybrid_host(), r),
            "write memory:memory.soft_limit_in_bytes = 200\nwrite pids:pids.max = 20\n"
            "limit memory.low = 200: accounted by memory:memory.soft_limit_in_bytes "
            "(v1 guarantees nothing: its soft limit only makes the kernel reclaim from groups above theirs first)\n"
            "limit pids.max = 20: enforced by pids:pids.max\n");
}

TEST(CgroupPlan, SaysWhatTheKernelLacks) {
  oci::Resources r;
  r.memory.emplace();
  r.memory->limit = kMiB;
  r.memory->swap = kMiB;
  r.block_io.emplace();
  r.block_io->weight = 100;
  Host host = hybrid_host();
  host.files["memory"] = {"memory.limit_in_bytes"};
  host.files["blkio"] = {"blkio.throttle.read_bps_device"};
  EXPECT_EQ(planned(host, r),
            "write memory:memory.limit_in_bytes = 1048576\n"
            "limit memory.limit = 1M: enforced by memory:memory.limit_in_bytes\n"
            "limit memory.swap = 1M: unavailable (this kernel has no memory.memsw.limit_in_bytes)\n"
            "limit blockIO.weight = 100: unavailable (this kernel has no blkio.weight)\n");
  Host bare;
  EXPECT_EQ(planned(bare, r),
            "limit memory.limit = 1M: unavailable (this host has no memory controller)\n"
            "limit memory.swap = 1M: unavailable (this host has no memory controller)\n"
            "limit blockIO.weight = 100: unavailable (this host has no io controller)\n");
}

TEST(CgroupPlan, WeightsThatNoDiskHeedsAreNotCalledEnforced) {
  oci::Resources r;
  r.unified = {{"io.weight", "50"}};
  for (Host host : {unified_host(), hybrid_host()}) {
    host.io_weight_active = false;
    auto plan = plan_limits(host, r);
    ASSERT_TRUE(plan);
    ASSERT_EQ(plan->limits.size(), 1u);
    EXPECT_EQ(plan->limits[0].kind, Enforcement::Kind::kAccountedOnly);
    EXPECT_THAT(plan->limits[0].reason, HasSubstr("bfq"));
  }
}

TEST(CgroupPlan, IoWeightFallsBackToBfq) {
  oci::Resources r;
  r.unified = {{"io.weight", "default 10000"}};
  Host host = unified_host();
  host.files[""] = {"io.max", "io.bfq.weight"};
  EXPECT_EQ(planned(host, r),
            "write io.bfq.weight = 1000\nlimit io.weight = default 10000: enforced by io.bfq.weight\n");
}

TEST(CgroupPlan, OrdersThatDependOnOldValuesAreMarked) {
  auto plan = plan_limits(hybrid_host(), vps_resources());
  ASSERT_TRUE(plan);
  std::vector<std::string> marked;
  for (const auto& write : plan->writes)
    if (write.or_after_next) marked.push_back(write.file);
  EXPECT_THAT(marked, ::testing::ElementsAre("memory.limit_in_bytes", "cpu.cfs_period_us"));
  EXPECT_THAT(plan_limits(unified_host(), vps_resources())->controllers,
              ::testing::ElementsAre("memory", "cpu", "cpuset", "pids", "io"));
}

TEST(CgroupPlan, ZeroIsWhatEnginesSendForNotGiven) {
  oci::Resources r;
  r.memory.emplace();
  r.memory->limit = 0;
  r.memory->swap = 0;
  r.cpu.emplace();
  r.cpu->shares = 0;
  r.cpu->quota = 0;
  r.cpu->period = 0;
  EXPECT_EQ(planned(unified_host(), r), "");
  EXPECT_EQ(planned(hybrid_host(), r), "");
}

TEST(CgroupPlan, RefusesWhatNoHostCouldTake) {
  auto refused = [](const std::function<void(oci::Resources&)>& change) {
    oci::Resources r;
    r.memory.emplace();
    r.cpu.emplace();
    r.block_io.emplace();
    change(r);
    for (const Host& host : {unified_host(), hybrid_host()}) {
      auto plan = plan_limits(host, r);
      if (plan) return std::string("accepted: " + format_plan(*plan));
      EXPECT_EQ(plan.error().code(), Code::kUsage);
    }
    return plan_limits(hybrid_host(), r).error().to_string();
  };
  EXPECT_THAT(refused([](auto& r) { r.memory->limit = -2; }), HasSubstr("memory.limit is -2"));
  EXPECT_THAT(refused([](auto& r) { r.memory->swap = 5; }), HasSubstr("needs a memory.limit"));
  EXPECT_THAT(refused([](auto& r) { r.memory->limit = 6, r.memory->swap = 5; }), HasSubstr("less than memory.limit"));
  EXPECT_THAT(refused([](auto& r) { r.memory->swappiness = 101; }), HasSubstr("expected 0 to 100"));
  EXPECT_THAT(refused([](auto& r) { r.cpu->idle = 2; }), HasSubstr("expected 0 or 1"));
  EXPECT_THAT(refused([](auto& r) { r.cpu->cpus = "0;1"; }), HasSubstr("expected a list"));
  EXPECT_THAT(refused([](auto& r) { r.block_io->weight = 1001; }), HasSubstr("expected 10 to 1000"));
  EXPECT_THAT(refused([](auto& r) { r.block_io->throttle_read_bps = {{-1, 0, 5}}; }), HasSubstr("no device number"));
  EXPECT_THAT(refused([](auto& r) { r.hugepage_limits = {{"../x", 5}}; }), HasSubstr("no page size"));
  EXPECT_THAT(refused([](auto& r) { r.rdma["a b"] = {1, 1}; }), HasSubstr("no device name"));
  EXPECT_THAT(refused([](auto& r) { r.unified["cgroup.procs"] = "1"; }), HasSubstr("not a limit"));
  EXPECT_THAT(refused([](auto& r) { r.unified["../memory.max"] = "1"; }), HasSubstr("not the name"));
  EXPECT_THAT(refused([](auto& r) { r.unified["memory"] = "1"; }), HasSubstr("not the name"));
  EXPECT_THAT(refused([](auto& r) { r.unified["memory.max"] = " "; }), HasSubstr("no value"));
  EXPECT_THAT(refused([](auto& r) { r.unified["memory.max"] = std::string(5000, '1'); }), HasSubstr("5000 bytes"));
}

TEST(CgroupPlan, RefusesUnifiedValuesThatCannotBeTranslated) {
  for (const auto& [key, value] : oci::StringMap{{"memory.max", "12x"},
                                                 {"memory.low", "-1"},
                                                 {"cpu.weight", "0"},
                                                 {"cpu.max", "1 2 3"},
                                                 {"io.max", "8:0"},
                                                 {"io.weight", "8:0:1 5"},
                                                 {"pids.max", "0"},
                                                 {"io.bfq.weight", "1001"}}) {
    oci::Resources r;
    r.unified[key] = value;
    auto plan = plan_limits(hybrid_host(), r);
    ASSERT_FALSE(plan) << key << " " << value << "\n" << format_plan(*plan);
    EXPECT_EQ(plan.error().code(), Code::kUsage);
    EXPECT_THAT(plan.error().message(), HasSubstr(key));
  }
}

TEST(CgroupPlan, SharesAndWeights) {
  for (auto [shares, weight] : std::vector<std::pair<std::uint64_t, std::uint64_t>>{
           {0, 1}, {2, 1}, {3, 2}, {512, 59}, {1024, 100}, {2000, 170}, {262143, 10000}, {262144, 10000}, {999999, 10000}})
    EXPECT_EQ(weight_from_shares(shares), weight) << shares;
  EXPECT_EQ(shares_from_weight(1), 10u);
  EXPECT_EQ(shares_from_weight(100), 1024u);
  EXPECT_EQ(shares_from_weight(10000), 102400u);
  EXPECT_EQ(io_weight_from_oci(10), 1u);
  EXPECT_EQ(io_weight_from_oci(1000), 10000u);
  EXPECT_EQ(bfq_weight_from_io_weight(100), 100u);
  EXPECT_EQ(bfq_weight_from_io_weight(1), 1u);
  EXPECT_EQ(bfq_weight_from_io_weight(10000), 1000u);
}

}  // namespace
}  // namespace vps::cgroups
