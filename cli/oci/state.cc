#include "cli/oci/commands.h"
#include "cli/oci/container.h"

namespace vps::vpsrun {
namespace {

Result<int> run(Context& context, const Arguments& arguments) {
  auto container = VPS_TRY(Container::open(context, arguments.positionals()[0]));
  VPS_TRY(print(state_json(container.record(), status_name(container.status()))));
  return 0;
}

}  // namespace

constinit const CommandSpec kState = {
    .name = "state",
    .summary = "print the state of a container as JSON",
    .positionals = {&kOneContainer, 1},
    .run = run,
};

}  // namespace vps::vpsrun
