#include <sys/prctl.h>

#include <optional>

#include "base/failpoint.h"
#include "base/log.h"
#include "cli/oci/commands.h"
#include "cli/oci/creation.h"
#include "cli/oci/session.h"

namespace vps::vpsrun {
namespace {

constexpr OptionSpec kOptions[] = {
    kBundleOption,
    kConfigOption,
    {.name = "detach", .letter = 'd', .help = "return when the container runs"},
    {.name = "keep", .help = "do not delete the container when it ends"},
    kPidFileOption,
    kConsoleSocketOption,
    kPidfdSocketOption,
    kPreserveFdsOption,
    {.name = "no-subreaper", .help = "do not become the parent of the container's orphans"},
    kNoPivotOption,
    kNoNewKeyringOption,
};

Result<int> run(Context& context, const Arguments& arguments) {
  auto options = VPS_TRY(create_options(arguments));
  const bool detach = arguments.flag("detach");
  const std::string console_socket = options.console_socket;
  if (!detach && !arguments.flag("no-subreaper") && ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
    return fail_errno(errno, "become a subreaper");
  auto creation = VPS_TRY(Creation::begin(context, std::move(options)));
  VPS_TRY(check_terminal(creation->spec().process->terminal, detach, console_socket));
  // Before the program runs: a signal that somebody sends on its first word is for it. It has its own mask (init.cc).
  std::optional<Foreground> foreground;
  if (!detach) foreground.emplace(VPS_TRY(Foreground::begin()));
  VPS_TRY(creation->launcher().start());
  VPS_TRY(failpoint::hit("run.started"));
  VPS_TRY(run_poststart(creation->container(), creation->spec()));
  if (detach) {
    creation->keep();
    return 0;
  }
  auto status = VPS_TRY(foreground->wait(creation->launcher().process(), creation->take_console()));
  // Its destruction deletes the container.
  if (arguments.flag("keep")) creation->keep();
  return status.shell_code();
}

}  // namespace

constinit const CommandSpec kRun = {
    .name = "run",
    .summary = "create, start and wait for a container",
    .description =
        "With --detach it is create and start in one. Without, signals are passed on to the container's first process, a terminal of "
        "its own is shown on ours unless a console socket takes it, and the container is deleted when the process ends.",
    .options = kOptions,
    .positionals = {&kOneContainer, 1},
    .exits = "In the foreground that of the container's first process, 128 + n when signal n ended it.",
    .run = run,
};

}  // namespace vps::vpsrun
