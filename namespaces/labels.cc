#include "namespaces/labels.h"

#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"
#include "namespaces/mounts.h"

namespace vps::namespaces {

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
    auto written = write_kernel_file_at(proc.get(), "self/attr/apparmor/exec", command);
    // Before Linux 5.8 AppArmor has no folder of its own.
    if (!written && written.error().err() == ENOENT) written = write_kernel_file_at(proc.get(), "self/attr/exec", command);
    if (!written) return std::unexpected(std::move(written).error().wrap("apparmor profile " + apparmor_profile));
  }
  if (!selinux_label.empty())
    VPS_TRY_CTX("selinux label " + selinux_label, write_kernel_file_at(proc.get(), "self/attr/exec", selinux_label));
  return {};
}

Result<> join_session_keyring(const std::string& name) {
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str()) < 0 && errno != ENOSYS)
    return fail_errno(errno, "join session keyring {}", name);
  return {};
}

}  // namespace vps::namespaces
