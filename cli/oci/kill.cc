#include <signal.h>

#include "cli/oci/commands.h"
#include "cli/oci/container.h"
#include "namespaces/process.h"

namespace vps::vpsrun {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "all", .letter = 'a', .help = "every process of the container; one that has ended is no error then"},
    {.name = "regex", .letter = 'r', .help = "ID is an extended regular expression: every running container that it is found in"},
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

Result<> signal_container(const Context& context, const std::string& id, int signo, bool all) {
  auto container = VPS_TRY(Container::open(context, id));
  // Without a pid namespace of its own the end of the first process ends nobody else.
  if (all || (signo == SIGKILL && !container.record().own_pid_namespace)) VPS_TRY(signal_all(container, signo));
  auto process = container.process();
  if (process && container.status() != Status::kStopped) {
    if (!all || container.record().cgroup.empty()) VPS_TRY(process->signal(signo));
    return {};
  }
  if (!all) return fail(Code::kWrongState, "cannot kill container '{}': container not running", id);
  return {};
}

Result<int> run(Context& context, const Arguments& arguments) {
  const auto& words = arguments.positionals();
  int signo = words.size() > 1 ? VPS_TRY(namespaces::signal_by_name(words[1])) : SIGTERM;
  const bool all = arguments.flag("all");
  if (!arguments.flag("regex")) {
    VPS_TRY(signal_container(context, words[0], signo, all));
    return 0;
  }
  for (const auto& id : VPS_TRY(Container::ids_matching(context, words[0]))) {
    auto done = signal_container(context, id, signo, all);
    // One that has ended, or goes meanwhile, is none that was meant.
    if (!done && done.error().code() != Code::kWrongState && done.error().code() != Code::kNotFound) return std::unexpected(std::move(done).error());
  }
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
