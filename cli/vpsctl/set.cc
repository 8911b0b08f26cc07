#include "cli/common/operations.h"
#include "cli/vpsctl/changes.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "live", .help = "change only what is in force now; the next start has the saved values again", .group = "mode"},
    {.name = "saved", .help = "change only the saved definition; it takes effect at the next start", .group = "mode"},
    {.name = "dry-run", .help = "print what would change, and change nothing"},
};
constexpr PositionalSpec kPositionals[] = {
    kOneId,
    {.name = "KEY=VALUE", .help = "a key of the definition, dotted (resources.memory.limit=1G) or short (ram=1G); an empty value unsets it", .most = kMany},
};
constexpr ExampleSpec kExamples[] = {
    {"more memory and CPU, at once and for good", "vpsctl set 101 ram=1G cpus=2"},
    {"no CPU limit any more", "vpsctl set 101 cpus="},
};

Result<int> run(Context& context, const Arguments& arguments) {
  const auto& words = arguments.positionals();
  context.subject = words[0];
  VPS_TRY(check_ids({words[0]}));
  Value set = Value::array();
  for (std::size_t i = 1; i < words.size(); ++i) {
    auto equals = words[i].find('=');
    if (equals == std::string::npos || equals == 0) return fail(Code::kUsage, "'{}': expected KEY=VALUE", words[i]);
    set.push(words[i]);
  }
  Value body = Value::object();
  body.set("set", std::move(set));
  body.set("mode", arguments.flag("live") ? "live" : arguments.flag("saved") ? "saved" : "both");
  bool dry_run = arguments.flag("dry-run");
  if (dry_run) body.set("dryRun", true);
  auto answer = VPS_TRY(context.api.send("PATCH", api_path({"containers", words[0]}), body));
  return print_changes(context, words[0], answer, dry_run ? "would change" : "changed");
}

}  // namespace

constinit const CommandSpec kSet = {
    .name = "set",
    .summary = "change keys of a VPS's definition",
    .description =
        "Changes keys of the definition, on the running VPS and saved, or neither: when one of them cannot be done, none is. Keys "
        "that take effect only at the next start are said. The keys stand in vps.yaml(5).",
    .options = kOptions,
    .positionals = kPositionals,
    .examples = kExamples,
    .run = run,
};

}  // namespace vps::cli
