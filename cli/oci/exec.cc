#include <unistd.h>

#include <optional>

#include "base/failpoint.h"
#include "base/files.h"
#include "base/units.h"
#include "cli/oci/commands.h"
#include "cli/oci/creation.h"
#include "cli/oci/fd_socket.h"
#include "cli/oci/resources.h"
#include "cli/oci/session.h"
#include "runtime/exec.h"
#include "specs/oci/json.h"
#include "specs/oci/validate.h"

namespace vps::vpsrun {
namespace {

constexpr int kOwnFailure = 255;

constexpr OptionSpec kOptions[] = {
    {.name = "process", .letter = 'p', .value = "FILE", .help = "the process as JSON, like the process section of config.json"},
    {.name = "tty", .letter = 't', .help = "give the process a terminal"},
    {.name = "detach", .letter = 'd', .help = "return when the process runs"},
    {.name = "cwd", .value = "DIR", .help = "working directory; default: that of the container's process"},
    {.name = "env", .letter = 'e', .value = "KEY=VALUE", .help = "a further environment variable", .repeated = true},
    {.name = "user", .letter = 'u', .value = "UID[:GID]", .help = "default: the user of the container's process"},
    {.name = "additional-gids", .letter = 'g', .value = "GID", .help = "a further group", .repeated = true},
    {.name = "cap", .letter = 'c', .value = "CAP", .help = "a capability besides those of the container's process", .repeated = true},
    {.name = "no-new-privs", .help = "set no_new_privs"},
    {.name = "apparmor", .value = "PROFILE", .help = "AppArmor profile"},
    {.name = "process-label", .value = "LABEL", .help = "SELinux label"},
    {.name = "cgroup", .value = "[CONTROLLERS:]PATH", .help = "an existing cgroup below the container's own; with controllers (cpu,memory) that of their "
                                                           "v1 hierarchies alone", .repeated = true},
    {.name = "ignore-paused", .help = "do not refuse when the container is paused"},
    kPidFileOption,
    kConsoleSocketOption,
    kPidfdSocketOption,
    kPreserveFdsOption,
    {.name = "no-subreaper", .help = "for compatibility; exec never becomes a subreaper"},
};
constexpr PositionalSpec kPositionals[] = {
    kOneContainer,
    {.name = "COMMAND", .help = "a program of the container and its arguments", .least = 0, .most = cli::kMany},
};

Result<std::uint32_t> number(std::string_view option, std::string_view text) {
  auto value = VPS_TRY_CTX(option, parse_u64(text));
  if (value >= UINT32_MAX) return fail(Code::kUsage, "{}: {} is no id", option, text);
  return static_cast<std::uint32_t>(value);
}

Result<> apply_user(const std::string& text, oci::User& user) {
  auto colon = text.find(':');
  user.uid = VPS_TRY(number("--user", text.substr(0, colon)));
  if (colon != std::string::npos) user.gid = VPS_TRY(number("--user", text.substr(colon + 1)));
  return {};
}

// The container's own process with what the command line changes.
Result<oci::Process> process_from_flags(const Arguments& arguments, const oci::Process& own) {
  const auto& words = arguments.positionals();
  if (words.size() < 2) return fail(Code::kUsage, "exec: no command given (or --process FILE)");
  oci::Process process = own;
  process.args.assign(words.begin() + 1, words.end());
  process.terminal = arguments.flag("tty");
  process.console_size.reset();
  if (const auto* cwd = arguments.value("cwd")) process.cwd = *cwd;
  for (const auto& entry : arguments.values("env")) process.env.push_back(entry);
  if (const auto* user = arguments.value("user")) VPS_TRY(apply_user(*user, process.user));
  for (const auto& gid : arguments.values("additional-gids"))
    process.user.additional_gids.push_back(VPS_TRY(number("--additional-gids", gid)));
  if (arguments.flag("no-new-privs")) process.no_new_privileges = true;
  if (const auto* profile = arguments.value("apparmor")) process.apparmor_profile = *profile;
  if (const auto* label = arguments.value("process-label")) process.selinux_label = *label;
  for (const auto& name : arguments.values("cap")) {
    if (!process.capabilities) process.capabilities.emplace();
    auto& sets = *process.capabilities;
    for (auto* set : {&sets.bounding, &sets.effective, &sets.permitted}) set->push_back(name);
  }
  return process;
}

Result<oci::Process> read_process(const Arguments& arguments, const oci::Spec& spec) {
  const auto* file = arguments.value("process");
  if (file == nullptr) return process_from_flags(arguments, *spec.process);
  auto text = VPS_TRY_CTX("--process", *file == "-" ? read_fd(STDIN_FILENO) : read_file(*file));
  auto process = VPS_TRY_CTX("--process", oci::parse_process(text));
  if (arguments.flag("tty")) process.terminal = true;
  return process;
}

// "PATH" or "CONTROLLER[,CONTROLLER]:PATH", as runc takes them.
std::vector<runtime::SubCgroup> sub_cgroups(const Arguments& arguments) {
  std::vector<runtime::SubCgroup> result;
  for (const auto& text : arguments.values("cgroup")) {
    auto colon = text.find(':');
    runtime::SubCgroup entry;
    entry.path = colon == std::string::npos ? text : text.substr(colon + 1);
    if (!entry.path.starts_with('/')) entry.path.insert(0, "/");
    std::string controllers = colon == std::string::npos ? "" : text.substr(0, colon);
    do {
      auto comma = std::min(controllers.find(','), controllers.size());
      entry.controller = controllers.substr(0, comma);
      controllers.erase(0, comma + 1);
      result.push_back(entry);
    } while (!controllers.empty());
  }
  return result;
}

Result<int> run(Context& context, const Arguments& arguments) {
  auto container = VPS_TRY(Container::open(context, arguments.positionals()[0]));
  auto status = container.status();
  if (status == Status::kPaused && !arguments.flag("ignore-paused"))
    return fail(Code::kWrongState, "cannot exec in a paused container (use --ignore-paused)");
  if (status != Status::kRunning && status != Status::kPaused) VPS_TRY(container.require({Status::kCreated}, "exec in"));
  auto [spec, seccomp] = VPS_TRY(container.exec_spec(context.seccomp_cache));
  const bool detach = arguments.flag("detach");
  const std::string console_socket = arguments.value_or("console-socket", "");
  runtime::ExecRequest request;
  request.spec = &spec;
  request.seccomp = seccomp ? &*seccomp : nullptr;
  request.process = VPS_TRY(read_process(arguments, spec));
  VPS_TRY_CTX("exec", oci::validate_process(request.process));
  settle_ambient(request.process);
  VPS_TRY(check_terminal(request.process.terminal, detach, console_socket));
  auto target = VPS_TRY(container.process());
  request.target = &target;
  auto group = VPS_TRY(container.group());
  request.group = group ? &*group : nullptr;
  request.cgroups = sub_cgroups(arguments);
  if (!group && !request.cgroups.empty()) return fail(Code::kUsage, "--cgroup: the container has none");
  request.preserve_fds = VPS_TRY(preserved_descriptors(arguments));
  request.keyring = session_keyring_name(container.id());
  request.seccomp_cache = context.seccomp_cache;
  UniqueFd console;
  request.on_console = [&](UniqueFd master) -> Result<> {
    if (!console_socket.empty()) return hand_over(console_socket, "/dev/pts/ptmx", master.get());
    console = std::move(master);
    return {};
  };
  request.on_seccomp_listener = [&](const PidFd& process, UniqueFd listener) {
    return send_seccomp_listener(spec, container.record(), process.pid(), true, listener.get());
  };
  // Before the program runs: a signal that somebody sends on its first word is for it.
  std::optional<Foreground> foreground;
  if (!detach) foreground.emplace(VPS_TRY(Foreground::begin()));
  auto process = VPS_TRY(runtime::exec_in_container(std::move(request)));
  if (const auto* socket = arguments.value("pidfd-socket")) VPS_TRY_CTX("--pidfd-socket", hand_over(*socket, "pidfd", process.fd()));
  if (const auto* file = arguments.value("pid-file")) VPS_TRY_CTX("--pid-file", write_pid_file(*file, process.pid()));
  VPS_TRY(failpoint::hit("exec.started"));
  if (detach) return 0;
  return VPS_TRY(foreground->wait(process, std::move(console))).shell_code();
}

}  // namespace

constinit const CommandSpec kExec = {
    .name = "exec",
    .summary = "run a further process in a container",
    .description =
        "Joins the container's namespaces and cgroup. What the command line does not say is taken from the container's own process.",
    .options = kOptions,
    .positionals = kPositionals,
    .exits = "In the foreground that of the process, 128 + n when signal n ended it; 255 when it could not be started.",
    .run = run,
    .options_first = true,
    .failure_exit = kOwnFailure,
};

}  // namespace vps::vpsrun
