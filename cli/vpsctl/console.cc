#include <unistd.h>

#include "cli/common/operations.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/console_session.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "readonly", .letter = 'r', .help = "only look; several may, one may write"},
};
constexpr PositionalSpec kPositionals[] = {kOneId};

Result<int> run(Context& context, const Arguments& arguments) {
  const auto& name = arguments.positionals()[0];
  context.subject = name;
  VPS_TRY(check_ids({name}));
  auto answer = VPS_TRY(context.api.get(api_path({"containers", name})));
  auto vps = VPS_TRY(expect_object(std::move(answer), "the VPS"));
  std::string id = vps.path("definition.id").string();
  if (id.empty()) id = name;
  auto code = ConsoleSession(context, std::move(id), arguments.flag("readonly"), STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO).run();
  if (code && !context.output.quiet()) context.output.note("console left");
  return code;
}

}  // namespace

constinit const CommandSpec kConsole = {
    .name = "console",
    .summary = "the console of a VPS",
    .description =
        "Connects the terminal with the VPS's /dev/console, after a replay of its recent output. At the beginning of a line ~. leaves "
        "(the VPS goes on), ~? shows help and ~~ sends one ~. When the VPS stops or does not run yet, vpsctl says so, waits for "
        "its start and goes on there: it works before boot and across reboots. When standard input is no terminal it is sent to "
        "the console, and its end leaves.",
    .options = kOptions,
    .positionals = kPositionals,
    .exits = "0 when the user left; 128 + n when signal n ended it.",
    .run = run,
};

}  // namespace vps::cli
