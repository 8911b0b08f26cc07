#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/files.h"
#include "base/seqpacket.h"
#include "base/units.h"
#include "cli/oci/commands.h"
#include "cli/oci/container.h"
#include "cli/oci/criu_rpc.h"
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
    if (arguments.flag(name)) options.flags.emplace_back(name);
  if (arguments.flag("tcp-skip-in-flight")) options.flags.emplace_back("skip-in-flight");
  options.parent_path = arguments.value_or("parent-path", "");
  if (options.parent_path.starts_with('/')) return fail(Code::kUsage, "--parent-path: {} is not relative to the image path", options.parent_path);
  if (!options.parent_path.empty() && !path_exists(options.image_path + "/" + options.parent_path))
    return fail_errno(ENOENT, "--parent-path: {}/{}", options.image_path, options.parent_path);
  if (const auto* server = arguments.value("page-server")) {
    auto colon = server->rfind(':');
    auto port = colon == std::string::npos ? fail(Code::kUsage, "no port") : parse_u64(std::string_view(*server).substr(colon + 1));
    if (!port || *port > UINT16_MAX || colon == 0) return fail(Code::kUsage, "--page-server: '{}' is not ADDRESS:PORT", *server);
    options.page_address = server->substr(0, colon);
    options.page_port = static_cast<std::uint16_t>(*port);
  }
  if (const auto* text = arguments.value("status-fd")) {
    auto fd = parse_u64(*text);
    if (!fd || *fd > INT32_MAX || ::fcntl(static_cast<int>(*fd), F_GETFD) < 0) return fail(Code::kUsage, "--status-fd: {} is not open", *text);
    options.status_fd = static_cast<int>(*fd);
  }
  return options;
}

Result<> run_criu(const std::string& program, const std::string& request, const std::string& log_file) {
  auto [ours, theirs] = VPS_TRY(Seqpacket::make_pair());
  auto cloned = VPS_TRY(namespaces::clone_process({}));
  if (cloned.child) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)write_all(STDERR_FILENO, fmt::format("vpsrun: checkpoint: {}\n", execute_criu(program, theirs.fd()).to_string()));
    ::_exit(127);
  }
  theirs.close();
  auto sent = send_to_criu(ours.fd(), request);
  auto answer = receive_from_criu(ours.fd());
  ours.close();
  (void)cloned.process.wait();
  VPS_TRY(sent);
  auto packet = VPS_TRY(std::move(answer));
  if (!packet || !packet->message.success) return fail(Code::kFailed, "{}", criu_failure(log_file));
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
  const bool pre_dump = arguments.flag("pre-dump");
  auto process = VPS_TRY(container.process());
  auto external = VPS_TRY(look_at_external(process.pid()));
  auto dir = VPS_TRY(open_dir(options.image_path));
  VPS_TRY(replace_file_at(dir.get(), "vpsrun.json", format_external(external), 0600));
  auto work = VPS_TRY(open_dir(options.work_path));
  auto request = VPS_TRY(dump_request(options, process.pid(), external, spec, {.images = dir.get(), .work = work.get()}, pre_dump));
  VPS_TRY(run_criu(program, request, options.work_path + "/dump.log"));
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
