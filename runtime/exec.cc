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
#include "runtime/init_steps.h"
#include "runtime/user_lookup.h"

namespace vps::runtime {
namespace {

namespace ns = namespaces;

std::uint64_t joined_flags(const oci::Spec& spec) {
  std::uint64_t flags = 0;
  for (const auto& entry : spec.linux_->namespaces) flags |= ns::namespace_flag(entry.type);
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
  const InitPlan* plan;
  const ns::SeccompProgram* seccomp;
};

Result<> become(const Child& child, const SyncChannel& channel) {
  ExecRequest& r = *child.request;
  std::uint64_t flags = joined_flags(*r.spec) & ~std::uint64_t{CLONE_NEWPID};
  if (flags != 0) VPS_TRY(ns::join_namespaces(r.target->fd(), flags));
  if ((flags & CLONE_NEWUSER) != 0) {
    if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) return fail_errno(errno, "become root of the user namespace");
    if (::setgroups(0, nullptr) != 0 && errno != EPERM) return fail_errno(errno, "drop supplementary groups");
  }
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
    VPS_TRY(take_stdio(pty.slave.get(), pty.slave.get(), pty.slave.get()));
  } else {
    VPS_TRY(take_stdio(r.stdio[0], r.stdio[1], r.stdio[2]));
  }
  VPS_TRY(apply_process(r.process, *child.plan, child.seccomp, nullptr));
  if (child.plan->seccomp_point == SeccompPoint::kBeforeExec) VPS_TRY(load_filter(*child.seccomp, nullptr));
  return exec_program(r.process);
}

[[noreturn]] void run_child(const Child& child, const SyncChannel& channel) {
  // Our memory and our program file belong to the host: out of reach of the container's /proc before we are in it.
  ::prctl(PR_SET_DUMPABLE, 0);
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  auto result = become(child, channel);
  channel.send_failure({.step = "exec", .error = std::move(result).error()});
  ::_exit(1);
}

Result<> await_exec(const SyncChannel& channel, const ExecRequest& request) {
  while (true) {
    auto packet = VPS_TRY(channel.receive());
    if (!packet) return {};
    if (packet->type != static_cast<std::uint32_t>(SyncMessage::kConsole) || packet->fds.size() != 1)
      return fail(Code::kFailed, "unexpected message from the new process");
    if (request.on_console) VPS_TRY(request.on_console(std::move(packet->fds[0])));
  }
}

}  // namespace

Result<PidFd> exec_in_container(ExecRequest request) {
  oci::Spec spec = *request.spec;
  if (!request.process.capabilities) request.process.capabilities = spec.process->capabilities;
  spec.process = request.process;
  auto plan = VPS_TRY(make_init_plan({.spec = &spec, .bundle = ""}));
  ns::SeccompProgram seccomp;
  if (plan.seccomp_point != SeccompPoint::kNone)
    seccomp = VPS_TRY_CTX("seccomp", ns::compile_seccomp_cached(*spec.linux_->seccomp, request.seccomp_cache));
  // The listener of a notifying filter belongs to the container's own process alone.
  if (seccomp.needs_listener) return fail(Code::kUnavailable, "exec with a seccomp profile that notifies");

  UniqueFd cgroup;
  if (request.group != nullptr) {
    cgroup = VPS_TRY_CTX("cgroup", exec_cgroup(*request.group, request.target->pid()));
    VPS_TRY_CTX("cgroup", request.group->attach_v1(::getpid()));
  }
  if ((joined_flags(spec) & CLONE_NEWPID) != 0) VPS_TRY(ns::join_namespaces(request.target->fd(), CLONE_NEWPID));
  VPS_TRY(failpoint::hit("exec.joined"));
  auto [ours, theirs] = VPS_TRY(Seqpacket::make_pair());
  SyncChannel channel(std::move(ours));
  auto cloned = VPS_TRY(ns::clone_process({.flags = request.clone_parent ? std::uint64_t{CLONE_PARENT} : 0,
                                           .cgroup_fd = cgroup.get(),
                                           .exit_signal = request.clone_parent ? 0 : SIGCHLD}));
  if (cloned.child) {
    channel.close();
    run_child({.request = &request, .plan = &plan, .seccomp = &seccomp}, SyncChannel(std::move(theirs)));
  }
  theirs.close();
  Result<> done = request.on_process ? request.on_process(cloned.process) : Result<>();
  if (done) done = await_exec(channel, request);
  if (!done) {
    (void)cloned.process.signal(SIGKILL);
    if (!request.clone_parent) (void)cloned.process.wait();
    return std::unexpected(std::move(done).error());
  }
  return std::move(cloned.process);
}

}  // namespace vps::runtime
