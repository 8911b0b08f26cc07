#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/files.h"
#include "base/units.h"
#include "cli/oci/commands.h"
#include "cli/oci/container.h"
#include "cli/oci/criu.h"
#include "namespaces/clone.h"

namespace vps::vpsrun {
namespace {

constexpr OptionSpec kOptions[] = {
    kImagePathOption,
    kWorkPathOption,
    {.name = "parent-path", .value = "DIR", .help = "images of an earlier pre-dump, relative to the image path"},
    {.name = "leave-running", .help = "let the container go on"},
    {.name = "pre-dump", .help = "memory only, and let the container go on; a later checkpoint names it by --parent-path"},
    kTcpEstablishedOption,
    {.name = "tcp-skip-in-flight", .help = "leave out TCP connections that are not established yet"},
    kExtUnixSkOption,
    kShellJobOption,
    {.name = "link-remap", .help = "files that have been deleted but are open, by hard links"},
    kFileLocksOption,
    kManageCgroupsOption,
    kEmptyNsOption,
    kAutoDedupOption,
    kLazyPagesOption,
    {.name = "page-server", .value = "ADDRESS:PORT", .help = "where memory is sent to"},
    {.name = "status-fd", .value = "FD", .help = "criu writes a zero byte there when lazy pages are ready"},
};

Result<CriuOptions> checkpoint_options(const Arguments& arguments) {
  auto options = VPS_TRY(criu_options(arguments, true));
  for (const char* name : {"leave-running", "link-remap"})
    if (arguments.flag(name)) options.flags.push_back(fmt::format("--{}", name));
  if (arguments.flag("tcp-skip-in-flight")) options.flags.emplace_back("--skip-in-flight");
  options.parent_path = arguments.value_or("parent-path", "");
  if (options.parent_path.starts_with('/')) return fail(Code::kUsage, "--parent-path: {} is not relative to the image path", options.parent_path);
  if (!options.parent_path.empty() && !path_exists(options.image_path + "/" + options.parent_path))
    return fail_errno(ENOENT, "--parent-path: {}/{}", options.image_path, options.parent_path);
  options.page_server = arguments.value_or("page-server", "");
  if (!options.page_server.empty() && options.page_server.find(':') == std::string::npos)
    return fail(Code::kUsage, "--page-server: '{}' is not ADDRESS:PORT", options.page_server);
  options.status_fd = arguments.value_or("status-fd", "");
  if (!options.status_fd.empty()) {
    auto fd = parse_u64(options.status_fd);
    if (!fd || *fd > INT32_MAX || ::fcntl(static_cast<int>(*fd), F_GETFD) < 0) return fail(Code::kUsage, "--status-fd: {} is not open", options.status_fd);
  }
  return options;
}

Result<> run_criu(const std::string& program, std::vector<std::string> args, const std::string& log_file) {
  args.insert(args.begin(), program);
  auto cloned = VPS_TRY(namespaces::clone_process({}));
  if (cloned.child) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::vector<char*> argv;
    for (auto& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  auto status = VPS_TRY(cloned.process.wait());
  if (status != ExitStatus{}) return fail(Code::kFailed, "{}", criu_failure(log_file));
  return {};
}

Result<int> run(Context& context, const Arguments& arguments) {
  auto container = VPS_TRY(Container::open(context, arguments.positionals()[0]));
  auto program = VPS_TRY(find_criu());
  VPS_TRY(container.lock(true));
  VPS_TRY(container.reload());
  VPS_TRY(container.require({Status::kRunning, Status::kPaused}, "checkpoint"));
  auto options = VPS_TRY(checkpoint_options(arguments));
  auto spec = VPS_TRY(container.spec());
  if (spec.process->terminal && !arguments.flag("shell-job"))
    return fail(Code::kUnavailable, "checkpoint of a container with a terminal: criu can give it back to nobody");
  const bool pre_dump = arguments.flag("pre-dump");
  auto process = VPS_TRY(container.process());
  auto external = VPS_TRY(look_at_external(process.pid()));
  auto dir = VPS_TRY(open_dir(options.image_path));
  VPS_TRY(replace_file_at(dir.get(), "vpsrun.json", format_external(external), 0600));
  auto args = VPS_TRY(dump_arguments(options, process.pid(), external, spec, pre_dump));
  VPS_TRY(run_criu(program, std::move(args), options.work_path + "/dump.log"));
  if (pre_dump || arguments.flag("leave-running")) return 0;
  VPS_TRY(take_down(container, false));
  return 0;
}

}  // namespace

constinit const CommandSpec kCheckpoint = {
    .name = "checkpoint",
    .summary = "write a running container to image files",
    .description =
        "By the program criu, which must be installed. The container is gone afterwards, and \"restore\" brings it back from the images; "
        "with --leave-running or --pre-dump it goes on.",
    .options = kOptions,
    .positionals = {&kOneContainer, 1},
    .run = run,
};

}  // namespace vps::vpsrun
