#include "runtime/init.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/failpoint.h"
#include "base/files.h"
#include "base/wire.h"
#include "namespaces/clone.h"
#include "namespaces/labels.h"
#include "namespaces/mounts.h"
#include "namespaces/process.h"
#include "runtime/hooks.h"
#include "runtime/init_steps.h"

namespace vps::runtime {
namespace {

namespace ns = namespaces;

Result<> cgroup(InitContext& c) { return cgroups::enter_v1(*c.in.v1_entries); }

Result<> id_map(InitContext& c) {
  if (c.in.plan->new_time_namespace && ::unshare(static_cast<int>(ns::namespace_flag("time"))) != 0)
    return fail_errno(errno, "unshare the time namespace");
  if (!asks_for_id_maps(*c.in.request, *c.in.plan)) return {};
  VPS_TRY(c.channel.send(SyncMessage::kWantIdMap));
  VPS_TRY(c.channel.expect(SyncMessage::kIdMapDone));
  return {};
}

Result<> become_root(InitContext&) {
  if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) return fail_errno(errno, "become root of the user namespace");
  if (::setgroups(0, nullptr) != 0 && errno != EPERM) return fail_errno(errno, "drop supplementary groups");
  return {};
}

Result<> keyring(InitContext& c) {
  const auto& name = c.in.request->keyring;
  if (name.empty()) return {};
  return ns::join_session_keyring(name);
}

Result<> cgroup_namespace(InitContext&) {
  // Only now is this process in all of its cgroups, which become the roots of the namespace.
  if (::unshare(CLONE_NEWCGROUP) != 0) return fail_errno(errno, "unshare the cgroup namespace");
  return {};
}

Result<> time_namespace(InitContext&) {
  auto fd = VPS_TRY(open_path("/proc/self/ns/time_for_children", O_RDONLY));
  return ns::join_namespace_fd(fd.get(), ns::namespace_flag("time"));
}

Result<> join_namespaces(InitContext& c) {
  for (const auto& join : *c.in.joins)
    if (!join.done) VPS_TRY_CTX(join.path, ns::join_namespace_fd(join.fd.get(), join.flag));
  return {};
}

Result<> new_session(InitContext&) {
  if (::setsid() < 0 && errno != EPERM) return fail_errno(errno, "setsid");
  return {};
}

Result<> loopback(InitContext&) { return ns::bring_loopback_up(); }

Result<> hostname(InitContext& c) {
  const auto& name = c.spec().hostname;
  if (!name.empty() && ::sethostname(name.data(), name.size()) != 0) return fail_errno(errno, "set hostname {}", name);
  const auto& domain = c.spec().domainname;
  if (!domain.empty() && ::setdomainname(domain.data(), domain.size()) != 0)
    return fail_errno(errno, "set domain name {}", domain);
  return {};
}

// The launcher's memory is mapped here until execve: nobody in the container may look at it through /proc. But a launcher that is
// not root must get at our files there itself, for the maps and the mounts; in a namespace of our own nobody else is there yet.
bool hides_late(const InitInput& input) { return input.by_user && input.plan->new_user; }

Result<> receive_mounts(InitContext& c) {
  for (auto& mount : *c.in.mounts) {
    (mount.index < 0 ? c.root : c.mount_fds[mount.index]) = std::move(mount.fd);
    c.mount_is_dir[mount.index] = mount.directory;
  }
  if (c.root) return {};
  VPS_TRY(c.channel.send(SyncMessage::kWantMounts));
  while (true) {
    auto packet = VPS_TRY(c.channel.receive());
    if (!packet) return fail_errno(EPIPE, "waiting for mounts");
    if (packet->type == static_cast<std::uint32_t>(SyncMessage::kMountsDone)) break;
    WireReader r(packet->body);
    int index = r.i32();
    bool directory = r.boolean();
    VPS_TRY(r.finish("mount-fd"));
    if (packet->fds.size() != 1) return fail(Code::kFailed, "mount message without a descriptor");
    if (index < 0)
      c.root = std::move(packet->fds[0]);
    else
      c.mount_fds[index] = std::move(packet->fds[0]);
    c.mount_is_dir[index] = directory;
  }
  if (hides_late(c.in)) ::prctl(PR_SET_DUMPABLE, 0);
  return {};
}

Result<> rootfs_ready(InitContext& c) {
  if (!asks_for_hooks(c.spec())) return {};
  VPS_TRY(c.channel.send(SyncMessage::kRootfsReady));
  VPS_TRY(c.channel.expect(SyncMessage::kHooksDone));
  return {};
}

std::string own_state(const InitContext& c, std::string_view status) {
  return hook_state(c.spec(), c.in.request->id, c.in.request->bundle, ::getpid(), status);
}

Result<> create_container_hooks(InitContext& c) {
  if (!c.spec().hooks) return {};
  return run_hooks(c.spec().hooks->create_container, own_state(c, "creating"));
}

Result<> process_attributes(InitContext& c) {
  return apply_process(c.spec(), *c.in.plan, c.in.seccomp, &c.channel);
}

Result<> find_program(InitContext& c) { return check_program(c.process()); }

Result<> ready(InitContext& c) {
  VPS_TRY(c.channel.send(SyncMessage::kReady));
  int listener = c.in.request->start_listener;
  while (listener >= 0) {
    // From here on whoever connects is our parent in the protocol; one that goes away without a word does not count.
    c.channel = SyncChannel(VPS_TRY(Seqpacket::accept(listener)));
    auto packet = c.channel.receive();
    if (packet && *packet && (*packet)->type == static_cast<std::uint32_t>(SyncMessage::kExec)) return {};
  }
  VPS_TRY(c.channel.expect(SyncMessage::kExec));
  return {};
}

Result<> start_container_hooks(InitContext& c) {
  if (!c.spec().hooks) return {};
  return run_hooks(c.spec().hooks->start_container, own_state(c, "created"));
}

Result<> seccomp(InitContext& c) {
  if (c.in.plan->seccomp_point != SeccompPoint::kBeforeExec) return {};
  return load_filter(*c.in.seccomp, &c.channel);
}

Result<> exec(InitContext& c) {
  VPS_TRY(keep_descriptors(c.in.request->preserve_fds));
  VPS_TRY(c.channel.send(SyncMessage::kExecuting));
  return exec_program(c.process());
}

bool needed(Need need, const InitContext& c) {
  switch (need) {
    case Need::kAlways: return true;
    case Need::kUserNamespace: return c.in.plan->in_user_namespace;
    case Need::kNewCgroup: return c.in.plan->new_cgroup_namespace;
    case Need::kNewTime: return c.in.plan->new_time_namespace;
    case Need::kNewNetwork: return c.in.plan->new_network;
    case Need::kTerminal: return c.process().terminal;
  }
  return true;
}

}  // namespace

