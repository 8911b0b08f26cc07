#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "wait", .letter = 'w', .help = "return only when the init inside says that it is ready, not already when it runs"},
    {.name = "timeout", .value = "DURATION", .help = "give up waiting after this time: 90s, 5m; the VPS is left as it is then"},
    {.name = "all", .letter = 'a', .help = "every VPS that does not run, in boot order"},
    {.name = "dry-run", .help = "print every step that the start would take, and take none"},
};
constexpr PositionalSpec kPositionals[] = {kOptionalIds};
constexpr ExampleSpec kExamples[] = {
    {"start and wait until systemd has come up", "vpsctl start 101 --wait --timeout 2m"},
    {"see what a start does", "vpsctl start 101 --dry-run"},
};

bool does_not_run(std::string_view state) { return state == "stopped" || state == "failed"; }

Result<int> dry_run(Context& context, const std::vector<std::string>& ids, const Value& body) {
  for (const auto& id : ids) {
    context.subject = id;
    if (ids.size() > 1 && context.output.format() == Format::kTable) context.output.write_raw(fmt::format("{}:\n", visible(id)));
    auto answer = VPS_TRY(context.api.post(api_path({"containers", id, "start"}), body));
    VPS_TRY(print_steps(context, answer));
  }
  return 0;
}

Result<int> run(Context& context, const Arguments& arguments) {
  auto ids = VPS_TRY(ids_or_all(arguments));
  Value body = Value::object();
  body.set("wait", arguments.flag("wait") ? "ready" : "started");
  auto timeout = VPS_TRY(duration_option(arguments, "timeout"));
  if (!timeout.empty()) body.set("timeout", timeout);
  std::vector<std::vector<std::string>> groups{ids};
  if (arguments.flag("all")) groups = VPS_TRY(boot_groups(context, does_not_run));
  if (arguments.flag("dry-run")) {
    body.set("dryRun", true);
    for (const auto& group : groups) VPS_TRY(dry_run(context, group, body));
    return 0;
  }
  JobRunner jobs(context, {.action = "start", .done = arguments.flag("wait") ? "ready" : "started", .path = "start", .body = body});
  for (const auto& group : groups) VPS_TRY(jobs.run(group));
  return jobs.finish();
}

}  // namespace

constinit const CommandSpec kStart = {
    .name = "start",
    .summary = "start VPSes",
    .description =
        "Starts each VPS and returns when its init runs, or with --wait when the init has said that it is ready (systemd's "
        "READY=1). Several are started at once; each gets one result line.",
    .options = kOptions,
    .positionals = kPositionals,
    .examples = kExamples,
    .run = run,
};

}  // namespace vps::cli
