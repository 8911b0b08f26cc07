// Runs inside a VPS as root and tries what a tenant must not be able to do. Prints "NAME errno-name" per attempt, or "NAME ok".
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/kexec.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

namespace {

void report(const char* name, long result) {
  int error = errno;
  ::printf("%s %s\n", name, result < 0 ? strerrorname_np(error) : "ok");
  errno = 0;
}

// A device node of the host's first disk would be the whole host.
long open_host_disk() {
  const char* path = "/tmp/probe-disk";
  (void)::unlink(path);
  if (::mknod(path, S_IFBLK | 0600, makedev(254, 0)) != 0) return -1;
  return ::open(path, O_RDONLY);
}

long write_to(const char* path, const char* text) {
  int fd = ::open(path, O_WRONLY);
  if (fd < 0) return -1;
  long result = ::write(fd, text, strlen(text));
  int error = errno;
  ::close(fd);
  errno = error;
  return result;
}

long set_clock() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return ::clock_settime(CLOCK_REALTIME, &now);
}

long load_bpf() {
  bpf_attr attr{};
  attr.map_type = BPF_MAP_TYPE_ARRAY;
  attr.key_size = 4;
  attr.value_size = 8;
  attr.max_entries = 1;
  return ::syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr);
}

}  // namespace

int main() {
  report("init_module", ::syscall(SYS_init_module, nullptr, 0UL, ""));
  report("finit_module", ::syscall(SYS_finit_module, 0, "", 0));
  report("delete_module", ::syscall(SYS_delete_module, "x", 0));
  report("kexec_load", ::syscall(SYS_kexec_load, 0UL, 0UL, nullptr, 0UL));
  report("swapon", ::swapon("/etc/passwd", 0));
  report("swapoff", ::swapoff("/etc/passwd"));
  report("clock_settime", set_clock());
  report("syslog", ::klogctl(5, nullptr, 0));
  report("bpf", load_bpf());
  report("perf_event_open", ::syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0UL));
  report("open_by_handle_at", ::syscall(SYS_open_by_handle_at, 0, nullptr, 0));
  report("userfaultfd", ::syscall(SYS_userfaultfd, 0));
  report("keyctl", ::syscall(SYS_keyctl, 0, -3, 0));
  report("iopl", ::syscall(SYS_iopl, 3));
  report("quotactl", ::syscall(SYS_quotactl, 0, nullptr, 0, nullptr));
  report("acct", ::syscall(SYS_acct, "/etc/passwd"));
  report("mknod_disk", open_host_disk());
  report("write_sysctl", write_to("/proc/sys/kernel/panic", "1"));
  report("write_hostwide_vm", write_to("/proc/sys/vm/drop_caches", "1"));
  report("write_sysrq", write_to("/proc/sysrq-trigger", "h"));
  report("read_kcore", ::open("/proc/kcore", O_RDONLY) >= 0 && ::access("/proc/kcore", R_OK) == 0 && ::lseek(::open("/proc/kcore", O_RDONLY), 0, SEEK_END) > 0 ? 0 : (errno = EACCES, -1));
  report("write_sys", write_to("/sys/power/state", "x"));
  report("write_core_pattern", write_to("/proc/sys/kernel/core_pattern", "|/tmp/x"));
  return 0;
}
