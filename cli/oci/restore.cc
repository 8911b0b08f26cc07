#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <optional>
#include <span>
#include <utility>

#include "base/failpoint.h"
#include "base/files.h"
#include "cli/oci/commands.h"
#include "cli/oci/creation.h"
#include "base/seqpacket.h"
#include "cli/oci/criu_rpc.h"
#include "cli/oci/session.h"
#include "namespaces/clone.h"
#include "namespaces/mounts.h"
#include "runtime/hooks.h"

namespace vps::vpsrun {
namespace {

constexpr OptionSpec kOptions[] = {
    kBundleOption,
    kConfigOption,
    kImagePathOption,
    kWorkPathOption,
    {.name = "detach", .letter = 'd', .help = "return when the container runs"},
    {.name = "keep", .help = "do not delete the container when it ends"},
    kPidFileOption,
    kConsoleSocketOption,
    kPidfdSocketOption,
    kTcpEstablishedOption,
    {.name = "tcp-close", .help = "restore connections as closed ones"},
    kExtUnixSkOption,
    kShellJobOption,
    kFileLocksOption,
    kManageCgroupsOption,
    kEmptyNsOption,
    kAutoDedupOption,
    kLazyPagesOption,
    {.name = "lsm-profile", .value = "TYPE:NAME", .help = "another AppArmor or SELinux profile than the images name"},
    {.name = "lsm-mount-context", .value = "CONTEXT", .help = "another SELinux context of mounts"},
    {.name = "no-subreaper", .help = "do not become the parent of the container's orphans"},
    kPreserveFdsOption,
    kNoNewKeyringOption,
    {.name = "no-pivot", .help = "for compatibility; criu changes the root in its own way"},
};

Result<CriuOptions> restore_options(const Arguments& arguments) {
  auto options = VPS_TRY(criu_options(arguments, false));
  if (arguments.flag("tcp-close")) options.flags.emplace_back("tcp-close");
  options.lsm_profile = arguments.value_or("lsm-profile", "");
  options.lsm_mount_context = arguments.value_or("lsm-mount-context", "");
  return options;
}

struct CriuProcess {
  const std::string &program, &rootfs, &root;
  const cgroups::Group* group;
  std::span<const UniqueFd> kept;  // beside standard input and output
  int socket;
};

// In the process that becomes criu: the root file system must be a mount, which nobody else is to see.
[[noreturn]] void become_criu(const CriuProcess& criu) {
  auto prepared = [&]() -> Result<> {
    if (criu.group != nullptr) VPS_TRY(criu.group->join_v1());
    VPS_TRY(vps::namespaces::set_root_propagation(MS_SLAVE | MS_REC));
    auto mount = VPS_TRY(vps::namespaces::clone_mount(AT_FDCWD, criu.rootfs, true));
    VPS_TRY(vps::namespaces::set_mount_attr(mount.get(), 0, 0, true, MS_PRIVATE));
    auto target = VPS_TRY(open_path(criu.root, O_PATH | O_DIRECTORY));
    VPS_TRY(vps::namespaces::attach_mount(mount.get(), target.get()));
    for (const auto& fd : criu.kept) (void)::fcntl(fd.get(), F_SETFD, 0);
    return std::unexpected(execute_criu(criu.program, criu.socket));
  }();
  (void)write_all(STDERR_FILENO, fmt::format("vpsrun: restore: {}\n", prepared.error().to_string()));
  ::_exit(127);
}

}  // namespace

Result<> Creation::restore_process() {
  const auto& options = *options_.restore;
  auto program = VPS_TRY(find_criu());
  auto kept = VPS_TRY_CTX("--image-path", read_file(options.image_path + "/vpsrun.json"));
  auto external = VPS_TRY(parse_external(kept));
  auto images = VPS_TRY(open_dir(options.image_path));
  auto work = VPS_TRY(open_dir(options.work_path));
  std::vector<UniqueFd> namespaces;
  RestorePlaces places;
  places.root = container_.path() + "/criu-root";
  places.dirs = {.images = images.get(), .work = work.get()};
  places.stdio = {0, 1, 2};
  VPS_TRY(make_dirs(places.root, 0700));
  // What a cgroup mount of the container shows is its own group in the v2 tree.
  if (group_) places.cgroup = VPS_TRY(read_link_at(AT_FDCWD, fmt::format("/proc/self/fd/{}", group_->dirfd())));
  for (const auto& entry : external_namespaces(spec_)) {
    namespaces.push_back(VPS_TRY_CTX(entry.type + " namespace", open_path(entry.path, O_RDONLY)));
    places.namespaces.push_back(namespaces.back().get());
  }
  auto request = VPS_TRY(restore_request(options, external, spec_, places));
  auto [ours, theirs] = VPS_TRY(Seqpacket::make_pair());
  auto cloned = VPS_TRY(vps::namespaces::clone_process({.flags = CLONE_NEWNS, .cgroup_fd = group_ ? group_->dirfd() : -1}));
  if (cloned.child)
    become_criu({.program = program, .rootfs = container_.record().rootfs, .root = places.root, .group = group_ ? &*group_ : nullptr, .kept = namespaces,
                 .socket = theirs.fd()});
  theirs.close();
  auto served = serve_criu(ours.fd(), request);
  ours.close();
  (void)cloned.process.wait();
  VPS_TRY(served);
  if (!restored_) return fail(Code::kFailed, "{}", criu_failure(options.work_path + "/restore.log"));
  VPS_TRY(failpoint::hit("restore.restored"));
  auto record = container_.record();
  record.complete = true;
  VPS_TRY(container_.store(std::move(record)));
  return announce();
}

// Leaves restored_ empty when criu says no.
Result<> Creation::serve_criu(int socket, const std::string& request) {
  VPS_TRY(send_to_criu(socket, request));
  while (auto packet = VPS_TRY(receive_from_criu(socket))) {
    const auto& message = packet->message;
    if (message.kind == CriuMessage::Kind::kAnswer) {
      if (!message.success) restored_ = {};
      return {};
    }
    auto done = on_criu_notification(message, std::move(packet->fd));
    auto replied = send_to_criu(socket, notify_reply(done.has_value()));
    VPS_TRY(done);
    VPS_TRY(replied);
  }
  restored_ = {};
  return {};
}

Result<> Creation::on_criu_notification(const CriuMessage& message, UniqueFd fd) {
  if (message.script == "orphan-pts-master" && fd) {
    // Others are those of exec, whose terminals ended with it.
    if (spec_.process->terminal && !std::exchange(has_terminal_, true)) return take_terminal(std::move(fd));
  } else if (message.script == "setup-namespaces") {
    // The process is there and does not run yet, as between create and start. Recorded before anything else can fail.
    restored_ = VPS_TRY(PidFd::open(message.pid));
    auto record = container_.record();
    record.pid = restored_.pid();
    record.start_time = VPS_TRY(process_start_time(record.pid));
    VPS_TRY(container_.store(std::move(record)));
    if (spec_.hooks) return runtime::run_runtime_hooks(*spec_.hooks, runtime::hook_state(spec_, options_.id, options_.bundle, message.pid, "creating"));
  }
  return {};
}

namespace {

Result<int> run(Context& context, const Arguments& arguments) {
  auto options = VPS_TRY(create_options(arguments));
  VPS_TRY(find_criu());
  options.restore = VPS_TRY(restore_options(arguments));
  const bool detach = arguments.flag("detach");
  options.detached = detach;
  if (!detach && !arguments.flag("no-subreaper") && ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
    return fail_errno(errno, "become a subreaper");
  std::optional<Foreground> foreground;
  if (!detach) foreground.emplace(VPS_TRY(Foreground::begin()));
  auto creation = VPS_TRY(Creation::begin(context, std::move(options)));
  VPS_TRY(run_poststart(creation->container(), creation->spec()));
  if (detach) {
    creation->keep();
    return 0;
  }
  auto status = VPS_TRY(foreground->wait(creation->process(), creation->take_console()));
  if (arguments.flag("keep")) creation->keep();
  return status.shell_code();
}

}  // namespace

constinit const CommandSpec kRestore = {
    .name = "restore",
    .summary = "bring a container back from image files",
    .description =
        "By the program criu, which must be installed. The bundle must be as it was; mounts that it takes from elsewhere now are taken from "
        "there. The limits are those of its config.json. Of the hooks prestart, createRuntime, poststart and poststop run. A terminal is given to the console socket, or shown on ours.",
    .options = kOptions,
    .positionals = {&kOneContainer, 1},
    .exits = "In the foreground that of the container's first process, 128 + n when signal n ended it.",
    .run = run,
};

}  // namespace vps::vpsrun
