// What a command works with. Made once by main() and passed on; nothing of it is global.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "cli/common/api.h"
#include "cli/common/command.h"
#include "cli/common/output.h"

namespace vps::cli {

struct Context {
  const CommandSpec& program;
  Output& output;
  Api& api;
  // What the command is about ("101"), for the front of error messages: "start 101: ...".
  std::string subject;
  std::string action{};  // "start", as main() found it
};

// Prints the error with the command and its subject in front, and tells its exit code. A reason that begins with the same
// words ("start vps 101: ...") does not get them twice.
int report_error(Context& context, std::string_view action, std::string_view subject, const Error& error, int exit_code = 0);

// EINTR in an Error: the user pressed Ctrl-C or sent SIGTERM while we waited. main() ends as if by that signal.
[[nodiscard]] bool is_interrupt(const Error& error);

}  // namespace vps::cli
