#include "cli/common/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/files.h"
#include "cli/common/terminal.h"

namespace vps::cli {
namespace {

constexpr std::size_t kBufferSize = 64u << 10;

bool environment_allows(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr || *value == '\0';
}

bool dumb_terminal() {
  const char* term = ::getenv("TERM");
  return term == nullptr || std::string_view(term) == "dumb" || *term == '\0';
}

}  // namespace

Result<Format> format_from_name(std::string_view name) {
  if (name == "table") return Format::kTable;
  if (name == "json") return Format::kJson;
  if (name == "yaml") return Format::kYaml;
  if (name == "name") return Format::kName;
  if (name == "csv") return Format::kCsv;
  return fail(Code::kUsage, "-o {}: expected table, json, yaml or name", name);
}

std::string visible(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    bool c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c1) {
      ++i;
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
    } else if (byte < 0x20 || byte == 0x7f) {
      out += byte == '\t' ? " " : fmt::format("\\x{:02x}", byte);
    } else {
      out += text[i];
    }
  }
  return out;
}

std::size_t text_width(std::string_view text) {
  std::size_t width = 0;
  for (char c : text)
    if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) ++width;
  return width;
}

Output::Output(int out_fd, int err_fd) : out_fd_(out_fd), err_fd_(err_fd) {
  colour_ = is_terminal(out_fd) && environment_allows("NO_COLOR") && !dumb_terminal();
  progress_ = is_terminal(err_fd) && !dumb_terminal();
}

Output::~Output() {
  end_progress();
  (void)flush();
}

void Output::configure(Format format, bool quiet, bool verbose) {
  format_ = format;
  quiet_ = quiet;
  verbose_ = verbose;
}

std::string Output::paint(Colour colour, std::string_view text) const {
  if (!colour_ || colour == Colour::kNone) return std::string(text);
  constexpr std::string_view kCodes[] = {"", "31", "32", "33", "36", "1"};
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<std::size_t>(colour)], text);
}

void Output::write_raw(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= kBufferSize) (void)flush();
}

void Output::line(std::string_view text) {
  if (quiet_) return;
  write_raw(text);
  write_raw("\n");
}

void Output::document(const Value& value) {
  if (format_ == Format::kYaml) {
    write_raw(format_yaml(value));
    return;
  }
  write_raw(format_json(value));
  write_raw("\n");
}

Result<> Output::flush() {
  if (!buffer_.empty()) {
    end_progress();  // the line would stand between
    auto written = write_all(out_fd_, buffer_);
    buffer_.clear();
    if (!written && write_errno_ == 0) write_errno_ = written.error().err() != 0 ? written.error().err() : EIO;
  }
  if (write_errno_ != 0) return fail_errno(write_errno_, "write the output");
  return {};
}

void Output::say(std::string_view text) {
  (void)flush();  // in the order in which things were said
  end_progress();
  (void)write_all(err_fd_, text);
}

void Output::error(std::string_view context, const Error& error, const Value& details, int exit_code) {
  if (format_ == Format::kJson) {
    Value object = Value::object();
    object.set("code", code_name(error.code()));
    object.set("message", error.to_string());
    Value shown = details.is_object() ? details : Value::object();
    if (!context.empty()) shown.set("command", context);
    shown.set("exit", exit_code);
    object.set("details", std::move(shown));
    say(format_json(object, 0) + "\n");
    return;
  }
  std::string message = visible(error.to_string());
  say(context.empty() ? fmt::format("{}: {}\n", program_, message) : fmt::format("{}: {}: {}\n", program_, visible(context), message));
}

void Output::warning(std::string_view text) {
  if (!quiet_) say(fmt::format("{}: warning: {}\n", program_, visible(text)));
}

void Output::note(std::string_view text) {
  if (!quiet_) say(fmt::format("{}: {}\n", program_, visible(text)));
}

void Output::trace(std::string_view text) {
  if (verbose_) say(visible(text) + "\n");
}

void Output::progress(std::string_view text) {
  if (!shows_progress()) return;
  (void)flush();
  std::string shown = visible(text);
  auto size = window_size(err_fd_);
  if (size && size->columns > 1)
    while (text_width(shown) >= size->columns) shown.pop_back();  // a wrapped line could not be taken back
  (void)write_all(err_fd_, "\r" + shown + "\x1b[K");
  progress_shown_ = true;
}

void Output::end_progress() {
  if (!progress_shown_) return;
  progress_shown_ = false;
  (void)write_all(err_fd_, "\r\x1b[K");
}

}  // namespace vps::cli
