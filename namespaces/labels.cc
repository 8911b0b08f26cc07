#include "namespaces/labels.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"
#include "namespaces/mounts.h"

namespace vps::namespaces {

namespace {

// A file of our own in the procfs that `proc_fd` is the root of, and in no mount on top of it: what is written there must not
// become a command to something else (CVE-2019-16884, CVE-2025-52881).
Result<> write_own(int proc_fd, const char* name, const std::string& text) {
  open_how how{};
  how.flags = O_WRONLY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, proc_fd, fmt::format("thread-self/{}", name).c_str(), &how, sizeof how)));
  if (!fd) return fail_errno(errno, "open {}", name);
  // One write(2): the kernel takes it as one label.
  if (::write(fd.get(), text.data(), text.size()) < 0) return fail_errno(errno, "write {}", name);
  return {};
}

}  // namespace

bool apparmor_enabled() {
  auto enabled = read_file("/sys/module/apparmor/parameters/enabled");
  return enabled && enabled->starts_with("Y");
}

bool selinux_enabled() { return path_exists("/sys/fs/selinux/enforce"); }

Result<> label_next_exec(const std::string& apparmor_profile, const std::string& selinux_label) {
  if (apparmor_profile.empty() && selinux_label.empty()) return {};
  auto proc = VPS_TRY(open_procfs("/proc"));
  if (!apparmor_profile.empty()) {
    std::string command = "exec " + apparmor_profile;
    auto written = write_own(proc.get(), "attr/apparmor/exec", command);
    // Before Linux 5.8 AppArmor has no folder of its own.
    if (!written && written.error().err() == ENOENT) written = write_own(proc.get(), "attr/exec", command);
    if (!written) return std::unexpected(std::move(written).error().wrap("apparmor profile " + apparmor_profile));
  }
  if (!selinux_label.empty())
    VPS_TRY_CTX("selinux label " + selinux_label, write_own(proc.get(), "attr/exec", selinux_label));
  return {};
}

Result<> join_session_keyring(const std::string& name) {
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str()) < 0 && errno != ENOSYS)
    return fail_errno(errno, "join session keyring {}", name);
  return {};
}

}  // namespace vps::namespaces
