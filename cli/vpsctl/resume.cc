#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr PositionalSpec kPositionals[] = {kIds};

Result<int> run(Context& context, const Arguments& arguments) {
  auto ids = unique_ids(arguments.positionals());
  VPS_TRY(check_ids(ids));
  JobRunner jobs(context, {.action = "resume", .done = "running", .path = "resume", .body = Value::object()});
  VPS_TRY(jobs.run(ids));
  return jobs.finish();
}

}  // namespace

constinit const CommandSpec kResume = {
    .name = "resume",
    .summary = "let the processes of paused VPSes go on",
    .description =
        "Lets every process of each paused VPS go on where vpsctl pause has frozen it.",
    .positionals = kPositionals,
    .run = run,
};

}  // namespace vps::cli
