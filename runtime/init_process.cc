#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>

#include "base/files.h"
#include "namespaces/labels.h"
#include "namespaces/process.h"
#include "runtime/init_steps.h"

namespace vps::runtime {
namespace {

namespace ns = namespaces;

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const auto& s : strings) result.push_back(const_cast<char*>(s.c_str()));
  result.push_back(nullptr);
  return result;
}

std::string path_of(const oci::Process& process) {
  constexpr std::string_view kKey = "PATH=";
  for (const auto& entry : process.env)
    if (entry.starts_with(kKey)) return entry.substr(kKey.size());
  return std::string(kDefaultPath);
}

Result<> enter_cwd(const std::string& cwd) {
  if (::chdir(cwd.c_str()) != 0) return fail_errno(errno, "chdir to {}", cwd);
  // A descriptor of the host as working directory shows as a path outside of the root (CVE-2024-21626).
  std::array<char, PATH_MAX> where{};
  if (::getcwd(where.data(), where.size()) == nullptr || where[0] != '/')
    return fail(Code::kNotAllowed, "working directory {} is outside of the root", cwd);
  return {};
}

}  // namespace

Result<> load_filter(const ns::SeccompProgram& program, const SyncChannel* channel) {
  auto listener = VPS_TRY(ns::load_seccomp(program));
  if (listener && channel != nullptr) {
    int fd = listener.get();
    VPS_TRY(channel->send(SyncMessage::kSeccompListener, {}, std::span(&fd, 1)));
  }
  return {};
}

