#include "base/failpoint.h"
#include "cli/oci/commands.h"
#include "cli/oci/creation.h"

namespace vps::vpsrun {
namespace {

Result<int> run(Context& context, const Arguments& arguments) {
  auto container = VPS_TRY(Container::open(context, arguments.positionals()[0]));
  VPS_TRY(container.lock(true));
  VPS_TRY(container.reload());
  VPS_TRY(container.require({Status::kCreated}, "start"));
  auto connection = VPS_TRY(container.connect());
  // First: a container that may be running must not look like one that can be started.
  VPS_TRY(container.forget_listener());
  VPS_TRY(failpoint::hit("start.connected"));
  VPS_TRY(runtime::start_container(std::move(connection)));
  VPS_TRY(failpoint::hit("start.started"));
  if (!container.record().poststart) return 0;
  auto spec = VPS_TRY(container.spec());
  VPS_TRY(run_poststart(container, spec));
  return 0;
}

}  // namespace

constinit const CommandSpec kStart = {
    .name = "start",
    .summary = "start a created container",
    .description = "Returns when the container's program has been executed; the reason is told when it could not be.",
    .positionals = {&kOneContainer, 1},
    .run = run,
};

}  // namespace vps::vpsrun
