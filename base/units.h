// Quantities with their units, parsed and printed in one place.
//
// Sizes: "512M", "1.5G", "1Gi", "4096", "0.5T", "64MiB", "100KB" (K, M, G, T, P are powers of 1024, as in vzctl; the
// "i" and a trailing "B" change nothing). Rates: bit/s with powers of 1000: "100M" = 10^8. Durations: "90s", "1.5h",
// "500ms", "2m", a bare number is seconds. Everything else, negative values and overflow are kUsage errors.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace vps {

struct Bytes {
  std::uint64_t value = 0;
  auto operator<=>(const Bytes&) const = default;
};

struct BitRate {  // bit per second
  std::uint64_t value = 0;
  auto operator<=>(const BitRate&) const = default;
};

using Milliseconds = std::chrono::milliseconds;
using Microseconds = std::chrono::microseconds;

Result<Bytes> parse_size(std::string_view text);
Result<BitRate> parse_bit_rate(std::string_view text);
Result<Milliseconds> parse_duration(std::string_view text);
Result<std::uint64_t> parse_u64(std::string_view text);  // decimal digits only
Result<std::int64_t> parse_i64(std::string_view text);
Result<double> parse_decimal(std::string_view text);      // "1.5"; no sign, no exponent, no inf

// The shortest text that parses back to the same value: 536870912 -> "512M", 1000 -> "1000".
std::string format_size(Bytes size);
std::string format_bit_rate(BitRate rate);
std::string format_duration(Milliseconds duration);
// For people: "1.2 GiB"; loses precision.
std::string human_size(Bytes size);

}  // namespace vps
