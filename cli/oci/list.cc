#include "base/files.h"
#include "base/log.h"
#include "cli/oci/commands.h"
#include "cli/oci/container.h"
#include "runtime/user_lookup.h"

namespace vps::vpsrun {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "format", .letter = 'f', .value = "FORMAT", .help = "table (the default) or json", .choices = "table json"},
    {.name = "quiet", .letter = 'q', .help = "ids only"},
};

Result<int> run(Context& context, const Arguments& arguments) {
  auto ids = VPS_TRY(Container::ids(context));
  if (arguments.flag("quiet")) {
    for (const auto& id : ids) VPS_TRY(print(id + "\n"));
    return 0;
  }
  auto passwd = read_file("/etc/passwd").value_or("");
  std::vector<Listed> listed;
  for (const auto& id : ids) {
    auto container = Container::open(context, id);
    if (!container) {
      // Deleted meanwhile, or a damaged record: the others are to be seen all the same.
      if (container.error().code() != Code::kNotFound) log::warning("{}", container.error().to_string());
      continue;
    }
    const auto& record = container->record();
    auto account = runtime::find_account(passwd, std::to_string(record.owner));
    listed.push_back({record, std::string(status_name(container->status())), account ? account->name : fmt::format("#{}", record.owner)});
  }
  VPS_TRY(print(arguments.value_or("format", "table") == "json" ? list_json(listed) : list_table(listed)));
  return 0;
}

}  // namespace

constinit const CommandSpec kList = {
    .name = "list",
    .summary = "list the containers below --root",
    .options = kOptions,
    .run = run,
};

}  // namespace vps::vpsrun
