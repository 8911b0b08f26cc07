#include <stdlib.h>

#include <climits>

#include "cli/common/operations.h"
#include "cli/common/table.h"
#include "cli/common/text.h"
#include "cli/vpsctl/commands.h"

namespace vps::cli {
namespace {

constexpr PositionalSpec kTemplateName{.name = "TEMPLATE", .help = "name of a template", .completes = Completion::kTemplate};
constexpr PositionalSpec kTemplateNames{.name = "TEMPLATE", .help = "name of a template", .most = kMany, .completes = Completion::kTemplate};

Result<int> await_template(Context& context, Value answer, const std::string& label, const std::string& name, std::string_view done) {
  auto operation = VPS_TRY(await_operation(context, std::move(answer), label, OnInterrupt::kCancel));
  for (const auto& warning : operation.get("warnings").items()) context.output.warning(warning.text());
  switch (context.output.format()) {
    case Format::kTable: context.output.line(visible(fmt::format("{}: {}", name, done))); break;
    case Format::kName: context.output.line(visible(name)); break;
    default: context.output.document(operation);
  }
  return 0;
}

Result<int> run_build(Context& context, const Arguments& arguments) {
  const auto& recipe = arguments.positionals()[0];
  context.subject = recipe;
  auto name = arguments.value_or("name", recipe);
  Value body = Value::object();
  body.set("action", "build").set("recipe", recipe).set("name", name);
  auto answer = VPS_TRY(context.api.post(api_path({"templates"}), body));
  return await_template(context, std::move(answer), "build " + recipe, name, "built");
}

Result<int> run_import(Context& context, const Arguments& arguments) {
  const auto& name = arguments.positionals()[0];
  context.subject = name;
  // The daemon has another working directory.
  char resolved[PATH_MAX];
  const auto& path = arguments.positionals()[1];
  if (::realpath(path.c_str(), resolved) == nullptr) {
    auto error = fail_errno(errno, "{}", path).error();
    return std::unexpected(error.code() == Code::kNotFound ? std::move(error).with_code(Code::kUsage) : std::move(error));
  }
  Value body = Value::object();
  body.set("action", "import").set("name", name).set("path", std::string(resolved));
  auto answer = VPS_TRY(context.api.post(api_path({"templates"}), body));
  return await_template(context, std::move(answer), "import " + name, name, "imported");
}

Result<int> run_list(Context& context, const Arguments&) {
  auto answer = VPS_TRY(context.api.get(api_path({"templates"})));
  auto list = VPS_TRY(expect_array(std::move(answer), "the list of templates"));
  Output& output = context.output;
  if (output.format() == Format::kJson || output.format() == Format::kYaml) {
    output.document(list);
    return 0;
  }
  Table table({{"NAME"}, {"DISTRIBUTION"}, {"ARCH"}, {"INIT"}, {"SIZE", Align::kRight}, {"CREATED"}, {"USED BY", Align::kRight}});
  for (const auto& item : list.items()) {
    if (output.format() == Format::kName) output.write_raw(visible(item.get("name").string()) + "\n");
    table.add({{item.get("name").text()},
               {item.get("distribution").text()},
               {item.get("architecture").text()},
               {item.get("init").text()},
               {human_bytes(item.get("size"))},
               {short_time(item.get("created").text())},
               {fmt::format("{}", item.get("usedBy").items().size())}});
  }
  if (output.format() == Format::kTable) output.write_raw(table.render(output));
  return 0;
}

Result<int> run_show(Context& context, const Arguments& arguments) {
  const auto& name = arguments.positionals()[0];
  context.subject = name;
  if (name.empty()) return fail(Code::kUsage, "the name is empty");
  auto answer = VPS_TRY(context.api.get(api_path({"templates", name})));
  auto item = VPS_TRY(expect_object(std::move(answer), "the template"));
  if (context.output.format() == Format::kJson || context.output.format() == Format::kYaml) {
    context.output.document(item);
    return 0;
  }
  if (context.output.format() == Format::kName) {
    context.output.write_raw(visible(item.get("name").text()) + "\n");
    return 0;
  }
  for (const auto& member : item.members()) {
    std::string text = member.key == "size" ? human_bytes(member.value) : member.value.text();
    context.output.write_raw(visible(fmt::format("{:<14}{}", member.key, text.empty() ? "-" : text)) + "\n");
  }
  return 0;
}

Result<int> run_remove(Context& context, const Arguments& arguments) {
  int exit_code = 0;
  for (const auto& name : unique_ids(arguments.positionals())) {
    auto removed = name.empty() ? Result<Value>(fail(Code::kUsage, "the name is empty")) : context.api.remove(api_path({"templates", name}));
    if (removed) {
      context.output.line(visible(context.output.format() == Format::kTable ? name + ": removed" : name));
      continue;
    }
    int code = report_error(context, "template remove", name, removed.error());
    if (exit_code == 0) exit_code = code;
  }
  return exit_code;
}

constexpr OptionSpec kBuildOptions[] = {
    {.name = "name", .letter = 'n', .value = "NAME", .help = "name of the template; default: the recipe's"},
};
constexpr PositionalSpec kRecipe[] = {{.name = "RECIPE", .help = "what to build: debian-12 or busybox"}};
constexpr PositionalSpec kImport[] = {
    {.name = "NAME", .help = "name of the new template"},
    {.name = "PATH", .help = "a tar archive (also compressed) or a directory of this host", .completes = Completion::kFile},
};
constexpr PositionalSpec kOne[] = {kTemplateName};
constexpr PositionalSpec kSeveral[] = {kTemplateNames};

constexpr CommandSpec kBuild = {
    .name = "build",
    .summary = "make a template from a distribution's packages",
    .description = "Makes a template from the packages of a distribution: needs its archive and some minutes. Ctrl-C undoes it.",
    .options = kBuildOptions,
    .positionals = kRecipe,
    .run = run_build,
};
constexpr CommandSpec kImportCommand = {
    .name = "import",
    .summary = "make a template from an archive or a directory",
    .description =
        "Unpacks a tar archive or copies a directory as a new template. Owners, extended attributes, ACLs, hard links and sparse files "
        "are kept; an entry that points out of the root is refused.",
    .positionals = kImport,
    .run = run_import,
};
constexpr CommandSpec kListCommand = {
    .name = "list",
    .summary = "list templates",
    .description = "Lists the templates that VPSes can be made from.",
    .run = run_list,
};
constexpr CommandSpec kShowCommand = {
    .name = "show",
    .summary = "show one template",
    .description = "Shows a template: where it comes from, its digest, its init, who uses it.",
    .positionals = kOne,
    .run = run_show,
};
constexpr CommandSpec kRemove = {
    .name = "remove",
    .summary = "remove templates",
    .description = "Removes templates. One that a VPS uses is refused (7).",
    .positionals = kSeveral,
    .run = run_remove,
};
constexpr const CommandSpec* kCommands[] = {&kBuild, &kImportCommand, &kListCommand, &kShowCommand, &kRemove};
constexpr ExampleSpec kExamples[] = {
    {"Debian 12 from its own packages", "vpsctl template build debian-12"},
    {"from an archive", "vpsctl template import mine rootfs.tar.zst"},
};

}  // namespace

constinit const CommandSpec kTemplate = {
    .name = "template",
    .summary = "what VPSes are made from",
    .description = "Makes, lists and removes templates: root file systems that VPSes are made from and share unchanged.",
    .commands = kCommands,
    .examples = kExamples,
};

}  // namespace vps::cli
