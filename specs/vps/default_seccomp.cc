// The default seccomp profile of a VPS, as groups of calls that share one answer and one reason (docs/design/security.md
// tells each reason in full). What stands in no group, and every number that is not a call, gets ENOSYS: the answer of a
// kernel that does not have the call, so that programs fall back. tests/unit/specs/defaults_test.cc holds the groups
// against each other: no call stands in two.
#include <cerrno>
#include <cstdint>
#include <span>
#include <string_view>

#include "specs/vps/compile.h"

namespace vps {

namespace {

using Names = std::span<const std::string_view>;

constexpr std::string_view kAllow = "SCMP_ACT_ALLOW";
constexpr std::string_view kErrno = "SCMP_ACT_ERRNO";

// Files, directories, extended attributes, locks, watches, copying.
constexpr std::string_view kFiles[] = {
    "_llseek", "access", "cachestat", "chdir", "chmod", "chown", "chown32", "close", "close_range", "copy_file_range",
    "creat", "dup", "dup2", "dup3", "faccessat", "faccessat2", "fadvise64", "fadvise64_64", "fallocate",
    "fanotify_init", "fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat",
    "fcntl", "fcntl64", "fdatasync", "fgetxattr", "file_getattr", "file_setattr", "flistxattr", "flock",
    "fremovexattr", "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate",
    "ftruncate64", "futimesat", "getcwd", "getdents", "getdents64", "getxattr", "getxattrat", "inotify_add_watch",
    "inotify_init", "inotify_init1", "inotify_rm_watch", "ioctl", "lchown", "lchown32", "lgetxattr", "link", "linkat",
    "listxattr", "listxattrat", "llistxattr", "lremovexattr", "lseek", "lsetxattr", "lstat", "lstat64", "mkdir",
    "mkdirat", "mknod", "mknodat", "name_to_handle_at", "newfstatat", "open", "openat", "openat2", "pread64", "preadv",
    "preadv2", "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv",
    "removexattr", "removexattrat", "rename", "renameat", "renameat2", "rmdir", "sendfile", "sendfile64", "setxattr",
    "setxattrat", "splice", "stat", "stat64", "statfs", "statfs64", "statx", "symlink", "symlinkat", "sync",
    "sync_file_range", "syncfs", "tee", "truncate", "truncate64", "umask", "unlink", "unlinkat", "utime", "utimensat",
    "utimensat_time64", "utimes", "vmsplice", "write", "writev"};

// Waiting, pipes, events, the older asynchronous I/O (databases use it; it has no io_uring behind it).
constexpr std::string_view kEvents[] = {
    "_newselect", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd",
    "eventfd2", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_pgetevents_time64", "io_setup",
    "io_submit", "pipe", "pipe2", "poll", "ppoll", "ppoll_time64", "pselect6", "pselect6_time64", "select", "signalfd",
    "signalfd4", "timerfd_create", "timerfd_gettime", "timerfd_gettime64", "timerfd_settime", "timerfd_settime64"};

// The process: memory, threads, signals, identity, limits, scheduling of its own tasks. Each is checked by the kernel
// against the caller's own rights over its target.
constexpr std::string_view kProcess[] = {
    "alarm", "arch_prctl", "brk", "capget", "capset", "clone", "clone3", "execve", "execveat", "exit", "exit_group",
    "fork", "futex", "futex_requeue", "futex_time64", "futex_wait", "futex_waitv", "futex_wake", "get_mempolicy",
    "get_robust_list", "get_thread_area", "getcpu", "getegid", "getegid32", "geteuid", "geteuid32", "getgid",
    "getgid32", "getgroups", "getgroups32", "getitimer", "getpgid", "getpgrp", "getpid", "getppid", "getpriority",
    "getrandom", "getresgid", "getresgid32", "getresuid", "getresuid32", "getrlimit", "getrusage", "getsid", "gettid",
    "getuid", "getuid32", "ioprio_get", "ioprio_set", "kcmp", "kill", "landlock_add_rule", "landlock_create_ruleset",
    "landlock_restrict_self", "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "madvise",
    "map_shadow_stack", "mbind", "membarrier", "memfd_create", "memfd_secret", "migrate_pages", "mincore", "mlock",
    "mlock2", "mlockall", "mmap", "mmap2", "modify_ldt", "move_pages", "mprotect", "mremap", "mseal", "msync",
    "munlock", "munlockall", "munmap", "nice", "pause", "personality", "pidfd_getfd", "pidfd_open",
    "pidfd_send_signal", "pkey_alloc", "pkey_free", "pkey_mprotect", "prctl", "prlimit64", "process_madvise",
    "process_mrelease", "process_vm_readv", "process_vm_writev", "ptrace", "remap_file_pages", "restart_syscall",
    "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sched_get_priority_max",
    "sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler",
    "sched_rr_get_interval", "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr", "sched_setparam",
    "sched_setscheduler", "sched_yield", "seccomp", "set_mempolicy", "set_mempolicy_home_node", "set_robust_list",
    "set_thread_area", "set_tid_address", "setfsgid", "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32",
    "setgroups", "setgroups32", "setitimer", "setpgid", "setpriority", "setregid", "setregid32", "setresgid",
    "setresgid32", "setresuid", "setresuid32", "setreuid", "setreuid32", "setrlimit", "setsid", "setuid", "setuid32",
    "sigaction", "sigaltstack", "signal", "sigpending", "sigprocmask", "sigreturn", "sigsuspend", "sysinfo", "tgkill",
    "times", "tkill", "ugetrlimit", "uname", "vfork", "wait4", "waitid", "waitpid"};

// Clocks and timers, to read and to wait on. adjtimex and clock_adjtime read the state of the clock (timedatectl, NTP
// tools); to change it they need CAP_SYS_TIME in the initial user namespace.
constexpr std::string_view kTime[] = {
    "adjtimex", "clock_adjtime", "clock_adjtime64", "clock_getres", "clock_getres_time64", "clock_gettime",
    "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "gettimeofday", "nanosleep", "time",
    "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime",
    "timer_settime64"};

// Sockets but for socket() itself (see kSocketFamilies); message queues, semaphores, shared memory.
// socketcall and ipc are the 32-bit x86 multiplexers; their arguments lie in memory, where a filter cannot look.
constexpr std::string_view kIpc[] = {
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "ipc", "listen",
    "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend",
    "mq_timedsend_time64", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd", "recvfrom", "recvmmsg",
    "recvmmsg_time64", "recvmsg", "semctl", "semget", "semop", "semtimedop", "semtimedop_time64", "sendmmsg",
    "sendmsg", "sendto", "setsockopt", "shmat", "shmctl", "shmdt", "shmget", "shutdown", "socketcall", "socketpair"};

// What an init, a package manager and a nested container engine need: namespaces, mounts (old and new interface), root
// directories, host name, virtual hang-up of terminals, and reboot, which inside a pid namespace ends its init only.
constexpr std::string_view kSystem[] = {
    "chroot", "fsconfig", "fsmount", "fsopen", "fspick", "listmount", "mount", "mount_setattr", "move_mount",
    "open_tree", "open_tree_attr", "pivot_root", "reboot", "setdomainname", "sethostname", "setns", "statmount",
    "umount", "umount2", "unshare", "vhangup"};

// 32-bit ARM spells some of the above in its own way.
constexpr std::string_view kArm[] = {"arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "get_tls",
                                     "set_tls", "sync_file_range2"};

// Refused with EPERM, for one machine-wide thing each: the kernel's code and hardware access, its clock, swap, process
// accounting and quotas, its log, its inspection, and file handles, which reach around every mount.
constexpr std::string_view kKernelCode[] = {"create_module", "delete_module", "finit_module", "init_module",
                                            "kexec_file_load", "kexec_load"};
constexpr std::string_view kHardware[] = {"ioperm", "iopl", "pciconfig_iobase", "pciconfig_read", "pciconfig_write",
                                          "vm86", "vm86old"};
constexpr std::string_view kClock[] = {"clock_settime", "clock_settime64", "settimeofday", "stime"};
constexpr std::string_view kMachine[] = {"acct", "quotactl", "quotactl_fd", "swapoff", "swapon"};
constexpr std::string_view kKernelLog[] = {"syslog"};
constexpr std::string_view kInspection[] = {"bpf", "lookup_dcookie", "perf_event_open", "userfaultfd"};
constexpr std::string_view kFileHandles[] = {"open_by_handle_at"};

// Refused as if the kernel had been built without them, since every user knows how to go on without: keyrings (systemd,
// runc and crun treat EPERM as a failure) and io_uring.
constexpr std::string_view kKeyrings[] = {"add_key", "keyctl", "request_key"};
constexpr std::string_view kIoUring[] = {"io_uring_enter", "io_uring_register", "io_uring_setup"};

struct Group {
  Names names;
  std::string_view action;
  std::uint32_t errno_ret;  // of kErrno
};

constexpr Group kGroups[] = {
    {kFiles, kAllow, 0},
    {kEvents, kAllow, 0},
    {kProcess, kAllow, 0},
    {kTime, kAllow, 0},
    {kIpc, kAllow, 0},
    {kSystem, kAllow, 0},
    {kKernelCode, kErrno, EPERM},
    {kHardware, kErrno, EPERM},
    {kClock, kErrno, EPERM},
    {kMachine, kErrno, EPERM},
    {kKernelLog, kErrno, EPERM},
    {kInspection, kErrno, EPERM},
    {kFileHandles, kErrno, EPERM},
    {kKeyrings, kErrno, ENOSYS},
    {kIoUring, kErrno, ENOSYS},
};

// Address families of socket(2): local, IPv4, IPv6, netlink, packet. Any other makes the kernel load a protocol module
// for whoever asks, and AF_VSOCK reaches the hypervisor past the network namespace; it gets EAFNOSUPPORT, the answer of
// a kernel without the family. The two halves cover every 64-bit value, so that none falls through to ENOSYS: what the
// kernel would cut to a good family (2 + 2^32) is above the last one.
constexpr std::uint64_t kSocketFamilies[] = {1, 2, 10, 16, 17};
constexpr std::uint64_t kOtherFamilies[] = {0, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15};
constexpr std::uint64_t kLastFamily = 17;

oci::SeccompRule rule_of(const Group& group) {
  oci::SeccompRule rule;
  rule.names.assign(group.names.begin(), group.names.end());
  rule.action = group.action;
  if (group.action == kErrno) rule.errno_ret = group.errno_ret;
  return rule;
}

// One condition per rule: several on one argument of one rule would all have to hold.
oci::SeccompRule socket_rule(std::string_view action, std::string_view op, std::uint64_t family) {
  oci::SeccompRule rule;
  rule.names = {"socket"};
  rule.action = action;
  if (action == kErrno) rule.errno_ret = EAFNOSUPPORT;
  rule.args = {{.index = 0, .value = family, .value_two = 0, .op = std::string(op)}};
  return rule;
}

}  // namespace

oci::Seccomp default_seccomp_profile() {
  oci::Seccomp profile;
  profile.default_action = kErrno;
  profile.default_errno_ret = ENOSYS;
#if defined(__aarch64__)
  profile.architectures = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#else
  profile.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
#endif
  for (const Group& group : kGroups) profile.syscalls.push_back(rule_of(group));
#if defined(__aarch64__)
  profile.syscalls.push_back(rule_of({kArm, kAllow, 0}));
#else
  (void)kArm;
#endif
  for (std::uint64_t family : kSocketFamilies) profile.syscalls.push_back(socket_rule(kAllow, "SCMP_CMP_EQ", family));
  for (std::uint64_t family : kOtherFamilies) profile.syscalls.push_back(socket_rule(kErrno, "SCMP_CMP_EQ", family));
  profile.syscalls.push_back(socket_rule(kErrno, "SCMP_CMP_GT", kLastFamily));
  return profile;
}

}  // namespace vps
