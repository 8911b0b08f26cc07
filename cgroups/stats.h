// Usage figures of a group, and the pure parsers of the kernel's stat files behind them. Text that does not parse leaves
// its figures zero: accounting goes on when a kernel changes a file. Thread-safe (no shared state).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace vps::cgroups {

struct CpuStats {
  std::uint64_t usage_usec = 0, user_usec = 0, system_usec = 0;
  std::uint64_t periods = 0, throttled_periods = 0, throttled_usec = 0;
};
struct MemoryStats {
  std::uint64_t current = 0, peak = 0, limit = 0;  // bytes; limit 0: none
  std::uint64_t swap_current = 0, anon = 0, file = 0, kernel = 0;
  std::uint64_t oom_events = 0, oom_kills = 0, high_events = 0, max_events = 0;
};
struct IoStats {  // summed over devices
  std::uint64_t read_bytes = 0, write_bytes = 0, read_ops = 0, write_ops = 0;
};
struct Pressure {  // PSI; `known` false where the host has none
  bool known = false;
  double some_avg10 = 0, full_avg10 = 0;  // percent
  std::uint64_t some_total_usec = 0, full_total_usec = 0;
};
// What is looked at all the time.
struct Usage {
  std::uint64_t cpu_usec = 0, memory_bytes = 0;
};
struct Stats {
  CpuStats cpu;
  MemoryStats memory;
  IoStats io;
  std::uint64_t pids_current = 0, pids_limit = 0, pids_max_events = 0;  // limit 0: none
  Pressure cpu_pressure, memory_pressure, io_pressure;
};

// "4096\n" -> 4096; "max", v1's "no limit" (2^63 less a page) and anything else -> nullopt.
std::optional<std::uint64_t> parse_limit(std::string_view text);
// The number behind `key` in "key number" lines; 0 when missing.
std::uint64_t keyed_value(std::string_view text, std::string_view key);

void parse_cpu_stat(std::string_view text, CpuStats& cpu);         // v2 cpu.stat, with or without the controller
void parse_v1_cpu_stat(std::string_view text, CpuStats& cpu);      // v1 cpu.stat: throttling only, in nanoseconds
void parse_memory_stat(std::string_view text, MemoryStats& memory);     // v2 memory.stat
void parse_v1_memory_stat(std::string_view text, MemoryStats& memory);  // v1 memory.stat, hierarchical totals
void parse_memory_events(std::string_view text, MemoryStats& memory);   // v2 memory.events
void parse_io_stat(std::string_view text, IoStats& io);            // v2 io.stat
// v1 blkio.throttle.io_service_bytes[_recursive] and io_serviced[_recursive]: adds the Read and Write lines.
void parse_blkio(std::string_view text, std::uint64_t& read, std::uint64_t& write);
Pressure parse_pressure(std::string_view text);                    // *.pressure

}  // namespace vps::cgroups
