#include <signal.h>

#include "cli/oci/commands.h"
#include "cli/oci/container.h"
#include "namespaces/process.h"

namespace vps::vpsrun {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "all", .letter = 'a', .help = "every process of the container; one that has ended is no error then"},
};
constexpr PositionalSpec kPositionals[] = {
    kOneContainer,
    {.name = "SIGNAL", .help = "a name or a number; default: SIGTERM", .least = 0},
};

Result<> signal_all(const Container& container, int signo) {
  auto group = VPS_TRY(container.group());
  if (!group) return {};
  if (signo == SIGKILL) return group->kill();
  for (pid_t pid : VPS_TRY(group->processes())) {
    auto process = PidFd::open(pid);
    if (process) VPS_TRY(process->signal(signo));
  }
  return {};
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto& words = arguments.positionals();
  auto container = VPS_TRY(Container::open(context, words[0]));
  int signo = words.size() > 1 ? VPS_TRY(namespaces::signal_by_name(words[1])) : SIGTERM;
  const bool all = arguments.flag("all");
  // Without a pid namespace of its own the end of the first process ends nobody else.
  if (all || (signo == SIGKILL && !container.record().own_pid_namespace)) VPS_TRY(signal_all(container, signo));
  auto process = container.process();
  if (process && container.status() != Status::kStopped) {
    if (!all || container.record().cgroup.empty()) VPS_TRY(process->signal(signo));
    return 0;
  }
  if (!all) return fail(Code::kWrongState, "cannot kill container '{}': container not running", words[0]);
  return 0;
}

}  // namespace

constinit const CommandSpec kKill = {
    .name = "kill",
    .summary = "send a signal to a container",
    .description = "To its first process, or with --all to each of its processes.",
    .options = kOptions,
    .positionals = kPositionals,
    .run = run,
};

}  // namespace vps::vpsrun
