// Loading needs no libseccomp: a program that only loads does not link it.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "namespaces/seccomp.h"

namespace vps::namespaces {

static_assert(sizeof(sock_filter) == sizeof(std::uint64_t));

Result<UniqueFd> load_seccomp(const SeccompProgram& program) {
  if (program.instructions.empty() || program.instructions.size() > BPF_MAXINSNS)
    return fail(Code::kUsage, "seccomp filter of {} instructions: expected 1 to {}", program.instructions.size(),
                BPF_MAXINSNS);
  std::uint32_t flags = program.flags;
  if (program.needs_listener) {
    flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // Both give a number back (thread id, fd); the kernel takes them together only if failure to sync is an errno.
    if ((flags & SECCOMP_FILTER_FLAG_TSYNC) != 0) flags |= SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
  } else {
    flags &= ~static_cast<std::uint32_t>(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
  }
  sock_fprog filter{};
  filter.len = static_cast<unsigned short>(program.instructions.size());
  // The kernel copies the program and does not write to it.
  filter.filter = reinterpret_cast<sock_filter*>(const_cast<std::uint64_t*>(program.instructions.data()));
  long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
  if (result < 0) return fail_errno(errno, "load seccomp filter ({} instructions, flags {:#x})", filter.len, flags);
  if (program.needs_listener) return UniqueFd(static_cast<int>(result));
  if (result > 0) return fail(Code::kFailed, "load seccomp filter: thread {} could not be synchronized", result);
  return UniqueFd();
}

}  // namespace vps::namespaces
