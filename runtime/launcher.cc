#include "runtime/launcher.h"

#include <poll.h>
#include <signal.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/failpoint.h"
#include "base/files.h"
#include "base/wire.h"
#include "namespaces/clone.h"
#include "namespaces/labels.h"
#include "namespaces/mounts.h"
#include "namespaces/process.h"
#include "runtime/hooks.h"
#include "runtime/init.h"
#include "runtime/joins.h"
#include "runtime/net_devices.h"
#include "runtime/resctrl.h"
#include "runtime/rootfs.h"

namespace vps::runtime {
namespace {

namespace ns = namespaces;

// What only some hosts have: asked for and absent is an error before anything is touched.
Result<> check_host(const oci::Spec& spec) {
  if (!spec.process->apparmor_profile.empty() && !ns::apparmor_enabled())
    return fail(Code::kUnavailable, "process.apparmorProfile {}: this host has no AppArmor", spec.process->apparmor_profile);
  bool selinux = !spec.process->selinux_label.empty() || !spec.linux_->mount_label.empty();
  if (selinux && !ns::selinux_enabled())
    return fail(Code::kUnavailable, "{}: this host has no SELinux",
                spec.process->selinux_label.empty() ? "linux.mountLabel" : "process.selinuxLabel");
  if (spec.linux_->intel_rdt && !resctrl_mounted(kResctrlRoot))
    return fail(Code::kUnavailable, "linux.intelRdt: this host has no resctrl file system at {}", kResctrlRoot);
  return {};
}

Result<bool> is_directory(int fd) {
  struct stat st{};
  if (::fstat(fd, &st) != 0) return fail_errno(errno, "stat a mount");
  return S_ISDIR(st.st_mode);
}

int place_fd(const cgroups::Group* group, const std::string& name) {
  if (group != nullptr)
    for (const auto& place : group->places())
      if (place.name == name) return place.dirfd;
  return -1;
}

std::uint64_t oom_kills(const cgroups::Group* group) {
  if (group == nullptr) return 0;
  return group->oom_kills();
}

}  // namespace

Result<Launcher> Launcher::create(LaunchRequest request) {
  bool own_nodes = !request.rootfs.lower.empty();
  std::vector<std::string> places;
  if (request.group != nullptr)
    for (const auto& place : request.group->places()) places.push_back(place.name);
  auto plan = VPS_TRY(make_init_plan(
      {.spec = request.spec, .bundle = request.bundle, .host_device_nodes = !own_nodes, .cgroup_places = std::move(places)}));
  VPS_TRY(check_host(*request.spec));
  for (const auto& name : plan.unknown_capabilities) log::warning("capability {} is unknown to this kernel", name);
  ns::SeccompProgram seccomp;
  if (plan.seccomp_point != SeccompPoint::kNone)
    seccomp = VPS_TRY_CTX("seccomp", ns::compile_seccomp_cached(*request.spec->linux_->seccomp, request.seccomp_cache));
  auto joins = VPS_TRY(open_joins(plan.joins));
  if (!request.rootfs.lower.empty()) VPS_TRY_CTX("rootfs", enter_private_mount_namespace());
  VPS_TRY(failpoint::hit("launch.prepared"));

  auto [ours, theirs] = VPS_TRY(Seqpacket::make_pair());
  Launcher launcher(std::move(request), SyncChannel(std::move(ours)));
  const LaunchRequest& r = launcher.request_;
  launcher.oom_kills_before_ = oom_kills(r.group);
  const bool by_user = ::geteuid() != 0;  // in the new process it is nobody's, until the ids are mapped
  std::vector<UniqueFd> v1_entries;
  if (r.group != nullptr) v1_entries = VPS_TRY_CTX("cgroup", r.group->v1_entries());
  // Nothing that depends on the new process's user namespace: the child has it all from birth.
  std::vector<ReadyMount> mounts;
  auto keep = [&](int index, UniqueFd mount) -> Result<> {
    bool directory = VPS_TRY(is_directory(mount.get()));
    mounts.push_back({.index = index, .directory = directory, .fd = std::move(mount)});
    return {};
  };
  if (!plan.in_user_namespace && r.rootfs.lower.empty()) VPS_TRY_CTX("init", launcher.make_mounts(plan, -1, keep));
  auto cloned = VPS_TRY(clone_joined({.flags = plan.clone_flags | (r.clone_parent ? std::uint64_t{CLONE_PARENT} : 0),
                                      .cgroup_fd = r.group != nullptr ? r.group->dirfd() : -1,
                                      .exit_signal = r.clone_parent ? 0 : SIGCHLD},
                                     joins));
  if (cloned.child) {
    launcher.channel_.close();
    run_init({.request = &launcher.request_, .plan = &plan, .seccomp = &seccomp, .joins = &joins, .by_user = by_user, .v1_entries = &v1_entries,
              .mounts = &mounts},
             SyncChannel(std::move(theirs)));
  }
  theirs.close();
  v1_entries.clear();
  mounts.clear();
  launcher.process_ = std::move(cloned.process);
  auto served = launcher.serve(plan);
  if (!served) {
    Error error = launcher.explain(std::move(served).error());
    (void)launcher.process_.signal(SIGKILL);
    // As a child of our parent it is our parent's to reap.
    if (!r.clone_parent) (void)launcher.process_.wait();
    return std::unexpected(std::move(error));
  }
  return launcher;
}

Result<> Launcher::serve(const InitPlan& plan) {
  if (request_.on_process) VPS_TRY_CTX("record", request_.on_process(process_));
  VPS_TRY(failpoint::hit("launch.cloned"));
  if (asks_for_id_maps(request_, plan)) VPS_TRY_CTX("init", serve_id_maps(plan));
  VPS_TRY(failpoint::hit("launch.id-map"));
  if (plan.in_user_namespace || !request_.rootfs.lower.empty()) VPS_TRY_CTX("init", serve_mounts(plan));
  // While the child puts its mounts in place: nobody waits for the other.
  if (request_.on_network && !network_comes_first(request_)) VPS_TRY(serve_network());
  VPS_TRY(serve_until_ready());
  // In a user namespace of its own the child cannot raise a hard limit, whatever the host would allow (setrlimit(2)).
  if (plan.in_user_namespace) VPS_TRY_CTX("init process-attributes", ns::apply_rlimits(request_.spec->process->rlimits, process_.pid()));
  return {};
}

Result<> Launcher::serve_id_maps(const InitPlan& plan) {
  VPS_TRY(channel_.expect(SyncMessage::kWantIdMap));
  const auto& linux_ = *request_.spec->linux_;
  if (plan.new_user) VPS_TRY_CTX("id-map", ns::write_id_maps(process_.pid(), linux_.uid_mappings, linux_.gid_mappings));
  if (plan.new_time_namespace) VPS_TRY_CTX("time offsets", ns::write_time_offsets(process_.pid(), linux_.time_offsets));
  if (request_.spec->process->oom_score_adj) {
    auto proc = VPS_TRY(open_path(fmt::format("/proc/{}", process_.pid()), O_RDONLY | O_DIRECTORY));
    VPS_TRY_CTX("oom score", write_kernel_file_at(proc.get(), "oom_score_adj",
                                                  std::to_string(*request_.spec->process->oom_score_adj)));
  }
  if (linux_.intel_rdt) VPS_TRY(enter_resctrl(kResctrlRoot, *linux_.intel_rdt, request_.id, process_.pid()));
  if (!linux_.net_devices.empty()) VPS_TRY_CTX("linux.netDevices", serve_net_devices(plan));
  if (network_comes_first(request_)) VPS_TRY(serve_network());
  return channel_.send(SyncMessage::kIdMapDone);
}

Result<> Launcher::serve_network() {
  auto connected = request_.on_network(process_);
  if (connected) return failpoint::hit("launch.network");
  // A child that has failed meanwhile has no namespace any more (one that is just ending is not quite a zombie): what it said is the reason.
  constexpr int kEndMilliseconds = 50;
  pollfd end{process_.fd(), POLLIN, 0};
  if (::poll(&end, 1, kEndMilliseconds) == 1)
    for (bool more = true; more;) more = VPS_TRY_CTX("init", channel_.receive()).has_value();
  return std::unexpected(std::move(connected).error().wrap("network"));
}

// Into the namespace that the new process has, or is about to join.
Result<> Launcher::serve_net_devices(const InitPlan& plan) {
  auto path = fmt::format("/proc/{}/ns/net", process_.pid());
  for (const auto& join : plan.joins)
    if (join.type == "network") path = join.path;
  auto netns = VPS_TRY(open_path(path, O_RDONLY));
  return take_net_devices(*request_.spec, netns.get());
}

// Who is not root may copy mounts only where it is: in the new user namespace, whose mount namespace has copies of all of them. The
// same code runs there, in a process of its own, and speaks on the same channel.
Result<> Launcher::serve_mounts(const InitPlan& plan) {
  VPS_TRY(channel_.expect(SyncMessage::kWantMounts));
  if (::geteuid() == 0 || !plan.new_user) return send_mounts(plan);
  auto [ours, theirs] = VPS_TRY(Seqpacket::make_pair());
  auto helper = VPS_TRY(ns::clone_process({}));
  if (helper.child) {
    ours.close();
    auto sent = ns::join_namespaces(process_.fd(), CLONE_NEWUSER | CLONE_NEWNS);
    if (sent) sent = send_mounts(plan);
    if (!sent) (void)theirs.send(0, encode(Failure{.step = "", .error = std::move(sent).error()}));
    ::_exit(0);
  }
  theirs.close();
  auto failure = ours.receive();
  VPS_TRY(helper.process.wait());
  if (!failure) return std::unexpected(std::move(failure).error());
  if (!*failure) return {};
  return std::unexpected(VPS_TRY(decode_failure((*failure)->body)).error);
}

Result<> Launcher::make_mounts(const InitPlan& plan, int userns, const std::function<Result<>(int, UniqueFd)>& hand_over) {
  auto root = VPS_TRY_CTX("rootfs", make_rootfs(*request_.spec, request_.bundle, request_.rootfs, request_.staging, userns));
  VPS_TRY(failpoint::hit("launch.rootfs"));
  VPS_TRY(hand_over(-1, std::move(root)));
  const bool shared_root = request_.spec->linux_->rootfs_propagation.ends_with("shared");
  for (const auto& mount : plan.mounts) {
    if (mount.fd_index < 0) continue;
    int source = mount.cgroup ? place_fd(request_.group, *mount.cgroup) : -1;
    auto fd = VPS_TRY_CTX(fmt::format("bind {} on {}", mount.source, mount.destination),
                          open_bind_source(mount, source, userns, shared_root));
    VPS_TRY(hand_over(mount.fd_index, std::move(fd)));
  }
  for (const auto& device : plan.devices) {
    if (device.fd_index < 0) continue;
    const auto& linux_ = *request_.spec->linux_;
    auto uid = ns::map_to_host(linux_.uid_mappings, device.device.uid.value_or(0));
    auto gid = ns::map_to_host(linux_.gid_mappings, device.device.gid.value_or(0));
    if (uid < 0 || gid < 0) return fail(Code::kUsage, "device {}: its owner is not mapped", device.path);
    auto fd = VPS_TRY(make_device_node(device.device, static_cast<uid_t>(uid), static_cast<gid_t>(gid), request_.staging));
    VPS_TRY(hand_over(device.fd_index, std::move(fd)));
  }
  return {};
}

Result<> Launcher::send_mounts(const InitPlan& plan) {
  UniqueFd userns;
  if (plan.in_user_namespace) userns = VPS_TRY(open_path(fmt::format("/proc/{}/ns/user", process_.pid()), O_RDONLY));
  auto send = [&](int index, UniqueFd mount) -> Result<> {
    WireWriter w;
    w.i32(index);
    w.boolean(VPS_TRY(is_directory(mount.get())));
    return channel_.send(SyncMessage::kMountFd, w.data(), std::array{mount.get()});
  };
  VPS_TRY(make_mounts(plan, userns.get(), send));
  return channel_.send(SyncMessage::kMountsDone);
}

Result<> Launcher::run_hooks_before_pivot() {
  const auto& hooks = request_.spec->hooks;
  if (!hooks) return {};
  return run_runtime_hooks(*hooks, hook_state(*request_.spec, request_.id, request_.bundle, process_.pid(), "creating"));
}

Result<> Launcher::serve_until_ready() {
  while (true) {
    auto packet = VPS_TRY_CTX("init", channel_.receive());
    if (!packet) return fail_errno(EPIPE, "init");
    auto type = static_cast<SyncMessage>(packet->type);
    switch (type) {
      case SyncMessage::kConsole:
        if (packet->fds.size() != 1 || !request_.on_console) return fail(Code::kFailed, "unexpected console");
        VPS_TRY_CTX("console", request_.on_console(std::move(packet->fds[0])));
        break;
      case SyncMessage::kRootfsReady:
        VPS_TRY(run_hooks_before_pivot());
        VPS_TRY(channel_.send(SyncMessage::kHooksDone));
        break;
      case SyncMessage::kSeccompListener:
        if (packet->fds.size() != 1) return fail(Code::kFailed, "unexpected seccomp listener");
        seccomp_listener_ = std::move(packet->fds[0]);
        break;
      case SyncMessage::kReady: return {};
      default: return fail(Code::kFailed, "unexpected message {}", sync_message_name(type));
    }
  }
}

namespace {

// kExec, and the confirmation by end of file.
Result<> let_go(const SyncChannel& channel) {
  VPS_TRY(channel.send(SyncMessage::kExec));
  VPS_TRY_CTX("init", channel.expect(SyncMessage::kExecuting));
  auto packet = VPS_TRY_CTX("init", channel.receive());
  if (packet) return fail(Code::kFailed, "unexpected message {}", sync_message_name(static_cast<SyncMessage>(packet->type)));
  return {};
}

}  // namespace

Result<> Launcher::start() {
  VPS_TRY(failpoint::hit("launch.start"));
  auto done = let_go(channel_);
  if (!done) return std::unexpected(explain(std::move(done).error()));
  channel_.close();
  return {};
}

Result<> start_container(Seqpacket connection) {
  VPS_TRY(failpoint::hit("launch.start"));
  auto done = let_go(SyncChannel(std::move(connection)));
  if (!done && (done.error().err() == EPIPE || done.error().err() == ECONNRESET))
    return fail(Code::kFailed, "init: the init process ended during its start");
  return done;
}

Error Launcher::explain(Error error) {
  // A child that dies of its own memory limit can say nothing; its cgroup can.
  if (error.err() != EPIPE && error.err() != ECONNRESET) return error;
  if (oom_kills(request_.group) > oom_kills_before_)
    return Error(Code::kUnavailable, "init was killed by the container's memory limit during its start");
  return Error(Code::kFailed, error.message() + ": the init process ended during its start");
}

}  // namespace vps::runtime
