#include "runtime/supervisor/children.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

#include "base/failpoint.h"
#include "base/files.h"
#include "base/wire.h"
#include "cgroups/shares.h"
#include "namespaces/clone.h"
#include "netns/attach.h"
#include "netns/lent_namespace.h"
#include "runtime/exec.h"
#include "runtime/exec_spec.h"
#include "runtime/hooks.h"
#include "runtime/launcher.h"
#include "specs/oci/json.h"

namespace vps::supervisor {
namespace {

namespace ns = namespaces;
using runtime::Failure;

Result<> tell(const Seqpacket& channel, ChildMessage message, std::string_view body = {}, std::span<const int> fds = {}) {
  return channel.send(static_cast<std::uint32_t>(message), body, fds);
}

Result<> tell_pid(const Seqpacket& channel, const PidFd& process) {
  WireWriter w;
  w.i32(process.pid());
  int fd = process.fd();
  return tell(channel, ChildMessage::kPid, w.data(), std::span(&fd, 1));
}

// The supervisor ignores signals; ignored ones would stay ignored in the VPS through execve.
void reset_signals() {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signo = 1; signo < NSIG; ++signo) ::signal(signo, SIG_DFL);
}

template <class Function>
Result<Worker> fork_worker(Function work) {
  auto [ours, theirs] = VPS_TRY(Seqpacket::make_pair());
  auto cloned = VPS_TRY(ns::clone_process({}));
  if (cloned.child) {
    ours.close();
    reset_signals();
    // A worker without its supervisor has nobody to hand the result to.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::_exit(work(theirs));
  }
  return Worker{std::move(cloned.process), std::move(ours)};
}

std::string bundle_of(const Plan& plan) { return plan.config.substr(0, plan.config.rfind('/')); }

Result<oci::Spec> read_spec(const Plan& plan) {
  auto text = VPS_TRY(read_file(plan.config));
  return VPS_TRY_CTX(plan.config, oci::parse_spec(text));
}

Result<cgroups::Group> make_group(const Plan& plan, const cgroups::Host& host, const oci::Spec& spec, const Seqpacket& channel) {
  // Sub-cgroups that an earlier boot left behind would make the next init fail.
  VPS_TRY_CTX("remove stale cgroup", cgroups::Group::remove(host, plan.cgroup_payload));
  auto group = VPS_TRY(cgroups::Group::create(host, plan.cgroup_payload));
  VPS_TRY(failpoint::hit("launch.cgroup"));
  if (spec.linux_->resources) {
    auto limits = VPS_TRY_CTX("limits", group.apply(*spec.linux_->resources));
    std::vector<std::string> lines;
    for (const auto& limit : limits)
      lines.push_back(limit_json({limit.limit, limit.value, std::string(cgroups::kind_name(limit.kind)), limit.file, limit.reason}));
    WireWriter w;
    w.strings(lines);
    VPS_TRY(tell(channel, ChildMessage::kLimits, w.data()));
    VPS_TRY_CTX("limits", cgroups::apply_shares(host, plan.cgroup_payload.substr(0, plan.cgroup_payload.rfind('/')), *spec.linux_->resources));
    VPS_TRY_CTX("device filter", cgroups::apply_device_filter(group.dirfd(), spec.linux_->resources->devices));
  }
  auto uid = ns::map_to_host(spec.linux_->uid_mappings, 0);
  auto gid = ns::map_to_host(spec.linux_->gid_mappings, 0);
  if (!spec.linux_->uid_mappings.empty() && uid >= 0 && gid >= 0)
    VPS_TRY_CTX("delegate cgroup", group.delegate(static_cast<uid_t>(uid), static_cast<gid_t>(gid)));
  VPS_TRY(failpoint::hit("launch.limits"));
  return group;
}

Result<> connect_network(const Plan& plan, const PidFd& process, const UniqueFd& mount_namespace) {
  auto netns = VPS_TRY(open_path(fmt::format("/proc/{}/ns/net", process.pid()), O_RDONLY));
  const auto host = netns_host(plan);
  if (netns::borrows_devices(plan.network)) VPS_TRY(netns::hold_namespace(host, plan.id, netns.get(), mount_namespace.get()));
  VPS_TRY(netns::attach_ports(host, plan.network, netns.get()));
  return {};
}

Result<> launch(const Plan& plan, const cgroups::Host& host, const Seqpacket& channel) {
  VPS_TRY(failpoint::configure(::getenv("VPS_FAILPOINTS") != nullptr ? ::getenv("VPS_FAILPOINTS") : ""));
  auto spec = VPS_TRY(read_spec(plan));
  if (!spec.linux_ || !spec.process) return fail(Code::kUsage, "config.json has no linux or no process section");
  auto group = VPS_TRY(make_group(plan, host, spec, channel));
  std::string staging = plan.host_dir + ".layers";
  VPS_TRY(make_dirs(staging, 0700));
  runtime::LaunchRequest request;
  request.id = plan.id;
  request.spec = &spec;
  request.bundle = bundle_of(plan);
  request.rootfs = plan.rootfs;
  request.staging = staging;
  request.group = &group;
  request.clone_parent = true;
  request.seccomp_cache = plan.seccomp_cache;
  for (const auto& file : plan.etc_files) {
    auto equals = file.find('=');
    if (equals == std::string::npos) return fail(Code::kUsage, "plan.json: etcFiles: '{}' is not PATH=CONTENT", file);
    request.etc_files.push_back({file.substr(0, equals), file.substr(equals + 1)});
  }
  request.network = &plan.network;
  request.guest = &plan.guest;
  request.on_process = [&](const PidFd& process) { return tell_pid(channel, process); };
  const auto mount_namespace = VPS_TRY(open_path("/proc/self/ns/mnt", O_RDONLY));  // the launcher goes into one of its own
  if (!plan.network.ports.empty()) request.on_network = [&](const PidFd& process) { return connect_network(plan, process, mount_namespace); };
  request.on_console = [&](UniqueFd master) {
    int fd = master.get();
    return tell(channel, ChildMessage::kConsole, {}, std::span(&fd, 1));
  };
  auto launcher = VPS_TRY(runtime::Launcher::create(std::move(request)));
  VPS_TRY(launcher.start());
  if (spec.hooks) {
    auto state = runtime::hook_state(spec, plan.id, bundle_of(plan), launcher.process().pid(), "running");
    VPS_TRY_CTX("poststart hook", runtime::run_hooks(spec.hooks->poststart, state));
  }
  VPS_TRY(failpoint::hit("launch.started"));
  return tell(channel, ChildMessage::kStarted);
}

Result<> run_exec(const Plan& plan, const cgroups::Group& group, const PidFd& init, const ExecWork& work, const Seqpacket& channel) {
  auto bundle = VPS_TRY(open_dir(bundle_of(plan)));
  auto [spec, seccomp] = VPS_TRY(runtime::read_exec_spec(bundle.get(), plan.config.substr(plan.config.rfind('/') + 1), plan.seccomp_cache));
  runtime::ExecRequest request;
  request.spec = &spec;
  request.seccomp = seccomp ? &*seccomp : nullptr;
  request.target = &init;
  request.group = &group;
  request.seccomp_cache = plan.seccomp_cache;
  request.clone_parent = true;
  request.resolve_user = true;
  request.user = work.request.user;
  request.login = work.request.login;
  request.process = *spec.process;
  request.process.args = work.request.argv;
  request.process.env = work.request.env;
  request.process.cwd = work.request.cwd;
  request.process.terminal = work.request.tty;
  request.process.console_size.reset();
  UniqueFd null;
  request.stdio = work.stdio;
  for (int& fd : request.stdio) {
    if (fd >= 0) continue;
    if (!null) null = VPS_TRY(open_path("/dev/null", O_RDWR));
    fd = null.get();
  }
  Seqpacket session{UniqueFd(work.session >= 0 ? ::fcntl(work.session, F_DUPFD_CLOEXEC, 0) : -1)};
  request.on_console = [&](UniqueFd master) -> Result<> {
    int fd = master.get();
    if (!session) return {};
    return session.send(static_cast<std::uint32_t>(Message::kAttached), {}, std::span(&fd, 1));
  };
  request.on_process = [&](const PidFd& process) { return tell_pid(channel, process); };
  VPS_TRY(runtime::exec_in_container(std::move(request)));
  if (session && !work.request.tty) (void)session.send(static_cast<std::uint32_t>(Message::kAttached), {});
  return tell(channel, ChildMessage::kStarted);
}

}  // namespace

