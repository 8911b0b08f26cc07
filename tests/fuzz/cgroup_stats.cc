// The kernel's stat files as cgroups/stats.h reads them.
#include <cstdint>
#include <cstdlib>

#include "cgroups/stats.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vps::cgroups;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  Stats stats;
  parse_cpu_stat(text, stats.cpu);
  parse_v1_cpu_stat(text, stats.cpu);
  parse_memory_stat(text, stats.memory);
  parse_v1_memory_stat(text, stats.memory);
  parse_memory_events(text, stats.memory);
  parse_io_stat(text, stats.io);
  parse_blkio(text, stats.io.read_bytes, stats.io.write_bytes);
  auto pressure = parse_pressure(text);
  if (!pressure.known && pressure.some_total_usec != 0) std::abort();
  auto limit = parse_limit(text);
  if (limit && *limit >= (std::uint64_t{1} << 63)) std::abort();
  return 0;
}
