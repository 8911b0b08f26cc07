#include <unistd.h>

#include "cli/common/context.h"
#include "cli/common/terminal.h"
#include "cli/vpsctl/commands.h"

namespace vps::cli {
namespace {

constexpr PositionalSpec kPositionals[] = {
    {.name = "COMMAND", .help = "the command to explain", .least = 0, .most = 2, .completes = Completion::kCommand},
};

Result<int> run(Context& context, const Arguments& arguments) {
  const CommandSpec* command = &context.program;
  std::string path;
  for (const auto& word : arguments.positionals()) {
    command = find_command(command->commands, word);
    if (command == nullptr) return fail(Code::kUsage, "unknown command '{}'", word);
    path += (path.empty() ? "" : " ") + word;
  }
  auto size = window_size(STDOUT_FILENO);
  context.output.write_raw(help_text(context.program, *command, path, size ? size->columns : 80));
  return 0;
}

}  // namespace

constinit const CommandSpec kHelp = {
    .name = "help",
    .summary = "explain a command",
    .description = "Prints what vpsctl COMMAND --help prints.",
    .positionals = kPositionals,
    .run = run,
};

}  // namespace vps::cli
