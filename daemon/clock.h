// Times as the API prints them. Pure; thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace vps::daemon {

using SystemTime = std::chrono::system_clock::time_point;
using SteadyTime = std::chrono::steady_clock::time_point;

// RFC 3339 in UTC with milliseconds: "2024-03-01T12:00:00.250Z".
std::string format_time(SystemTime time);
std::int64_t unix_ms(SystemTime time);
SystemTime from_unix_ms(std::int64_t ms);

}  // namespace vps::daemon
