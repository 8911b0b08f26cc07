#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "force", .letter = 'f', .help = "kill everything in it at once instead of asking its init"},
    {.name = "wait", .letter = 'w', .help = "return only when the init inside says that it is ready, not already when it runs"},
    {.name = "timeout", .value = "DURATION", .help = "how long its init may take to stop before everything is killed"},
};
constexpr PositionalSpec kPositionals[] = {kIds};

Result<int> run(Context& context, const Arguments& arguments) {
  auto ids = unique_ids(arguments.positionals());
  VPS_TRY(check_ids(ids));
  Value body = Value::object();
  if (arguments.flag("force")) body.set("force", true);
  auto timeout = VPS_TRY(duration_option(arguments, "timeout"));
  if (!timeout.empty()) body.set("timeout", timeout);
  body.set("wait", arguments.flag("wait") ? "ready" : "started");
  JobRunner jobs(context, {.action = "restart", .done = arguments.flag("wait") ? "ready" : "restarted", .path = "restart", .body = body});
  VPS_TRY(jobs.run(ids));
  return jobs.finish();
}

}  // namespace

constinit const CommandSpec kRestart = {
    .name = "restart",
    .summary = "stop VPSes and start them again",
    .description =
        "Stops each VPS as vpsctl stop does and starts it again with a full set-up: changes of the definition that waited for a "
        "start take effect.",
    .options = kOptions,
    .positionals = kPositionals,
    .run = run,
};

}  // namespace vps::cli
