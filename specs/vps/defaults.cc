// Named security defaults of a VPS but for its seccomp profile (default_seccomp.cc). docs/design/security.md says why each
// entry is here, and why what is missing is missing.
#include "specs/vps/compile.h"

namespace vps {

// What root of a user namespace can use inside it, and what distributions' units ask for by name. Not here: what acts on
// the machine (SYS_MODULE, SYS_RAWIO, SYS_TIME, SYSLOG, MAC_*, AUDIT_CONTROL, AUDIT_READ, BPF, PERFMON, SYS_PACCT,
// WAKE_ALARM, BLOCK_SUSPEND) or has no effect without the initial user namespace (SYS_NICE, SYS_RESOURCE,
// LINUX_IMMUTABLE, SYS_TTY_CONFIG, NET_BROADCAST).
const oci::Strings& default_capabilities() {
  static const oci::Strings names = {
      "CAP_CHOWN",       "CAP_DAC_OVERRIDE",     "CAP_DAC_READ_SEARCH", "CAP_FOWNER",  "CAP_FSETID",
      "CAP_KILL",        "CAP_SETGID",           "CAP_SETUID",          "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
      "CAP_NET_ADMIN",   "CAP_NET_RAW",          "CAP_IPC_LOCK",        "CAP_IPC_OWNER", "CAP_SYS_CHROOT",
      "CAP_SYS_PTRACE",  "CAP_SYS_ADMIN",        "CAP_SYS_BOOT",        "CAP_MKNOD",   "CAP_LEASE",
      "CAP_AUDIT_WRITE", "CAP_SETFCAP"};
  return names;
}

// Host-wide knowledge that file permissions alone do not hide from the root of a user namespace.
const oci::Strings& default_masked_paths() {
  static const oci::Strings paths = {
      "/proc/acpi",          "/proc/asound",       "/proc/interrupts",  "/proc/kcore",
      "/proc/key-users",     "/proc/keys",         "/proc/latency_stats", "/proc/sched_debug",
      "/proc/scsi",          "/proc/timer_list",   "/proc/timer_stats", "/sys/devices/virtual/powercap",
      "/sys/firmware"};
  return paths;
}

// /proc/sys is read-only as a whole, which also tells systemd not to try (ConditionPathIsReadWrite=/proc/sys); the parts
// that the VPS's own namespaces hold are mounted writable on top by the mount plan.
const oci::Strings& default_readonly_paths() {
  static const oci::Strings paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  return paths;
}

}  // namespace vps
