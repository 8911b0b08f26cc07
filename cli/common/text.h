// How figures are shown to people, and how times are read. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cli/common/output.h"
#include "cli/common/value.h"

namespace vps::cli {

std::string human_duration(double seconds);             // "42s" "5m12s" "3h07m" "12d04h"
std::string human_rate(double bytes_per_second);        // "1.2 MiB/s"
// A count of bytes in a Value as people read it; text is left as it is, null is "".
std::string human_bytes(const Value& value);

// "2026-11-22T10:00:00Z", with an optional fraction and offset (RFC 3339), as milliseconds since the epoch; kUsage otherwise.
Result<std::int64_t> parse_rfc3339(std::string_view text);
// "2026-11-22 10:00:00": of the time's own zone, without fraction; text that is no time stays as it is.
std::string short_time(std::string_view rfc3339);

[[nodiscard]] Colour state_colour(std::string_view state);

}  // namespace vps::cli
