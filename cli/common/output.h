// Where a command's words go: results to stdout, everything about them (errors, warnings, notes, progress) to stderr.
//
// With -o json an error is one JSON object a line on stderr: stdout is then either the whole document that was asked for or
// empty, so that `vpsctl -o json ... | jq` never meets two kinds of document.
// Text that comes from a VPS may carry terminal escapes: everything but write_raw() shows control characters as \xNN.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "cli/common/value.h"

namespace vps::cli {

enum class Format { kTable, kJson, kYaml, kName, kCsv };
Result<Format> format_from_name(std::string_view name);

enum class Colour { kNone, kRed, kGreen, kYellow, kCyan, kBold };

class Output {
 public:
  // The descriptors stay the caller's. Colour and progress are on only where the descriptor is a terminal, TERM is not
  // "dumb" and NO_COLOR is not set (progress: the first two).
  Output(int out_fd, int err_fd);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void configure(Format format, bool quiet, bool verbose);
  void set_program(std::string name) { program_ = std::move(name); }  // in front of messages; "vpsctl" if not set
  [[nodiscard]] Format format() const { return format_; }
  [[nodiscard]] bool quiet() const { return quiet_; }
  [[nodiscard]] bool verbose() const { return verbose_; }
  [[nodiscard]] bool colour() const { return colour_; }
  [[nodiscard]] bool shows_progress() const { return progress_ && !quiet_; }
  [[nodiscard]] std::string paint(Colour colour, std::string_view text) const;  // for stdout

  // stdout, buffered; flush() tells of a write that failed, also an earlier one.
  void write_raw(std::string_view text);
  void line(std::string_view text);  // unless -q
  void document(const Value& value);  // as YAML with -o yaml, else as JSON
  Result<> flush();

  // stderr, at once.
  // "vpsctl: CONTEXT: message"; `details` go into the JSON form, with the exit code.
  void error(std::string_view context, const Error& error, const Value& details, int exit_code);
  void warning(std::string_view text);
  void note(std::string_view text);    // unless -q
  void trace(std::string_view text);   // with -v
  void progress(std::string_view text);
  void end_progress();

 private:
  void say(std::string_view text);

  int out_fd_, err_fd_;
  std::string program_ = "vpsctl";
  Format format_ = Format::kTable;
  bool quiet_ = false, verbose_ = false, colour_ = false, progress_ = false, progress_shown_ = false;
  std::string buffer_;
  int write_errno_ = 0;
};

// Control characters (C0, DEL and, in UTF-8, C1) as \xNN, so that no text from a VPS drives the operator's terminal.
std::string visible(std::string_view text);
// Columns on a terminal, one for each code point.
std::size_t text_width(std::string_view text);

}  // namespace vps::cli
