#include "base/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace vps {
namespace {

struct Number {
  double value;
  std::uint64_t whole;  // exact when there is no fraction
  bool fraction;
  std::string_view rest;
};

// digits [ '.' digits ]; strtod and from_chars(double) would accept signs, exponents and "inf".
Result<Number> parse_number(std::string_view text, std::string_view what) {
  std::size_t i = 0;
  std::uint64_t whole = 0;
  while (i < text.size() && text[i] >= '0' && text[i] <= '9') {
    auto digit = static_cast<std::uint64_t>(text[i] - '0');
    if (whole > (std::numeric_limits<std::uint64_t>::max() - digit) / 10)
      return fail(Code::kUsage, "{} '{}' is too large", what, text);
    whole = whole * 10 + digit;
    ++i;
  }
  if (i == 0) return fail(Code::kUsage, "'{}' is not a {}", text, what);
  double value = static_cast<double>(whole);
  bool fraction = false;
  if (i < text.size() && text[i] == '.') {
    std::size_t start = ++i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    if (i == start) return fail(Code::kUsage, "'{}' is not a {}", text, what);
    // Only digits and one point have been let through; the library's rounding makes "0.3" the double that prints as 0.3.
    std::from_chars(text.data(), text.data() + i, value, std::chars_format::fixed);
    fraction = true;
  }
  return Number{value, whole, fraction, text.substr(i)};
}

Result<std::uint64_t> scaled(const Number& number, std::uint64_t unit, std::string_view text, std::string_view what) {
  if (!number.fraction) {
    if (unit != 0 && number.whole > std::numeric_limits<std::uint64_t>::max() / unit)
      return fail(Code::kUsage, "{} '{}' is too large", what, text);
    return number.whole * unit;
  }
  if (unit == 1) return fail(Code::kUsage, "{} '{}' is not a whole number", what, text);
  double value = std::round(number.value * static_cast<double>(unit));
  constexpr double kLimit = 18446744073709549568.0;  // the largest double below 2^64
  if (value > kLimit) return fail(Code::kUsage, "{} '{}' is too large", what, text);
  return static_cast<std::uint64_t>(value);
}

constexpr std::string_view kPrefixes = "KMGTP";

std::uint64_t power(std::uint64_t base, std::size_t exponent) {
  std::uint64_t value = 1;
  for (std::size_t i = 0; i < exponent; ++i) value *= base;
  return value;
}

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

std::string format_scaled(std::uint64_t value, std::uint64_t base) {
  if (value == 0) return "0";
  for (std::size_t i = kPrefixes.size(); i > 0; --i) {
    std::uint64_t unit = power(base, i);
    if (value % unit == 0) return fmt::format("{}{}", value / unit, kPrefixes[i - 1]);
  }
  return std::to_string(value);
}

}  // namespace

Result<Bytes> parse_size(std::string_view text) {
  auto number = VPS_TRY(parse_number(text, "size"));
  std::string_view rest = number.rest;
  std::uint64_t unit = 1;
  if (!rest.empty()) {
    auto index = kPrefixes.find(upper(rest[0]));
    if (index != std::string_view::npos) {
      unit = power(1024, index + 1);
      rest.remove_prefix(1);
      if (!rest.empty() && rest[0] == 'i') rest.remove_prefix(1);
    }
    if (!rest.empty() && upper(rest[0]) == 'B') rest.remove_prefix(1);
  }
  if (!rest.empty()) return fail(Code::kUsage, "'{}' is not a size (like 512M, 1.5G, 1Gi)", text);
  return Bytes{VPS_TRY(scaled(number, unit, text, "size"))};
}

Result<BitRate> parse_bit_rate(std::string_view text) {
  auto number = VPS_TRY(parse_number(text, "rate"));
  std::string_view rest = number.rest;
  std::uint64_t unit = 1;
  if (!rest.empty()) {
    auto index = kPrefixes.find(upper(rest[0]));
    if (index != std::string_view::npos) {
      unit = power(1000, index + 1);
      rest.remove_prefix(1);
    }
    if (rest == "bit" || rest == "bit/s" || rest == "bps") rest = {};
  }
  if (!rest.empty()) return fail(Code::kUsage, "'{}' is not a rate (bit/s, like 100M)", text);
  return BitRate{VPS_TRY(scaled(number, unit, text, "rate"))};
}

Result<Milliseconds> parse_duration(std::string_view text) {
  auto number = VPS_TRY(parse_number(text, "duration"));
  struct Unit {
    std::string_view name;
    std::uint64_t ms;
  };
  constexpr std::array<Unit, 6> kUnits{{{"ms", 1}, {"s", 1000}, {"", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
  for (const auto& unit : kUnits) {
    if (number.rest != unit.name) continue;
    auto ms = VPS_TRY(scaled(number, unit.ms, text, "duration"));
    constexpr std::uint64_t kCentury = 3'155'760'000'000;
    if (ms > kCentury) return fail(Code::kUsage, "duration '{}' is too large", text);
    return Milliseconds(static_cast<std::int64_t>(ms));
  }
  return fail(Code::kUsage, "'{}' is not a duration (like 90s, 5m, 1.5h, 500ms)", text);
}

Result<std::uint64_t> parse_u64(std::string_view text) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) return fail(Code::kUsage, "number '{}' is too large", text);
  if (error != std::errc() || end != text.data() + text.size() || text.empty())
    return fail(Code::kUsage, "'{}' is not a number", text);
  return value;
}

Result<std::int64_t> parse_i64(std::string_view text) {
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) return fail(Code::kUsage, "number '{}' is out of range", text);
  if (error != std::errc() || end != text.data() + text.size() || text.empty())
    return fail(Code::kUsage, "'{}' is not a number", text);
  return value;
}

Result<double> parse_decimal(std::string_view text) {
  auto number = VPS_TRY(parse_number(text, "number"));
  if (!number.rest.empty()) return fail(Code::kUsage, "'{}' is not a number", text);
  return number.value;
}

std::string format_size(Bytes size) { return format_scaled(size.value, 1024); }
std::string format_bit_rate(BitRate rate) { return format_scaled(rate.value, 1000); }

std::string format_duration(Milliseconds duration) {
  auto ms = duration.count();
  if (ms % 1000 != 0) return fmt::format("{}ms", ms);
  auto s = ms / 1000;
  if (s != 0 && s % 3600 == 0) return fmt::format("{}h", s / 3600);
  if (s != 0 && s % 60 == 0 && s > 90) return fmt::format("{}m", s / 60);
  return fmt::format("{}s", s);
}

std::string human_size(Bytes size) {
  constexpr std::array<std::string_view, 6> kNames = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(size.value);
  std::size_t i = 0;
  constexpr double kRoundsUp = 1023.95;  // would print as 1024.0
  while (value >= kRoundsUp && i + 1 < kNames.size()) {
    value /= 1024;
    ++i;
  }
  return i == 0 ? fmt::format("{} B", size.value) : fmt::format("{:.1f} {}", value, kNames[i]);
}

}  // namespace vps
