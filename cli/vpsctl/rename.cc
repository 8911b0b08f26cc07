#include "cli/common/operations.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr PositionalSpec kPositionals[] = {
    kOneId,
    {.name = "NAME", .help = "the new name, unique among all VPSes; an empty one takes the name away"},
};

Result<int> run(Context& context, const Arguments& arguments) {
  const auto& id = arguments.positionals()[0];
  const auto& name = arguments.positionals()[1];
  context.subject = id;
  VPS_TRY(check_ids({id}));
  Value body = Value::object();
  body.set("name", name);
  auto got = VPS_TRY(context.api.post(api_path({"containers", id, "rename"}), body));
  auto answer = VPS_TRY(expect_object(std::move(got), "the VPS"));
  switch (context.output.format()) {
    case Format::kTable: context.output.line(visible(name.empty() ? fmt::format("{}: has no name now", id) : fmt::format("{}: is {} now", id, name))); break;
    case Format::kName: context.output.line(visible(answer.get("id").string())); break;
    default: context.output.document(answer);
  }
  return 0;
}

}  // namespace

constinit const CommandSpec kRename = {
    .name = "rename",
    .summary = "give a VPS another name",
    .description = "Changes the name by which a VPS can be called beside its id. The id, the uuid and the host name stay.",
    .positionals = kPositionals,
    .run = run,
};

}  // namespace vps::cli
