#include "cli/oci/commands.h"
#include "cli/oci/container.h"

namespace vps::vpsrun {
namespace {

Result<cgroups::Group> own_group(const Container& container) {
  auto group = VPS_TRY(container.group());
  if (!group) return fail(Code::kUnavailable, "container '{}' has no cgroup to be paused by", container.id());
  return std::move(*group);
}

Result<int> pause(Context& context, const Arguments& arguments) {
  auto container = VPS_TRY(Container::open(context, arguments.positionals()[0]));
  VPS_TRY(container.lock(true));
  VPS_TRY(container.require({Status::kCreated, Status::kRunning}, "pause"));
  auto group = VPS_TRY(own_group(container));
  VPS_TRY(group.freeze());
  return 0;
}

Result<int> resume(Context& context, const Arguments& arguments) {
  auto container = VPS_TRY(Container::open(context, arguments.positionals()[0]));
  VPS_TRY(container.lock(true));
  VPS_TRY(container.require({Status::kPaused}, "resume"));
  auto group = VPS_TRY(own_group(container));
  VPS_TRY(group.thaw());
  return 0;
}

}  // namespace

constinit const CommandSpec kPause = {
    .name = "pause",
    .summary = "freeze all processes of a container",
    .positionals = {&kOneContainer, 1},
    .run = pause,
};

constinit const CommandSpec kResume = {
    .name = "resume",
    .summary = "let a paused container go on",
    .positionals = {&kOneContainer, 1},
    .run = resume,
};

}  // namespace vps::vpsrun
