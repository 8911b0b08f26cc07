#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "force", .letter = 'f', .help = "if it runs, kill everything in it first; without this a running VPS is refused"},
};
constexpr PositionalSpec kPositionals[] = {kIds};

Result<int> run(Context& context, const Arguments& arguments) {
  auto ids = unique_ids(arguments.positionals());
  VPS_TRY(check_ids(ids));
  JobRunner jobs(context, {.action = "destroy", .done = "destroyed", .method = "DELETE", .path = arguments.flag("force") ? "?force=1" : "", .body = {}});
  VPS_TRY(jobs.run(ids));
  return jobs.finish();
}

}  // namespace

constinit const CommandSpec kDestroy = {
    .name = "destroy",
    .summary = "remove VPSes with all their data",
    .description =
        "Removes each VPS for good: its definition, its disk, its logs and its id range. There is no way back and no question is "
        "asked.",
    .options = kOptions,
    .positionals = kPositionals,
    .run = run,
};

}  // namespace vps::cli