bool asks_for_id_maps(const LaunchRequest& request, const InitPlan& plan) {
  // Who waits for a start by somebody else outlives its launcher, and without a cgroup nothing else leads to it: neither goes
  // further before its pid is recorded.
  return request.start_listener >= 0 || request.group == nullptr || plan.new_user || plan.new_time_namespace || network_comes_first(request) || request.spec->process->oom_score_adj.has_value() ||
         !request.spec->linux_->net_devices.empty() || request.spec->linux_->intel_rdt.has_value();
}

bool network_comes_first(const LaunchRequest& request) {
  return request.on_network != nullptr &&
         std::ranges::any_of(request.spec->linux_->sysctl, [](const auto& entry) { return entry.first.starts_with("net."); });
}

bool asks_for_hooks(const oci::Spec& spec) {
  return spec.hooks && !(spec.hooks->prestart.empty() && spec.hooks->create_runtime.empty());
}

const std::vector<InitStep>& init_steps() {
  static const std::vector<InitStep> steps = {
      {"cgroup", Need::kAlways, cgroup},
      {"id-map", Need::kAlways, id_map},
      {"become-root", Need::kUserNamespace, become_root},
      {"keyring", Need::kAlways, keyring},
      {"cgroup-namespace", Need::kNewCgroup, cgroup_namespace},
      {"time-namespace", Need::kNewTime, time_namespace},
      {"join-namespaces", Need::kAlways, join_namespaces},
      {"session", Need::kAlways, new_session},
      {"loopback", Need::kNewNetwork, loopback},
      {"hostname", Need::kAlways, hostname},
      {"receive-mounts", Need::kAlways, receive_mounts},
      {"attach-root", Need::kAlways, steps::attach_root},
      {"mounts", Need::kAlways, steps::mounts},
      {"devices", Need::kAlways, steps::devices},
      {"console", Need::kTerminal, steps::console},
      {"etc-files", Need::kAlways, steps::etc_files},
      {"rootfs-ready", Need::kAlways, rootfs_ready},
      {"create-container-hooks", Need::kAlways, create_container_hooks},
      {"pivot-root", Need::kAlways, steps::pivot_root},
      {"root-propagation", Need::kAlways, steps::root_propagation},
      {"sysctl", Need::kAlways, steps::sysctl},
      {"root-readonly", Need::kAlways, steps::root_readonly},
      {"masked-paths", Need::kAlways, steps::masked_paths},
      {"readonly-paths", Need::kAlways, steps::readonly_paths},
      {"stdio", Need::kAlways, steps::stdio},
      {"process-attributes", Need::kAlways, process_attributes},
      {"find-program", Need::kAlways, find_program},
      {"ready", Need::kAlways, ready},
      {"start-container-hooks", Need::kAlways, start_container_hooks},
      {"seccomp", Need::kAlways, seccomp},
      {"exec", Need::kAlways, exec},
  };
  return steps;
}

void run_init(InitInput input, SyncChannel channel) {
  InitContext context{.in = input, .channel = std::move(channel), .root = {}, .mount_fds = {}, .mount_is_dir = {}, .console = {}};
  // Whatever the launcher's caller left open stays out of the container; what we open ourselves is close-on-exec anyway.
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  default_signals();
  if (!hides_late(input)) ::prctl(PR_SET_DUMPABLE, 0);
  if (log::enabled(log::Level::kDebug))
    log::set_sink([&](log::Level level, std::string_view text) { context.channel.send_log(level, text); }, log::Level::kDebug);
  for (const auto& step : init_steps()) {
    if (!needed(step.need, context)) continue;
    log::debug("init step {}", step.name);
    auto done = failpoint::hit(fmt::format("init.{}", step.name));
    if (done) done = step.run(context);
    if (done) continue;
    context.channel.send_failure({.step = std::string(step.name), .error = std::move(done).error()});
    ::_exit(1);
  }
  ::_exit(1);
}

}  // namespace vps::runtime
