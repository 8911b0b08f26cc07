#include "cli/oci/log.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <memory>

#include "base/files.h"
#include "base/log.h"

namespace vps::vpsrun {
namespace {

// Length of the UTF-8 sequence at the front of `text`, 0 when there is none (RFC 3629).
std::size_t utf8_length(std::string_view text) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  auto tail = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xc0) == 0x80; };
  unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first < 0xf0) {
    if (!tail(1) || !tail(2)) return 0;
    bool overlong = first == 0xe0 && byte(1) < 0xa0;
    bool surrogate = first == 0xed && byte(1) >= 0xa0;
    return overlong || surrogate ? 0 : 3;
  }
  if (first >= 0xf0 && first < 0xf5) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    bool out_of_range = (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) >= 0x90);
    return out_of_range ? 0 : 4;
  }
  return 0;
}

}  // namespace

std::string json_string(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    char c = text[0];
    std::size_t length = utf8_length(text);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      length = 1;
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out + "\"";
}

std::string time_now() {
  using namespace std::chrono;
  // Not by gmtime(3), which reads the host's time zone first.
  auto now = floor<nanoseconds>(system_clock::now());
  auto midnight = floor<days>(now);
  year_month_day date(midnight);
  hh_mm_ss time(now - midnight);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), time.hours().count(), time.minutes().count(), time.seconds().count(),
                     time.subseconds().count());
}

std::string log_line(bool json, std::string_view level, std::string_view message, std::string_view time) {
  if (json)
    return fmt::format("{{\"level\":{},\"msg\":{},\"time\":{}}}\n", json_string(level), json_string(message), json_string(time));
  return fmt::format("time={} level={} msg={}\n", json_string(time), level, json_string(message));
}

Result<> open_log(const LogOptions& options) {
  auto file = std::make_shared<UniqueFd>();
  if (!options.file.empty()) *file = VPS_TRY_CTX("--log", open_path(options.file, O_WRONLY | O_CREAT | O_APPEND, 0644));
  log::set_sink(
      [file, json = options.json](log::Level level, std::string_view message) {
        // One write a line: several processes append to the same file.
        auto line = log_line(json, log::level_name(level), message, time_now());
        (void)write_all(*file ? file->get() : STDERR_FILENO, line);
      },
      options.debug ? log::Level::kDebug : log::Level::kWarning);
  return {};
}

}  // namespace vps::vpsrun