netns::Host netns_host(const Plan& plan) {
  netns::Host host;
  host.installation = plan.link_owner;
  host.run_dir = plan.network_records;
  return host;
}

int exec_exit_code(const Error& error) {
  if (error.err() == ENOENT && error.message().find("exec") != std::string::npos) return 127;
  if (error.err() == EACCES || error.err() == ENOEXEC || error.err() == EISDIR) return 126;
  return 125;
}

Result<Worker> fork_launcher(const Plan& plan, const cgroups::Host& host) {
  return fork_worker([&](const Seqpacket& channel) {
    auto done = launch(plan, host, channel);
    if (done) return 0;
    (void)tell(channel, ChildMessage::kFailed, runtime::encode(Failure{.step = "", .error = std::move(done).error()}));
    return 1;
  });
}

Result<Worker> fork_exec(const Plan& plan, const cgroups::Group& group, const PidFd& init, const ExecWork& work) {
  return fork_worker([&](const Seqpacket& channel) {
    auto done = run_exec(plan, group, init, work, channel);
    if (done) return 0;
    if (work.session >= 0) {
      Seqpacket session{UniqueFd(::fcntl(work.session, F_DUPFD_CLOEXEC, 0))};
      SessionError error{.code = done.error().code(), .exit_code = exec_exit_code(done.error()), .message = done.error().to_string()};
      (void)session.send(static_cast<std::uint32_t>(Message::kSessionError), encode(error));
    }
    return 1;
  });
}

Result<std::optional<Worker>> fork_poststop(const Plan& plan) {
  auto spec = read_spec(plan);
  if (!spec || !spec->hooks || spec->hooks->poststop.empty()) return std::optional<Worker>();
  auto worker = VPS_TRY(fork_worker([&](const Seqpacket& channel) {
    auto state = runtime::hook_state(*spec, plan.id, bundle_of(plan), 0, "stopped");
    auto done = runtime::run_hooks(spec->hooks->poststop, state);
    if (done) return 0;
    (void)tell(channel, ChildMessage::kFailed, runtime::encode(Failure{.step = "poststop hook", .error = std::move(done).error()}));
    return 1;
  }));
  return std::optional(std::move(worker));
}

}  // namespace vps::supervisor
