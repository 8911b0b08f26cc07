#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <optional>

#include "base/failpoint.h"
#include "base/files.h"
#include "base/units.h"
#include "cli/oci/commands.h"
#include "cli/oci/creation.h"
#include "cli/oci/criu.h"
#include "cli/oci/session.h"
#include "namespaces/clone.h"
#include "namespaces/mounts.h"

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
  if (arguments.flag("tcp-close")) options.flags.emplace_back("--tcp-close");
  options.lsm_profile = arguments.value_or("lsm-profile", "");
  options.lsm_mount_context = arguments.value_or("lsm-mount-context", "");
  return options;
}

// In the process that becomes criu: the root file system must be a mount, which nobody else is to see.
[[noreturn]] void become_criu(const std::string& program, std::vector<std::string> args, const std::string& rootfs, const std::string& root,
                              const cgroups::Group* group, const std::vector<UniqueFd>& namespaces) {
  auto prepared = [&]() -> Result<> {
    if (group != nullptr) VPS_TRY(group->join_v1());
    VPS_TRY(vps::namespaces::set_root_propagation(MS_SLAVE | MS_REC));
    auto mount = VPS_TRY(vps::namespaces::clone_mount(AT_FDCWD, rootfs, true));
    VPS_TRY(vps::namespaces::set_mount_attr(mount.get(), 0, 0, true, MS_PRIVATE));
    auto target = VPS_TRY(open_path(root, O_PATH | O_DIRECTORY));
    VPS_TRY(vps::namespaces::attach_mount(mount.get(), target.get()));
    for (const auto& fd : namespaces) (void)::fcntl(fd.get(), F_SETFD, 0);
    args.insert(args.begin(), program);
    std::vector<char*> argv;
    for (auto& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    ::execv(program.c_str(), argv.data());
    return fail_errno(errno, "execute {}", program);
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
  std::vector<UniqueFd> namespaces;
  RestorePlaces places;
  places.root = container_.path() + "/criu-root";
  places.pid_file = container_.path() + "/criu.pid";
  places.stdio = {0, 1, 2};
  VPS_TRY(make_dirs(places.root, 0700));
  // What a cgroup mount of the container shows is its own group in the v2 tree.
  if (group_) places.cgroup = VPS_TRY(read_link_at(AT_FDCWD, fmt::format("/proc/self/fd/{}", group_->dirfd())));
  for (const auto& entry : external_namespaces(spec_)) {
    namespaces.push_back(VPS_TRY_CTX(entry.type + " namespace", open_path(entry.path, O_RDONLY)));
    places.namespaces.push_back(namespaces.back().get());
  }
  auto args = restore_arguments(options, external, spec_, places);
  auto cloned = VPS_TRY(vps::namespaces::clone_process({.flags = CLONE_NEWNS, .cgroup_fd = group_ ? group_->dirfd() : -1}));
  if (cloned.child) become_criu(program, std::move(args), container_.record().rootfs, places.root, group_ ? &*group_ : nullptr, namespaces);
  auto status = VPS_TRY(cloned.process.wait());
  if (status != ExitStatus{}) return fail(Code::kFailed, "{}", criu_failure(options.work_path + "/restore.log"));
  auto text = VPS_TRY_CTX("criu's pid file", read_file(places.pid_file));
  while (text.ends_with('\n')) text.pop_back();
  auto pid = VPS_TRY_CTX("criu's pid file", parse_u64(text));
  restored_ = VPS_TRY(PidFd::open(static_cast<pid_t>(pid)));
  VPS_TRY(failpoint::hit("restore.restored"));
  auto record = container_.record();
  record.pid = restored_.pid();
  record.start_time = VPS_TRY(process_start_time(record.pid));
  record.complete = true;
  VPS_TRY(container_.store(std::move(record)));
  return announce();
}

namespace {

Result<int> run(Context& context, const Arguments& arguments) {
  auto options = VPS_TRY(create_options(arguments));
  VPS_TRY(find_criu());
  options.restore = VPS_TRY(restore_options(arguments));
  const bool detach = arguments.flag("detach");
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
  auto status = VPS_TRY(foreground->wait(creation->process(), {}));
  if (arguments.flag("keep")) creation->keep();
  return status.shell_code();
}

}  // namespace

constinit const CommandSpec kRestore = {
    .name = "restore",
    .summary = "bring a container back from image files",
    .description =
        "By the program criu, which must be installed. The bundle must be as it was; mounts that it takes from elsewhere now are taken from "
        "there. The limits are those of its config.json. Of the hooks only poststart and poststop run.",
    .options = kOptions,
    .positionals = {&kOneContainer, 1},
    .exits = "In the foreground that of the container's first process, 128 + n when signal n ended it.",
    .run = run,
};

}  // namespace vps::vpsrun
