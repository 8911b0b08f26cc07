#include <stdlib.h>
#include <unistd.h>

#include "cli/common/operations.h"
#include "cli/common/session.h"
#include "cli/common/terminal.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "user", .letter = 'u', .value = "USER", .help = "as this user of the VPS: a name, a uid or uid:gid; default: root"},
};
constexpr PositionalSpec kPositionals[] = {kOneId};
constexpr ExampleSpec kExamples[] = {
    {"a shell", "vpsctl enter 101"},
    {"commands from a file", "vpsctl enter 101 < setup.sh"},
};

Result<int> run(Context& context, const Arguments& arguments) {
  const auto& id = arguments.positionals()[0];
  context.subject = id;
  VPS_TRY(check_ids({id}));
  bool tty = is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO);
  Value body = Value::object();
  body.set("argv", Value::array()).set("login", true);
  if (const auto* user = arguments.value("user")) body.set("user", *user);
  if (tty) {
    body.set("tty", true);
    const char* term = ::getenv("TERM");
    if (term != nullptr) body.set("env", Value::object().set("TERM", term));
  }
  auto answer = VPS_TRY(context.api.post(api_path({"containers", id, "exec"}), body));
  if (tty) {
    auto session = VPS_TRY(attach_session(answer, {}));
    return run_tty_session(context, session, STDIN_FILENO, STDOUT_FILENO);
  }
  std::array<int, 3> fds{STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
  auto session = VPS_TRY(attach_session(answer, fds));
  return run_plain_session(context, session);
}

}  // namespace

constinit const CommandSpec kEnter = {
    .name = "enter",
    .summary = "a shell in a VPS",
    .description =
        "Starts the login shell of root (or of another user) inside a running VPS, with a terminal of its own: job control and "
        "full-screen programs work, and the size of the window is passed on. When standard input or output is no terminal, the "
        "shell reads its commands from standard input.",
    .options = kOptions,
    .positionals = kPositionals,
    .examples = kExamples,
    .exits = "The exit code of the shell; 125 when vpsctl or the VPS failed (also bad usage), 126 or 127 when the shell cannot be executed.",
    .run = run,
    .failure_exit = 125,
};

}  // namespace vps::cli
