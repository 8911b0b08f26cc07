#include "cgroups/stats.h"

#include <charconv>
#include <string>

#include "base/units.h"
#include "cgroups/text.h"

namespace vps::cgroups {
namespace {

std::uint64_t number_or_zero(std::string_view text) {
  auto value = parse_u64(text);
  return value ? *value : 0;
}

// "some avg10=1.50 avg60=0.00 avg300=0.00 total=1234"
void parse_pressure_line(std::string_view line, double& avg10, std::uint64_t& total) {
  for (auto word : split(line, ' ')) {
    if (word.starts_with("avg10=")) {
      auto value = parse_decimal(word.substr(6));
      avg10 = value ? *value : 0;
    }
    if (word.starts_with("total=")) total = number_or_zero(word.substr(6));
  }
}

}  // namespace

std::optional<std::uint64_t> parse_limit(std::string_view text) {
  auto value = parse_u64(trimmed(text));
  constexpr std::uint64_t kV1Unlimited = 0x7fff'ffff'ffff'0000;  // LONG_MAX rounded down to a page of up to 64 KiB
  if (!value || *value >= kV1Unlimited) return std::nullopt;
  return *value;
}

std::uint64_t keyed_value(std::string_view text, std::string_view key) {
  auto line = line_of(text, key);
  return line.size() > key.size() ? number_or_zero(trimmed(line.substr(key.size()))) : 0;
}

void parse_cpu_stat(std::string_view text, CpuStats& cpu) {
  cpu.usage_usec = keyed_value(text, "usage_usec");
  cpu.user_usec = keyed_value(text, "user_usec");
  cpu.system_usec = keyed_value(text, "system_usec");
  cpu.periods = keyed_value(text, "nr_periods");
  cpu.throttled_periods = keyed_value(text, "nr_throttled");
  cpu.throttled_usec = keyed_value(text, "throttled_usec");
}

void parse_v1_cpu_stat(std::string_view text, CpuStats& cpu) {
  cpu.periods = keyed_value(text, "nr_periods");
  cpu.throttled_periods = keyed_value(text, "nr_throttled");
  cpu.throttled_usec = keyed_value(text, "throttled_time") / 1000;
}

void parse_memory_stat(std::string_view text, MemoryStats& memory) {
  memory.anon = keyed_value(text, "anon");
  memory.file = keyed_value(text, "file");
  memory.kernel = keyed_value(text, "kernel");
}

void parse_v1_memory_stat(std::string_view text, MemoryStats& memory) {
  memory.anon = keyed_value(text, "total_rss");
  memory.file = keyed_value(text, "total_cache");
}

void parse_memory_events(std::string_view text, MemoryStats& memory) {
  memory.high_events = keyed_value(text, "high");
  memory.max_events = keyed_value(text, "max");
  memory.oom_events = keyed_value(text, "oom");
  memory.oom_kills = keyed_value(text, "oom_kill");
}

void parse_io_stat(std::string_view text, IoStats& io) {
  for (auto line : split(text, '\n')) {
    for (auto word : split(line, ' ')) {
      auto equals = word.find('=');
      if (equals == std::string_view::npos) continue;
      auto key = word.substr(0, equals);
      auto value = number_or_zero(word.substr(equals + 1));
      if (key == "rbytes") io.read_bytes += value;
      if (key == "wbytes") io.write_bytes += value;
      if (key == "rios") io.read_ops += value;
      if (key == "wios") io.write_ops += value;
    }
  }
}

void parse_blkio(std::string_view text, std::uint64_t& read, std::uint64_t& write) {
  for (auto line : split(text, '\n')) {  // "8:0 Read 4096"
    auto parts = split(line, ' ');
    if (parts.size() != 3) continue;
    if (parts[1] == "Read") read += number_or_zero(parts[2]);
    if (parts[1] == "Write") write += number_or_zero(parts[2]);
  }
}

Pressure parse_pressure(std::string_view text) {
  Pressure pressure;
  auto some = line_of(text, "some");
  if (some.empty()) return pressure;
  pressure.known = true;
  parse_pressure_line(some, pressure.some_avg10, pressure.some_total_usec);
  parse_pressure_line(line_of(text, "full"), pressure.full_avg10, pressure.full_total_usec);
  return pressure;
}

}  // namespace vps::cgroups
