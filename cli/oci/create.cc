#include "cli/oci/commands.h"
#include "cli/oci/creation.h"

namespace vps::vpsrun {
namespace {

constexpr OptionSpec kOptions[] = {kBundleOption,     kConfigOption,      kPidFileOption, kConsoleSocketOption,
                                   kPidfdSocketOption, kPreserveFdsOption, kNoPivotOption, kNoNewKeyringOption,
                                   {.name = "no-subreaper", .help = "for compatibility; create never becomes a subreaper"}};

Result<int> run(Context& context, const Arguments& arguments) {
  auto options = VPS_TRY(create_options(arguments));
  options.waits = true;
  auto creation = VPS_TRY(Creation::begin(context, std::move(options)));
  creation->keep();
  return 0;
}

}  // namespace

constinit const CommandSpec kCreate = {
    .name = "create",
    .summary = "make a container that waits for its start",
    .description =
        "Reads config.json of the bundle, makes cgroup, namespaces, mounts and the container's first process, and returns when that "
        "process waits for \"start\". Its parent is then our own: whoever called us reaps it. On an error nothing is left.",
    .options = kOptions,
    .positionals = {&kOneContainer, 1},
    .run = run,
};

}  // namespace vps::vpsrun
