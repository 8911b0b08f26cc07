#include "cli/common/text.h"

#include <chrono>
#include <cmath>

#include "base/units.h"

namespace vps::cli {
namespace {

// Takes exactly `digits` decimal digits off the front.
Result<int> take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return fail(Code::kUsage, "too short");
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return fail(Code::kUsage, "not a digit");
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

Result<> take_char(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text[0]) == std::string_view::npos) return fail(Code::kUsage, "unexpected character");
  text.remove_prefix(1);
  return {};
}

Result<std::int64_t> take_time(std::string_view text) {
  using namespace std::chrono;
  int y = VPS_TRY(take_number(text, 4));
  VPS_TRY(take_char(text, "-"));
  int mon = VPS_TRY(take_number(text, 2));
  VPS_TRY(take_char(text, "-"));
  int d = VPS_TRY(take_number(text, 2));
  VPS_TRY(take_char(text, "Tt "));
  int h = VPS_TRY(take_number(text, 2));
  VPS_TRY(take_char(text, ":"));
  int min = VPS_TRY(take_number(text, 2));
  VPS_TRY(take_char(text, ":"));
  int s = VPS_TRY(take_number(text, 2));
  std::int64_t ms = 0;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (text.empty() || text[0] < '0' || text[0] > '9') return fail(Code::kUsage, "no digits after the point");
    for (std::int64_t unit = 100; !text.empty() && text[0] >= '0' && text[0] <= '9'; unit /= 10, text.remove_prefix(1))
      ms += unit * (text[0] - '0');
  }
  std::int64_t offset = 0;
  if (text == "Z" || text == "z") {
    text = {};
  } else {
    bool behind = text.starts_with('-');
    VPS_TRY(take_char(text, "+-"));
    int oh = VPS_TRY(take_number(text, 2));
    VPS_TRY(take_char(text, ":"));
    int om = VPS_TRY(take_number(text, 2));
    if (oh > 23 || om > 59) return fail(Code::kUsage, "no such offset");
    offset = (behind ? -1 : 1) * (oh * 60 + om) * 60'000;
  }
  year_month_day date{year{y}, month{static_cast<unsigned>(mon)}, day{static_cast<unsigned>(d)}};
  if (!text.empty() || !date.ok() || h > 23 || min > 59 || s > 60) return fail(Code::kUsage, "no such time");
  auto days = sys_days{date}.time_since_epoch();
  return duration_cast<milliseconds>(days).count() + ((h * 60 + min) * 60 + s) * std::int64_t{1000} + ms - offset;
}

}  // namespace

std::string human_duration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e12) return "-";
  auto s = static_cast<std::uint64_t>(seconds);
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 86'400) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}d{:02}h", s / 86'400, s / 3600 % 24);
}

std::string human_rate(double bytes_per_second) {
  if (!(bytes_per_second >= 0) || bytes_per_second > 1e18) return "-";
  return human_size(Bytes{static_cast<std::uint64_t>(std::llround(bytes_per_second))}) + "/s";
}

std::string human_bytes(const Value& value) {
  auto bytes = value.u64();
  return bytes ? human_size(Bytes{*bytes}) : value.text();
}

Result<std::int64_t> parse_rfc3339(std::string_view text) {
  auto time = take_time(text);
  if (!time) return fail(Code::kUsage, "'{}' is not a time like 2026-11-22T10:00:00Z", text);
  return time;
}

std::string short_time(std::string_view rfc3339) {
  if (!parse_rfc3339(rfc3339)) return std::string(rfc3339);
  std::string text(rfc3339.substr(0, 19));
  text[10] = ' ';
  return text;
}

Colour state_colour(std::string_view state) {
  if (state == "running") return Colour::kGreen;
  if (state == "failed") return Colour::kRed;
  if (state == "paused" || state == "starting" || state == "stopping" || state == "creating") return Colour::kYellow;
  return Colour::kNone;
}

}  // namespace vps::cli
