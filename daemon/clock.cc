#include "daemon/clock.h"

#include <fmt/core.h>

#include <ctime>

namespace vps::daemon {

std::string format_time(SystemTime time) {
  std::int64_t ms = unix_ms(time);
  constexpr std::int64_t kPerSecond = 1000;
  // Floor, so that times before 1970 do not print a negative fraction.
  std::int64_t seconds = ms / kPerSecond - (ms % kPerSecond < 0 ? 1 : 0);
  auto clock = static_cast<std::time_t>(seconds);
  std::tm parts{};
  ::gmtime_r(&clock, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec, ms - seconds * kPerSecond);
}

std::int64_t unix_ms(SystemTime time) {
  return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

SystemTime from_unix_ms(std::int64_t ms) { return SystemTime(std::chrono::milliseconds(ms)); }

}  // namespace vps::daemon
