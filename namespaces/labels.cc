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
Result<UniqueFd> open_own(int proc_fd, const char* name) {
  open_how how{};
  how.flags = O_WRONLY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, proc_fd, fmt::format("thread-self/{}", name).c_str(), &how, sizeof how)));
  if (!fd) return fail_errno(errno, "open {}", name);
  return fd;
}

// One write(2): the kernel takes it as one label.
Result<> write_label(const UniqueFd& fd, const std::string& text) {
  if (::write(fd.get(), text.data(), text.size()) < 0) return fail_errno(errno, "set it");
  return {};
}

Result<> label_by_apparmor(int proc_fd, const std::string& profile) {
  auto file = open_own(proc_fd, "attr/apparmor/exec");
  // Before Linux 5.8 AppArmor has no folder of its own.
  if (!file && file.error().err() == ENOENT) file = open_own(proc_fd, "attr/exec");
  if (!file) return std::unexpected(std::move(file).error());
  auto written = write_label(*file, "exec " + profile);
  if (!written && written.error().err() == ENOENT) return fail_errno(ENOENT, "it is not loaded into this kernel (apparmor_parser(8))");
  return written;
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
  if (!apparmor_profile.empty()) VPS_TRY_CTX("apparmor profile " + apparmor_profile, label_by_apparmor(proc.get(), apparmor_profile));
  if (!selinux_label.empty()) {
    auto file = VPS_TRY_CTX("selinux label " + selinux_label, open_own(proc.get(), "attr/exec"));
    VPS_TRY_CTX("selinux label " + selinux_label, write_label(file, selinux_label));
  }
  return {};
}

Result<> join_session_keyring(const std::string& name) {
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str()) < 0 && errno != ENOSYS)
    return fail_errno(errno, "join session keyring {}", name);
  return {};
}

}  // namespace vps::namespaces
