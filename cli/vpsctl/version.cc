#include "cli/common/context.h"
#include "cli/common/table.h"
#include "cli/vpsctl/commands.h"

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "client", .help = "only the version of vpsctl; vpsd is not asked"},
};

Result<int> run(Context& context, const Arguments& arguments) {
  Output& output = context.output;
  bool table = output.format() == Format::kTable || output.format() == Format::kName;
  Value versions = Value::object();
  versions.set("client", VPS_VERSION);
  if (table) output.write_raw("vpsctl " VPS_VERSION "\n");
  if (arguments.flag("client")) {
    if (!table) output.document(versions);
    return 0;
  }
  auto answer = VPS_TRY(context.api.get(api_path({"host"})));
  auto host = VPS_TRY(expect_object(std::move(answer), "the host"));
  if (!table) {
    output.document(versions.set("host", std::move(host)));
    return 0;
  }
  output.write_raw(visible("vpsd " + host.get("version").text()) + "\n");
  for (const auto& member : host.members()) {
    std::string text = member.value.text();
    if (member.key == "version" || text.empty()) continue;
    output.write_raw(visible(fmt::format("  {:<16}{}", member.key, text)) + "\n");
  }
  if (host.get("version").string() != VPS_VERSION) output.warning("vpsctl and vpsd are of different versions");
  return 0;
}

}  // namespace

constinit const CommandSpec kVersion = {
    .name = "version",
    .summary = "versions, and what this host can do",
    .description = "Prints the versions of vpsctl and vpsd, the kernel and what the host offers: control groups, recipes, directories.",
    .options = kOptions,
    .run = run,
};

}  // namespace vps::cli
