#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cctype>
#include <sstream>

#include "base/failpoint.h"
#include "base/files.h"
#include "base/log.h"
#include "cli/common/terminal.h"
#include "cli/oci/commands.h"
#include "cli/oci/log.h"
#include "cli/oci/self.h"

namespace vps::vpsrun {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "root", .value = "DIR", .help = "state directory; default: /run/vpsrun, or vpsrun in $XDG_RUNTIME_DIR for other users than root and their user namespaces"},
    {.name = "log", .value = "FILE", .help = "append warnings and errors there (errors go to standard error as well)"},
    {.name = "log-format", .value = "FORMAT", .help = "text (the default) or json", .choices = "text json"},
    {.name = "debug", .help = "log debug messages too"},
    {.name = "systemd-cgroup", .help = "the same as --cgroup-manager systemd"},
    {.name = "cgroup-manager", .value = "MANAGER", .help = "cgroupfs (the default), systemd or disabled", .choices = "cgroupfs systemd disabled"},
    {.name = "rootless", .value = "MODE", .help = "true: do without a cgroup where none is delegated; auto (the default): true for other users than root and in their namespaces",
     .choices = "auto true false"},
    {.name = "version", .letter = 'v', .help = "print the version and end"},
};

constexpr const CommandSpec* kCommands[] = {&kCreate, &kStart,  &kRun,    &kExec,   &kKill,     &kDelete, &kState, &kList,
                                            &kPs,     &kPause,  &kResume, &kUpdate, &kEvents, &kFeatures, &kSpec, &kCheckpoint, &kRestore};

// Podman for ordinary users runs its runtime as root of their user namespace, to which /run does not belong. Somebody who has become
// root of it otherwise (a container in which engines run) says USER=root.
bool runs_for_a_user() {
  if (::geteuid() != 0) return true;
  const char* user = ::getenv("USER");
  if (user != nullptr && std::string_view(user) == "root") return false;
  std::istringstream map(read_file("/proc/self/uid_map").value_or(""));
  std::uint64_t inside = 0, outside = 0, count = 0;
  map >> inside >> outside >> count;
  constexpr std::uint64_t kEveryone = 4294967295;  // user_namespaces(7): the first namespace's map
  return map && count != kEveryone;
}

std::string default_root(bool for_user) {
  const char* own = ::getenv("XDG_RUNTIME_DIR");
  if (own != nullptr && *own == '/' && for_user) return std::string(own) + "/vpsrun";
  return "/run/vpsrun";
}

Result<CgroupManager> cgroup_manager(const Arguments& arguments) {
  auto name = arguments.value_or("cgroup-manager", arguments.flag("systemd-cgroup") ? "systemd" : "cgroupfs");
  if (name == "disabled") return CgroupManager::kDisabled;
  return name == "systemd" ? CgroupManager::kSystemd : CgroupManager::kCgroupfs;
}

// Engines look for the system's reasons as Go spells them ("permission denied" is docker's 126, "no such file" its 127).
std::string engine_text(const Error& error) {
  if (error.err() == 0) return error.message();
  const char* known = ::strerrordesc_np(error.err());
  std::string reason = known != nullptr ? known : fmt::format("errno {}", error.err());
  reason[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(reason[0])));
  return error.message() + ": " + reason;
}

// podman asks "restore --lsm-mount-context" without its value, and takes these words of runc's for "it is known".
Error usage_error(const Error& error) {
  if (error.message().find(" needs a value: ") == std::string::npos) return error;
  return Error(error.code(), 0, "flag needs an argument: " + error.message());
}

int report(const Error& error, const std::string& file, int exit_code) {
  auto text = engine_text(error);
  // The engine reads its file, the person standard error.
  if (!file.empty()) log::error("{}", text);
  (void)write_all(STDERR_FILENO, fmt::format("vpsrun: {}\n", text));
  return exit_code;
}

Result<int> run_command(const Arguments& arguments) {
  VPS_TRY(open_log({.file = arguments.value_or("log", ""),
                    .json = arguments.value_or("log-format", "text") == "json",
                    .debug = arguments.flag("debug")}));
  const char* failpoints = ::getenv("VPS_FAILPOINTS");
  VPS_TRY(failpoint::configure(failpoints != nullptr ? failpoints : ""));
  const bool for_user = runs_for_a_user();
  Context context{.program = kProgram, .root = arguments.value_or("root", default_root(for_user)), .seccomp_cache = {}};
  while (context.root.size() > 1 && context.root.ends_with('/')) context.root.pop_back();
  // Not below the root: engines look through it for containers of theirs.
  context.seccomp_cache = default_root(for_user) + "-seccomp";
  context.cgroups = VPS_TRY(cgroup_manager(arguments));
  auto rootless = arguments.value_or("rootless", "auto");
  context.rootless = rootless == "true" || (rootless == "auto" && for_user);
  return arguments.command().run(context, arguments);
}

}  // namespace

constinit const CommandSpec kProgram = {
    .name = "vpsrun",
    .summary = "run containers by the OCI runtime specification",
    .description =
        "vpsrun makes one container from a bundle (a root file system and a config.json) and looks after it by short commands; no "
        "process of its own stays. It takes the command line of runc, and the options that crun has beside it, so that podman, "
        "containerd, docker and CRI-O use it by its path.",
    .options = kOptions,
    .commands = kCommands,
};

Result<> print(std::string_view text) { return write_all(STDOUT_FILENO, text); }

int run_vpsrun(std::span<const std::string> words) {
  Arguments so_far;
  auto parsed = cli::parse_command_line(kProgram, words, &so_far);
  if (!parsed && so_far.flag("version")) {
    auto printed = print("vpsrun version " VPS_VERSION "\nspec: 1.3.0\n");
    return printed ? 0 : 1;
  }
  if (!parsed) return report(usage_error(parsed.error()), "", so_far.command().failure_exit != 0 ? so_far.command().failure_exit : 1);
  if (parsed->help()) {
    auto size = cli::window_size(STDOUT_FILENO);
    auto printed = print(cli::help_text(kProgram, parsed->command(), parsed->command_path(), size ? size->columns : 80));
    return printed ? 0 : 1;
  }
  auto result = run_command(*parsed);
  if (result) return *result;
  int failure = parsed->command().failure_exit;
  return report(result.error(), parsed->value_or("log", ""), failure != 0 ? failure : 1);
}

}  // namespace vps::vpsrun