Result<Pty> open_pty(int root_fd) {
  Pty pty;
  pty.master = VPS_TRY(open_in_root(root_fd, "/dev/pts/ptmx", O_RDWR | O_NOCTTY));
  int unlock = 0;
  if (::ioctl(pty.master.get(), TIOCSPTLCK, &unlock) != 0) return fail_errno(errno, "unlock the pty");
  // The peer by ioctl, not by name: the name would be looked up in a tree that the tenant may change.
  pty.slave.reset(::ioctl(pty.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.slave) return fail_errno(errno, "open the pty's slave");
  return pty;
}

Result<> take_stdio(int in, int out, int err) {
  const std::array<int, 3> from{in, out, err};
  for (int target = 0; target < 3; ++target) {
    int fd = from[static_cast<std::size_t>(target)];
    if (fd < 0 || fd == target) continue;
    if (::dup2(fd, target) < 0) return fail_errno(errno, "dup2 to {}", target);
  }
  return {};
}

Result<> set_console_size(int tty, const oci::Box& wanted) {
  winsize size{};
  size.ws_row = static_cast<unsigned short>(wanted.height);
  size.ws_col = static_cast<unsigned short>(wanted.width);
  if (::ioctl(tty, TIOCSWINSZ, &size) != 0) return fail_errno(errno, "set the console's size");
  return {};
}

void default_signals() {
  // Not by sigaction(3), which keeps the two signals for itself that the C library uses.
  struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    unsigned long mask;
  } plain{};
  for (int signo = 1; signo < NSIG; ++signo) ::syscall(SYS_rt_sigaction, signo, &plain, nullptr, sizeof plain.mask);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

Result<> keep_descriptors(int count) {
  constexpr int kFirst = 3;
  for (int fd = kFirst; fd < kFirst + count; ++fd)
    if (::fcntl(fd, F_SETFD, 0) != 0) return fail_errno(errno, "keep descriptor {}", fd);
  return {};
}

Result<> apply_process(const oci::Spec& spec, const InitPlan& plan, const ns::SeccompProgram* seccomp,
                       const SyncChannel* channel) {
  const oci::Process& process = *spec.process;
  if (!plan.in_user_namespace) VPS_TRY(ns::apply_rlimits(process.rlimits));
  if (spec.linux_->personality) VPS_TRY(ns::apply_personality(*spec.linux_->personality));
  if (spec.linux_->memory_policy) VPS_TRY(ns::apply_memory_policy(*spec.linux_->memory_policy));
  if (process.scheduler) VPS_TRY(ns::apply_scheduler(*process.scheduler));
  if (process.io_priority) VPS_TRY(ns::apply_io_priority(*process.io_priority));
  VPS_TRY(ns::label_next_exec(process.apparmor_profile, process.selinux_label));
  if (process.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "no_new_privs");
  if (plan.seccomp_point == SeccompPoint::kBeforeCapabilities && seccomp != nullptr) VPS_TRY(load_filter(*seccomp, channel));
  if (plan.has_capabilities) VPS_TRY(ns::drop_bounding(plan.capabilities.bounding));
  VPS_TRY(ns::apply_user(process.user));
  if (plan.has_capabilities) VPS_TRY(ns::apply_capabilities(plan.capabilities));
  return {};
}

namespace {

// As execve(2) will decide by the file's kind and mode.
int executable_error(const std::string& path) {
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return errno;
  if (!S_ISREG(st.st_mode)) return EACCES;
  return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

}  // namespace

Result<> check_program(const oci::Process& process) {
  VPS_TRY(enter_cwd(process.cwd));
  const std::string& program = process.args[0];
  if (program.find('/') != std::string::npos) {
    int err = executable_error(program);
    return err == 0 ? Result<>() : fail_errno(err, "exec {}", program);
  }
  std::string path = path_of(process);
  int err = ENOENT;
  for (std::size_t pos = 0; pos <= path.size();) {
    auto end = std::min(path.find(':', pos), path.size());
    std::string directory = path.substr(pos, end - pos);
    pos = end + 1;
    int found = executable_error((directory.empty() ? "." : directory) + "/" + program);
    if (found == 0) return {};
    if (found == EACCES) err = EACCES;
  }
  if (err == ENOENT) return fail_errno(ENOENT, "exec {}: executable file not found in $PATH", program);
  return fail_errno(err, "exec {}", program);
}

Result<> exec_program(const oci::Process& process) {
  VPS_TRY(enter_cwd(process.cwd));
  auto argv = pointers(process.args);
  auto envp = pointers(process.env);
  const std::string& program = process.args[0];
  if (program.find('/') != std::string::npos) {
    ::execve(program.c_str(), argv.data(), envp.data());
    return fail_errno(errno, "exec {}", program);
  }
  std::string path = path_of(process);
  int err = ENOENT;
  std::size_t pos = 0;
  while (pos <= path.size()) {
    auto end = std::min(path.find(':', pos), path.size());
    std::string directory = path.substr(pos, end - pos);
    pos = end + 1;
    std::string candidate = (directory.empty() ? "." : directory) + "/" + program;
    ::execve(candidate.c_str(), argv.data(), envp.data());
    // As execvp(3): a file that may not be executed is remembered, missing ones are passed over.
    if (errno == EACCES)
      err = EACCES;
    else if (errno != ENOENT && errno != ENOTDIR)
      return fail_errno(errno, "exec {}", candidate);
  }
  if (err == ENOENT) return fail_errno(ENOENT, "exec {}: executable file not found in $PATH", program);
  return fail_errno(err, "exec {}", program);
}

namespace steps {

namespace {

bool is_null(int fd) {
  struct stat st{};
  return ::fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

// The host's null device leads to the host's mount of /dev: the container's own does as well, and can be checkpointed.
Result<> own_null(int root_fd) {
  UniqueFd own;
  for (int fd = 0; fd < 3; ++fd) {
    if (!is_null(fd)) continue;
    if (!own) {
      auto opened = open_in_root(root_fd, "/dev/null", O_RDWR | O_NOCTTY | O_NONBLOCK);
      if (!opened || !is_null(opened->get())) return {};
      own = std::move(*opened);
      (void)::fcntl(own.get(), F_SETFL, 0);
    }
    if (::dup2(own.get(), fd) < 0) return fail_errno(errno, "dup2 to {}", fd);
  }
  return {};
}

}  // namespace

Result<> stdio(InitContext& c) {
  if (!c.process().terminal) {
    const auto& fds = c.in.request->stdio;
    VPS_TRY(take_stdio(fds[0], fds[1], fds[2]));
    return own_null(c.root.get());
  }
  int tty = c.console.get();
  if (::ioctl(tty, TIOCSCTTY, 0) != 0) return fail_errno(errno, "take the console as controlling terminal");
  if (c.process().console_size) VPS_TRY(set_console_size(tty, *c.process().console_size));
  return take_stdio(tty, tty, tty);
}

}  // namespace steps
}  // namespace vps::runtime
