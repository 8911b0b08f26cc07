#include "cli/common/context.h"
#include "cli/common/operations.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"
#include "cli/vpsctl/show_view.h"

namespace vps::cli {
namespace {

constexpr PositionalSpec kPositionals[] = {kOneId};
constexpr ExampleSpec kExamples[] = {
    {"copy a definition", "vpsctl show 101 -o yaml > 101.yaml"},
    {"pid 1 of a VPS, as the host sees it", "vpsctl show 101 -o json | jq .status.pid"},
};

Result<int> run(Context& context, const Arguments& arguments) {
  const auto& id = arguments.positionals()[0];
  context.subject = id;
  VPS_TRY(check_ids({id}));
  if (context.output.format() == Format::kYaml) {
    context.output.write_raw(VPS_TRY(context.api.get_text(api_path({"containers", id}, {{"format", "yaml"}}))));
    return 0;
  }
  auto answer = VPS_TRY(context.api.get(api_path({"containers", id})));
  auto vps = VPS_TRY(expect_object(std::move(answer), "the VPS"));
  switch (context.output.format()) {
    case Format::kJson: context.output.document(vps); break;
    case Format::kName: context.output.write_raw(visible(vps.path("definition.id").text()) + "\n"); break;
    default: context.output.write_raw(render_show(vps, context.output));
  }
  return 0;
}

}  // namespace

constinit const CommandSpec kShow = {
    .name = "show",
    .summary = "show one VPS in full",
    .description =
        "Shows the state of a VPS, its limits with what enforces each (the kernel's file) or why this host cannot, what it uses "
        "and how it is confined. -o json prints all of it as one object {definition, status, limits, usage, security, init}. "
        "-o yaml prints exactly the definition, as vpsctl create --file, apply and edit take it.",
    .positionals = kPositionals,
    .examples = kExamples,
    .run = run,
};

}  // namespace vps::cli
