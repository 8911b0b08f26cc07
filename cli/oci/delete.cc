#include "base/failpoint.h"
#include "cli/oci/commands.h"
#include "cli/oci/creation.h"

namespace vps::vpsrun {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "force", .letter = 'f', .help = "kill it first; a container that is not there is no error"},
};

Result<> take_down(Container& container, bool force) {
  if (!force) {
    VPS_TRY(container.lock(true));
    VPS_TRY(container.reload());
    auto status = container.status();
    if (status != Status::kStopped && status != Status::kCreated)
      return fail(Code::kWrongState, "cannot delete container '{}' that is not stopped: {}", container.id(), status_name(status));
  } else if (auto locked = container.lock(false); !locked) {
    // A command that hangs (a hook, say) is not waited for: without its processes it comes to an end.
    if (locked.error().code() != Code::kBusy) return locked;
    VPS_TRY(container.kill_all());
    VPS_TRY(container.lock(true));
  }
  VPS_TRY(container.reload());
  VPS_TRY(container.kill_all());
  VPS_TRY(failpoint::hit("delete.killed"));
  VPS_TRY(container.remove_group());
  VPS_TRY(failpoint::hit("delete.cgroup"));
  if (container.record().poststop) {
    auto spec = container.spec();
    if (spec) run_poststop(container, *spec);
  }
  VPS_TRY(failpoint::hit("delete.hooks"));
  return container.remove();
}

Result<int> run(Context& context, const Arguments& arguments) {
  const bool force = arguments.flag("force");
  auto container = Container::open(context, arguments.positionals()[0]);
  Result<> done = container ? take_down(*container, force) : Result<>(std::unexpected(container.error()));
  if (!done && !(force && done.error().code() == Code::kNotFound)) return std::unexpected(std::move(done).error());
  return 0;
}

}  // namespace

constinit const CommandSpec kDelete = {
    .name = "delete",
    .summary = "remove a container",
    .description =
        "A stopped or a created one; with --force any. Clears whatever is left of the container, also when the command that made it "
        "was killed on its way.",
    .options = kOptions,
    .positionals = {&kOneContainer, 1},
    .run = run,
};

}  // namespace vps::vpsrun
