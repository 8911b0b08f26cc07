#include "cgroups/stats.h"

#include <gtest/gtest.h>

namespace vps::cgroups {
namespace {

TEST(CgroupStats, Limits) {
  EXPECT_EQ(parse_limit("4096\n"), 4096u);
  EXPECT_EQ(parse_limit("0"), 0u);
  EXPECT_EQ(parse_limit("max\n"), std::nullopt);
  EXPECT_EQ(parse_limit("9223372036854771712\n"), std::nullopt);  // v1 with 4 KiB pages
  EXPECT_EQ(parse_limit("9223372036854710272"), std::nullopt);    // with 64 KiB pages
  EXPECT_EQ(parse_limit("99999999999999999999999"), std::nullopt);
  EXPECT_EQ(parse_limit("-1"), std::nullopt);
  EXPECT_EQ(parse_limit(""), std::nullopt);
}

TEST(CgroupStats, KeyedValuesMatchWholeKeys) {
  constexpr const char* text = "oom_kill 3\noom 2\nmax  9\nbad x\nempty\n";
  EXPECT_EQ(keyed_value(text, "oom"), 2u);
  EXPECT_EQ(keyed_value(text, "oom_kill"), 3u);
  EXPECT_EQ(keyed_value(text, "max"), 9u);
  EXPECT_EQ(keyed_value(text, "bad"), 0u);
  EXPECT_EQ(keyed_value(text, "empty"), 0u);
  EXPECT_EQ(keyed_value(text, "missing"), 0u);
  EXPECT_EQ(keyed_value("", "oom"), 0u);
}

TEST(CgroupStats, Cpu) {
  CpuStats cpu;
  parse_cpu_stat("usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 4\nnr_throttled 2\nthrottled_usec 77\n", cpu);
  EXPECT_EQ(cpu.usage_usec, 30u);
  EXPECT_EQ(cpu.user_usec, 20u);
  EXPECT_EQ(cpu.system_usec, 10u);
  EXPECT_EQ(cpu.periods, 4u);
  EXPECT_EQ(cpu.throttled_periods, 2u);
  EXPECT_EQ(cpu.throttled_usec, 77u);
  parse_v1_cpu_stat("nr_periods 5\nnr_throttled 3\nthrottled_time 9000\n", cpu);
  EXPECT_EQ(cpu.usage_usec, 30u);
  EXPECT_EQ(cpu.periods, 5u);
  EXPECT_EQ(cpu.throttled_usec, 9u);
}

TEST(CgroupStats, Memory) {
  MemoryStats memory;
  parse_memory_stat("anon 1\nfile 2\nkernel 3\nanon_thp 99\n", memory);
  EXPECT_EQ(memory.anon, 1u);
  EXPECT_EQ(memory.file, 2u);
  EXPECT_EQ(memory.kernel, 3u);
  parse_memory_events("low 0\nhigh 4\nmax 5\noom 6\noom_kill 7\noom_group_kill 0\n", memory);
  EXPECT_EQ(memory.high_events, 4u);
  EXPECT_EQ(memory.max_events, 5u);
  EXPECT_EQ(memory.oom_events, 6u);
  EXPECT_EQ(memory.oom_kills, 7u);
  parse_v1_memory_stat("cache 1\nrss 1\ntotal_cache 20\ntotal_rss 10\ntotal_rss_huge 5\n", memory);
  EXPECT_EQ(memory.anon, 10u);
  EXPECT_EQ(memory.file, 20u);
}

TEST(CgroupStats, Io) {
  IoStats io;
  parse_io_stat("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n253:0\n8:16 rbytes=10 wbytes=20 rios=30 wios=40\nbad\n", io);
  EXPECT_EQ(io.read_bytes, 11u);
  EXPECT_EQ(io.write_bytes, 22u);
  EXPECT_EQ(io.read_ops, 33u);
  EXPECT_EQ(io.write_ops, 44u);
  std::uint64_t read = 0, write = 0;
  parse_blkio("8:0 Read 5\n8:0 Write 6\n8:0 Sync 7\n8:0 Total 11\n8:16 Read 50\nTotal 61\nx Read y\n", read, write);
  EXPECT_EQ(read, 55u);
  EXPECT_EQ(write, 6u);
}

TEST(CgroupStats, Pressure) {
  auto pressure = parse_pressure(
      "some avg10=1.50 avg60=0.20 avg300=0.00 total=1234\nfull avg10=0.25 avg60=0.00 avg300=0.00 total=99\n");
  EXPECT_TRUE(pressure.known);
  EXPECT_DOUBLE_EQ(pressure.some_avg10, 1.5);
  EXPECT_DOUBLE_EQ(pressure.full_avg10, 0.25);
  EXPECT_EQ(pressure.some_total_usec, 1234u);
  EXPECT_EQ(pressure.full_total_usec, 99u);
  EXPECT_FALSE(parse_pressure("").known);
  auto broken = parse_pressure("some avg10=nan total=-3");
  EXPECT_TRUE(broken.known);
  EXPECT_EQ(broken.some_avg10, 0);
  EXPECT_EQ(broken.some_total_usec, 0u);
}

}  // namespace
}  // namespace vps::cgroups
