#include <algorithm>

#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "force", .letter = 'f', .help = "kill everything in it at once instead of asking its init"},
    {.name = "timeout", .value = "DURATION", .help = "how long its init may take before everything is killed, instead of stopTimeout"},
    {.name = "all", .letter = 'a', .help = "every VPS that runs, in reverse boot order"},
};
constexpr PositionalSpec kPositionals[] = {kOptionalIds};
constexpr ExampleSpec kExamples[] = {
    {"stop two, each within half a minute", "vpsctl stop 101 102 --timeout 30s"},
    {"empty the host", "vpsctl stop --all"},
};

bool runs(std::string_view state) { return state == "running" || state == "paused" || state == "starting"; }

Result<int> run(Context& context, const Arguments& arguments) {
  auto ids = VPS_TRY(ids_or_all(arguments));
  Value body = Value::object();
  if (arguments.flag("force")) body.set("force", true);
  auto timeout = VPS_TRY(duration_option(arguments, "timeout"));
  if (!timeout.empty()) body.set("timeout", timeout);
  std::vector<std::vector<std::string>> groups{ids};
  if (arguments.flag("all")) {
    groups = VPS_TRY(boot_groups(context, runs));
    std::ranges::reverse(groups);
  }
  JobRunner jobs(context, {.action = "stop", .done = "stopped", .path = "stop", .body = body});
  for (const auto& group : groups) VPS_TRY(jobs.run(group));
  return jobs.finish();
}

}  // namespace

constinit const CommandSpec kStop = {
    .name = "stop",
    .summary = "stop VPSes",
    .description =
        "Asks the init of each VPS to shut down, in the way that it understands, and returns when nothing of it runs any more. "
        "After the timeout everything in it is killed. With --force that happens at once.",
    .options = kOptions,
    .positionals = kPositionals,
    .examples = kExamples,
    .run = run,
};

}  // namespace vps::cli
