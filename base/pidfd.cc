#include "base/pidfd.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

extern "C" {
#include <sys/pidfd.h>  // glibc 2.36 declares these without C linkage of its own
}

#include <cerrno>
#include <charconv>

#include "base/files.h"

extern "C" {  // the header of glibc 2.36 declares these without C linkage of its own
#include <sys/pidfd.h>
}

namespace vps {

Result<PidFd> PidFd::open(pid_t pid) {
  int fd = ::pidfd_open(pid, 0);
  if (fd < 0) {
    if (errno == ESRCH) return fail(Code::kNotFound, "process {} is gone", pid);
    return fail_errno(errno, "pidfd_open {}", pid);
  }
  return PidFd(UniqueFd(fd), pid);
}

Result<> PidFd::signal(int signo) const {
  if (::pidfd_send_signal(fd_.get(), signo, nullptr, 0) != 0 && errno != ESRCH)
    return fail_errno(errno, "send signal {} to process {}", signo, pid_);
  return {};
}

bool PidFd::alive() const {
  if (!fd_) return false;
  pollfd item{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&item, 1, 0) == 0;
}

namespace {
ExitStatus status_of(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return {.code = info.si_status, .signal = 0};
  return {.code = 0, .signal = info.si_status};
}
}  // namespace

Result<std::optional<ExitStatus>> PidFd::try_wait() const {
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(fd_.get()), &info, WEXITED | WNOHANG | __WALL) != 0)
    return fail_errno(errno, "wait for process {}", pid_);
  if (info.si_pid == 0) return std::optional<ExitStatus>();
  return std::optional(status_of(info));
}

Result<ExitStatus> PidFd::wait() const {
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(fd_.get()), &info, WEXITED | __WALL) != 0)
    if (errno != EINTR) return fail_errno(errno, "wait for process {}", pid_);
  return status_of(info);
}

Result<unsigned long long> process_start_time(pid_t pid) {
  auto text = VPS_TRY(read_file(fmt::format("/proc/{}/stat", pid)));
  // The command in parentheses may hold anything, so count fields from its last ')'.
  auto pos = text.rfind(')');
  if (pos == std::string::npos) return fail(Code::kFailed, "cannot parse /proc/{}/stat", pid);
  constexpr int kFieldsToStartTime = 20;
  for (int i = 0; i < kFieldsToStartTime; ++i) {
    pos = text.find(' ', pos + 1);
    if (pos == std::string::npos) return fail(Code::kFailed, "cannot parse /proc/{}/stat", pid);
  }
  unsigned long long ticks = 0;
  auto [end, error] = std::from_chars(text.data() + pos + 1, text.data() + text.size(), ticks);
  if (error != std::errc()) return fail(Code::kFailed, "cannot parse /proc/{}/stat", pid);
  return ticks;
}

}  // namespace vps
