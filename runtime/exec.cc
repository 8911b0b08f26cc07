#include "runtime/exec.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/failpoint.h"
#include "base/files.h"
#include "namespaces/clone.h"
#include "namespaces/labels.h"
#include "namespaces/mounts.h"
#include "namespaces/process.h"
#include "runtime/init_steps.h"
#include "runtime/user_lookup.h"

namespace vps::runtime {
namespace {

namespace ns = namespaces;

bool same_namespace(pid_t pid, const char* name) {
  auto other = read_link_at(AT_FDCWD, fmt::format("/proc/{}/ns/{}", pid, name));
  auto own = read_link_at(AT_FDCWD, fmt::format("/proc/self/ns/{}", name));
  return other && own && *other == *own;
}

std::uint64_t joined_flags(const oci::Spec& spec, pid_t target) {
  std::uint64_t flags = 0;
  for (const auto& entry : spec.linux_->namespaces) flags |= ns::namespace_flag(entry.type);
  // setns(2) to the user namespace that one is in already is an error.
  if ((flags & CLONE_NEWUSER) != 0 && same_namespace(target, "user")) flags &= ~std::uint64_t{CLONE_NEWUSER};
  return flags;
}

// No unit of an init can have this name: systemd writes a leading dot differently.
constexpr const char* kExecGroup = ".exec";

// The v2 cgroup for a new process beside `pid`, the container's first one. As long as that one is in the payload's own
// directory, there. Under an init that has made sub-cgroups the directory takes no processes, and the init's own sub-group has
// limits that are meant for the init (systemd: 15 % of the container's processes): a sub-group of our own.
Result<UniqueFd> exec_cgroup(const cgroups::Group& group, pid_t pid) {
  auto gone = [] { return fail(Code::kNotFound, "the container's process is gone"); };
  auto text = read_file(fmt::format("/proc/{}/cgroup", pid));
  if (!text) return gone();
  auto line = text->find("0::/");
  if (line == std::string::npos) return gone();
  auto begin = line + 4;
  std::string path = text->substr(begin, text->find('\n', begin) - begin);
  // Relative to the group's own directory: its last components are the group's path.
  auto at = path.find(group.path());
  if (at == std::string::npos) return gone();
  if (at + group.path().size() == path.size()) return open_at(group.dirfd(), ".", O_RDONLY | O_DIRECTORY);
  if (::mkdirat(group.dirfd(), kExecGroup, 0755) != 0 && errno != EEXIST) return fail_errno(errno, "make cgroup {}/{}", group.path(), kExecGroup);
  return open_at(group.dirfd(), kExecGroup, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

// "cpu,cpuacct" is the place of "cpu" and of "cpuacct"; the v2 tree is "unified" beside v1 hierarchies and has no name else.
bool is_place_of(const std::string& place, const std::string& controller) {
  if (controller.empty()) return true;
  std::string_view rest = place;
  while (true) {
    auto comma = std::min(rest.find(','), rest.size());
    if (rest.substr(0, comma) == controller) return true;
    if (comma == rest.size()) return false;
    rest.remove_prefix(comma + 1);
  }
}

// Moves the caller into the v1 groups of the new process; the v2 group is for clone3.
Result<UniqueFd> enter_cgroups(const cgroups::Group& group, pid_t target, const std::vector<SubCgroup>& wanted) {
  VPS_TRY(group.join_v1());
  UniqueFd unified;
  for (const auto& sub : wanted) {
    bool found = false;
    for (const auto& place : group.places()) {
      if (!is_place_of(place.name, sub.controller)) continue;
      auto dir = open_in_root(place.dirfd, sub.path, O_RDONLY | O_DIRECTORY);
      if (!dir && dir.error().err() == ENOENT) continue;
      if (!dir) return std::unexpected(std::move(dir).error());
      found = true;
      if (place.dirfd == group.dirfd())
        unified = std::move(*dir);
      else
        VPS_TRY_CTX(sub.path, write_kernel_file_at(dir->get(), "tasks", "0"));
    }
    if (!found) return fail_errno(ENOENT, "{}{}{}", sub.controller, sub.controller.empty() ? "" : ":", sub.path);
  }
  if (unified) return unified;
  return exec_cgroup(group, target);
}

void set_default_env(std::vector<std::string>& env, std::string_view key, std::string_view value) {
  std::string prefix = fmt::format("{}=", key);
  if (std::ranges::none_of(env, [&](const std::string& e) { return e.starts_with(prefix); }))
    env.push_back(prefix + std::string(value));
}

Result<> take_user(ExecRequest& request, int root_fd) {
  if (!request.resolve_user) return {};
  auto passwd = read_tenant_file(root_fd, "/etc/passwd");
  auto group = read_tenant_file(root_fd, "/etc/group");
  auto user = VPS_TRY(resolve_user(request.user, passwd, group));
  auto& process = request.process;
  process.user = user.user;
  set_default_env(process.env, "PATH", kDefaultPath);
  set_default_env(process.env, "HOME", user.home);
  if (!user.name.empty()) {
    set_default_env(process.env, "USER", user.name);
    set_default_env(process.env, "LOGNAME", user.name);
  }
  set_default_env(process.env, "SHELL", user.shell);
  if (request.login && process.cwd.empty() && ::access(user.home.c_str(), X_OK) == 0) process.cwd = user.home;
  if (process.cwd.empty()) process.cwd = "/";
  if (process.args.empty()) process.args = {user.shell, "-l"};
  return {};
}

struct Child {
  ExecRequest* request;
  oci::Spec* spec;  // the container's, with the new process in it
  const InitPlan* plan;
  const ns::SeccompProgram* seccomp;
};

Result<> become(const Child& child, const SyncChannel& channel) {
  ExecRequest& r = *child.request;
  // Now that the cgroup's cpuset is ours, and while the host's privileges are.
  if (r.process.exec_cpu_affinity && !r.process.exec_cpu_affinity->final.empty())
    VPS_TRY(ns::apply_cpu_affinity(r.process.exec_cpu_affinity->final));
  if (r.process.oom_score_adj) {
    auto proc = VPS_TRY(ns::open_procfs());
    VPS_TRY(ns::apply_oom_score_adj(proc.get(), *r.process.oom_score_adj));
  }
  if (child.plan->in_user_namespace) VPS_TRY(ns::apply_rlimits(r.process.rlimits));
  std::uint64_t flags = joined_flags(*r.spec, r.target->pid()) & ~std::uint64_t{CLONE_NEWPID};
  if (flags != 0) VPS_TRY(ns::join_namespaces(r.target->fd(), flags));
  if ((flags & CLONE_NEWUSER) != 0) {
    if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) return fail_errno(errno, "become root of the user namespace");
    if (::setgroups(0, nullptr) != 0 && errno != EPERM) return fail_errno(errno, "drop supplementary groups");
  }
  if (!r.keyring.empty()) VPS_TRY(ns::join_session_keyring(r.keyring));
  auto root = VPS_TRY(open_path("/", O_PATH | O_DIRECTORY));
  VPS_TRY(take_user(r, root.get()));
  if (::setsid() < 0) return fail_errno(errno, "setsid");
  if (r.process.terminal) {
    auto pty = VPS_TRY(open_pty(root.get()));
    int master = pty.master.get();
    VPS_TRY(channel.send(SyncMessage::kConsole, {}, std::span(&master, 1)));
    pty.master.reset();
    if (::fchown(pty.slave.get(), r.process.user.uid, static_cast<gid_t>(-1)) != 0 && errno != EINVAL && errno != EPERM)
      return fail_errno(errno, "give the terminal to the user");
    if (::ioctl(pty.slave.get(), TIOCSCTTY, 0) != 0) return fail_errno(errno, "take the controlling terminal");
    if (r.process.console_size) VPS_TRY(set_console_size(pty.slave.get(), *r.process.console_size));
    VPS_TRY(take_stdio(pty.slave.get(), pty.slave.get(), pty.slave.get()));
  } else {
    VPS_TRY(take_stdio(r.stdio[0], r.stdio[1], r.stdio[2]));
  }
  child.spec->process = r.process;  // with the user that has been looked up
  VPS_TRY(apply_process(*child.spec, *child.plan, child.seccomp, &channel));
  if (child.plan->seccomp_point == SeccompPoint::kBeforeExec) VPS_TRY(load_filter(*child.seccomp, &channel));
  VPS_TRY(keep_descriptors(r.preserve_fds));
  return exec_program(r.process);
}

[[noreturn]] void run_child(const Child& child, const SyncChannel& channel) {
  // Our memory and our program file belong to the host: out of reach of the container's /proc before we are in it.
  ::prctl(PR_SET_DUMPABLE, 0);
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  default_signals();
  auto result = become(child, channel);
  channel.send_failure({.step = "exec", .error = std::move(result).error()});
  ::_exit(1);
}

Result<> await_exec(const SyncChannel& channel, const ExecRequest& request, const PidFd& process) {
  while (true) {
    auto packet = VPS_TRY(channel.receive());
    if (!packet) return {};
    if (packet->fds.size() != 1) return fail(Code::kFailed, "unexpected message from the new process");
    switch (static_cast<SyncMessage>(packet->type)) {
      case SyncMessage::kConsole:
        if (request.on_console) VPS_TRY(request.on_console(std::move(packet->fds[0])));
        break;
      case SyncMessage::kSeccompListener:
        VPS_TRY_CTX("seccomp listener", request.on_seccomp_listener(process, std::move(packet->fds[0])));
        break;
      default: return fail(Code::kFailed, "unexpected message from the new process");
    }
  }
}

}  // namespace

Result<PidFd> exec_in_container(ExecRequest request) {
  oci::Spec spec = *request.spec;
  if (!request.process.capabilities) request.process.capabilities = spec.process->capabilities;
  spec.process = request.process;
  auto plan = VPS_TRY(make_init_plan({.spec = &spec, .bundle = "", .host_device_nodes = true}));
  ns::SeccompProgram seccomp;
  if (plan.seccomp_point != SeccompPoint::kNone && request.seccomp != nullptr)
    seccomp = *request.seccomp;
  else if (plan.seccomp_point != SeccompPoint::kNone)
    seccomp = VPS_TRY_CTX("seccomp", ns::compile_seccomp_cached(*spec.linux_->seccomp, request.seccomp_cache));
  if (seccomp.needs_listener && !request.on_seccomp_listener)
    return fail(Code::kUnavailable, "exec with a seccomp profile that notifies");

  UniqueFd cgroup;
  if (request.group != nullptr) cgroup = VPS_TRY_CTX("cgroup", enter_cgroups(*request.group, request.target->pid(), request.cgroups));
  const auto& affinity = request.process.exec_cpu_affinity;
  if (affinity && !affinity->initial.empty()) VPS_TRY(ns::apply_cpu_affinity(affinity->initial));
  auto joined = joined_flags(spec, request.target->pid());
  // Who is not root has rights over the others only from within the user namespace.
  auto first = joined & (::geteuid() == 0 ? std::uint64_t{CLONE_NEWPID} : std::uint64_t{CLONE_NEWPID | CLONE_NEWUSER});
  if ((joined & CLONE_NEWPID) != 0) VPS_TRY(ns::join_namespaces(request.target->fd(), first));
  VPS_TRY(failpoint::hit("exec.joined"));
  auto [ours, theirs] = VPS_TRY(Seqpacket::make_pair());
  SyncChannel channel(std::move(ours));
  auto cloned = VPS_TRY(ns::clone_process({.flags = request.clone_parent ? std::uint64_t{CLONE_PARENT} : 0,
                                           .cgroup_fd = cgroup.get(),
                                           .exit_signal = request.clone_parent ? 0 : SIGCHLD}));
  if (cloned.child) {
    channel.close();
    run_child({.request = &request, .spec = &spec, .plan = &plan, .seccomp = &seccomp}, SyncChannel(std::move(theirs)));
  }
  theirs.close();
  Result<> done = request.on_process ? request.on_process(cloned.process) : Result<>();
  if (done) done = await_exec(channel, request, cloned.process);
  if (!done) {
    (void)cloned.process.signal(SIGKILL);
    if (!request.clone_parent) (void)cloned.process.wait();
    return std::unexpected(std::move(done).error());
  }
  return std::move(cloned.process);
}

}  // namespace vps::runtime
