#include "base/failpoint.h"
#include "cli/oci/commands.h"
#include "cli/oci/creation.h"
#include "runtime/resctrl.h"

namespace vps::vpsrun {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "force", .letter = 'f', .help = "kill it first; a container that is not there is no error"},
    {.name = "regex", .letter = 'r', .help = "ID is an extended regular expression: every container that it is found in"},
};

Result<> delete_container(const Context& context, const std::string& id, bool force) {
  auto container = Container::open(context, id);
  if (container && !force) {
    VPS_TRY(container->lock(true));
    VPS_TRY(container->reload());
  }
  Result<> done = container ? take_down(*container, force) : Result<>(std::unexpected(container.error()));
  if (!done && force && done.error().code() == Code::kNotFound) return {};
  return done;
}

Result<int> run(Context& context, const Arguments& arguments) {
  const bool force = arguments.flag("force");
  std::vector<std::string> ids{arguments.positionals()[0]};
  if (arguments.flag("regex")) ids = VPS_TRY(Container::ids_matching(context, ids[0]));
  Result<> first_error;
  for (const auto& id : ids) {
    auto done = delete_container(context, id, force);
    if (!done && first_error) first_error = std::move(done);
  }
  VPS_TRY(std::move(first_error));
  return 0;
}

}  // namespace

Result<> take_down(Container& container, bool force) {
  if (!force) {
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
  if (container.record().net_devices) {
    auto spec = VPS_TRY(container.spec());
    VPS_TRY(container.release_network(spec, force));
    VPS_TRY(failpoint::hit("delete.network"));
  }
  if (container.record().intel_rdt) {
    auto spec = VPS_TRY(container.spec());
    if (spec.linux_ && spec.linux_->intel_rdt) VPS_TRY(runtime::leave_resctrl(runtime::kResctrlRoot, *spec.linux_->intel_rdt, container.id()));
  }
  VPS_TRY(container.remove_group());
  VPS_TRY(failpoint::hit("delete.cgroup"));
  if (container.record().poststop) {
    auto spec = container.spec();
    if (spec) run_poststop(container, *spec);
  }
  VPS_TRY(failpoint::hit("delete.hooks"));
  return container.remove();
}

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
