#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr PositionalSpec kPositionals[] = {kIds};

Result<int> run(Context& context, const Arguments& arguments) {
  auto ids = unique_ids(arguments.positionals());
  VPS_TRY(check_ids(ids));
  JobRunner jobs(context, {.action = "pause", .done = "paused", .path = "pause", .body = Value::object()});
  VPS_TRY(jobs.run(ids));
  return jobs.finish();
}

}  // namespace

constinit const CommandSpec kPause = {
    .name = "pause",
    .summary = "freeze all processes of VPSes",
    .description =
        "Freezes every process of each VPS where it stands: it uses no CPU time and keeps its memory. Its init cannot be asked to stop and nothing can be executed in it until vpsctl resume; vpsctl stop --force works.",
    .positionals = kPositionals,
    .run = run,
};

}  // namespace vps::cli
