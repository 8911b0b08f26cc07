#include "cli/common/operations.h"
#include "cli/common/source.h"
#include "cli/vpsctl/changes.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "file", .letter = 'f', .value = "FILE", .help = "the definition (vps.yaml); - is standard input", .completes = Completion::kFile},
    {.name = "dry-run", .help = "print what would be done, and do nothing"},
};
constexpr PositionalSpec kPositionals[] = {
    {.name = "ID", .help = "the VPS; needed only if the definition's id does not stand on a line of its own", .least = 0, .completes = Completion::kVps},
};
constexpr ExampleSpec kExamples[] = {
    {"bring a VPS to what a file says, making it if need be", "vpsctl apply -f 101.yaml"},
};

Result<int> create(Context& context, const std::string& id, const Value& request, bool dry_run) {
  auto answer = VPS_TRY(context.api.post(api_path({"containers"}), request));
  if (dry_run) {
    if (context.output.format() == Format::kTable) context.output.line(fmt::format("{}: would be created", visible(id)));
    VPS_TRY(print_steps(context, answer));
    return 0;
  }
  auto operation = VPS_TRY(await_operation(context, std::move(answer), "create " + id, OnInterrupt::kCancel));
  for (const auto& warning : operation.get("warnings").items()) context.output.warning(fmt::format("{}: {}", id, warning.text()));
  switch (context.output.format()) {
    case Format::kTable: context.output.line(fmt::format("{}: created", visible(id))); break;
    case Format::kName: context.output.line(visible(id)); break;
    default: context.output.document(operation);
  }
  return 0;
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto* file = arguments.value("file");
  if (file == nullptr) return fail(Code::kUsage, "missing --file");
  auto source = VPS_TRY(read_source(*file));
  auto named = top_level_key(source.text, "id");
  if (named && !arguments.positionals().empty() && *named != arguments.positionals()[0])
    return fail(Code::kUsage, "{} is the definition of {}, not of {}", source.name, *named, arguments.positionals()[0]);
  std::string id = arguments.positionals().empty() ? named.value_or("") : arguments.positionals()[0];
  if (id.empty()) return fail(Code::kUsage, "{}: no id found; give it as an argument", source.name);
  context.subject = id;
  VPS_TRY(check_ids({id}));
  bool dry_run = arguments.flag("dry-run");
  Value body = Value::object();
  if (named.value_or("") != id) source.text = VPS_TRY(with_key(source.text, "id", id));
  body.set("yaml", source.text).set("file", source.name);
  if (dry_run) body.set("dryRun", true);
  auto answer = context.api.send("PUT", api_path({"containers", id}), body);
  if (answer) return print_changes(context, id, *answer, dry_run ? "would change" : "changed");
  if (answer.error().code() != Code::kNotFound) return std::unexpected(std::move(answer).error());
  context.api.clear_details();
  return create(context, id, body, dry_run);
}

}  // namespace

constinit const CommandSpec kApply = {
    .name = "apply",
    .summary = "create or change a VPS to match a file",
    .description =
        "Reads a whole definition. If there is a VPS of its id, the VPS gets that definition: keys that the file does not have "
        "go back to their defaults. If there is none, it is created. Doing it twice changes nothing the second time.",
    .options = kOptions,
    .positionals = kPositionals,
    .examples = kExamples,
    .run = run,
};

}  // namespace vps::cli
