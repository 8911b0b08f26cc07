// The floor of an OCI runtime: the kernel calls that a container of `runc spec`'s config.json needs (with podman's capabilities
// and seccomp profile, its own network namespace and a cgroup), in the order of a runtime, with nothing read and nothing decided.
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "floor.h"

struct options {
  const char *group, *root, *filter, *state;  // cgroup directory in the v2 tree, rootfs, BPF bytes, state directory
};

static int parse(int argc, char** argv, struct options* o) {
  int option;
  memset(o, 0, sizeof *o);
  while ((option = getopt(argc, argv, "+g:r:s:d:")) != -1) {
    if (option == 'g') o->group = optarg;
    else if (option == 'r') o->root = optarg;
    else if (option == 's') o->filter = optarg;
    else if (option == 'd') o->state = optarg;
    else exit(2);
  }
  return optind;
}

static struct sock_filter instructions[BPF_MAXINSNS];
static struct sock_fprog filter;

static void read_filter(const char* path) {
  if (path == NULL) return;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  CHECK(fd);
  ssize_t n = read(fd, instructions, sizeof instructions);
  CHECK(n);
  close(fd);
  filter.len = (unsigned short)((size_t)n / sizeof *instructions);
  filter.filter = instructions;
}

// A device filter of the smallest kind.
static void device_filter(int group) {
  static const struct bpf_insn allow[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1}, {.code = BPF_JMP | BPF_EXIT}};
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.insns = (uint64_t)(uintptr_t)allow;
  attr.insn_cnt = sizeof allow / sizeof *allow;
  attr.license = (uint64_t)(uintptr_t)"Apache-2.0";
  int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
  CHECK(program);
  memset(&attr, 0, sizeof attr);
  attr.target_fd = (unsigned)group;
  attr.attach_bpf_fd = (unsigned)program;
  attr.attach_type = BPF_CGROUP_DEVICE;
  attr.attach_flags = BPF_F_ALLOW_MULTI;
  CHECK(syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof attr));
  close(program);
}

static void node(const char* path, unsigned major_number, unsigned minor_number) {
  CHECK(mknod(path, S_IFCHR | 0666, makedev(major_number, minor_number)));
  CHECK(chmod(path, 0666));
}

static void mounts(int group_tree) {
  const unsigned long safe = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  CHECK(mount("proc", "proc", "proc", 0, NULL));
  CHECK(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
  CHECK(mkdir("dev/pts", 0755));
  CHECK(mkdir("dev/shm", 0755));
  CHECK(mkdir("dev/mqueue", 0755));
  CHECK(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"));
  CHECK(mount("shm", "dev/shm", "tmpfs", safe, "mode=1777,size=65536k"));
  CHECK(mount("mqueue", "dev/mqueue", "mqueue", safe, NULL));
  CHECK(mount("sysfs", "sys", "sysfs", safe | MS_RDONLY, NULL));
  CHECK(syscall(SYS_move_mount, group_tree, "", AT_FDCWD, "sys/fs/cgroup", MOVE_MOUNT_F_EMPTY_PATH));
  node("dev/null", 1, 3);
  node("dev/zero", 1, 5);
  node("dev/full", 1, 7);
  node("dev/random", 1, 8);
  node("dev/urandom", 1, 9);
  node("dev/tty", 5, 0);
  CHECK(symlink("pts/ptmx", "dev/ptmx"));
  CHECK(symlink("/proc/self/fd", "dev/fd"));
  CHECK(symlink("/proc/self/fd/0", "dev/stdin"));
  CHECK(symlink("/proc/self/fd/1", "dev/stdout"));
  CHECK(symlink("/proc/self/fd/2", "dev/stderr"));
}

static void masks(void) {
  static const char* const masked[] = {"/proc/acpi",        "/proc/asound",      "/proc/kcore",       "/proc/keys",    "/proc/latency_stats",
                                       "/proc/timer_list",  "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"};
  for (size_t i = 0; i < sizeof masked / sizeof *masked; ++i) {
    struct stat st;
    if (stat(masked[i], &st) != 0) continue;
    if (S_ISDIR(st.st_mode))
      CHECK(mount("tmpfs", masked[i], "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=0,nr_inodes=1"));
    else
      CHECK(mount("/dev/null", masked[i], NULL, MS_BIND, NULL));
  }
  static const char* const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  for (size_t i = 0; i < sizeof read_only / sizeof *read_only; ++i) {
    if (mount(read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL) != 0) continue;  // none on this host
    CHECK(mount(NULL, read_only[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
  }
}

// chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service sys_chroot setfcap: podman's defaults
static const uint64_t kept = 1u << 0 | 1u << 1 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 10 | 1u << 18 | 1u << 31;

static void confine(void) {
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  for (int capability = 0; capability <= 40; ++capability)
    if ((kept >> capability & 1) == 0) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct data[2] = {{.effective = (uint32_t)kept, .permitted = (uint32_t)kept}, {0}};
  CHECK(syscall(SYS_capset, &header, data));
  if (filter.len != 0) CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter));
}

static void loopback_up(void) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  CHECK(fd);
  CHECK(ioctl(fd, SIOCSIFFLAGS, &request));
  close(fd);
}

// listener: -1, or where the word to start comes from.
static void become_init(const char* root, int group_tree, int channel, int listener, char** argv) {
  char byte = 'r';
  CHECK(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "_ses.floor"));
  CHECK(setsid());
  loopback_up();
  CHECK(sethostname("runc", 4));
  CHECK(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
  CHECK(mount(root, root, NULL, MS_BIND | MS_REC, NULL));
  CHECK(chdir(root));
  mounts(group_tree);
  CHECK(syscall(SYS_pivot_root, ".", "."));
  CHECK(umount2(".", kDetach));
  CHECK(chdir("/"));
  masks();
  CHECK(write(channel, &byte, 1));
  if (listener >= 0) {
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(connection);
    CHECK(read(connection, &byte, 1));
  }
  confine();
  execv(argv[0], argv);
  die(argv[0]);
}

static pid_t launch(const struct options* o, int listener, char** argv) {
  read_filter(o->filter);
  CHECK(mkdir(o->group, 0755));
  int group = open(o->group, O_RDONLY | O_DIRECTORY | O_CLOEXEC), channel[2], pidfd = -1;
  CHECK(group);
  device_filter(group);
  int tree = (int)syscall(SYS_open_tree, group, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  CHECK(tree);
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
  CHECK(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr));
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel));
  struct clone_args args = {.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_PIDFD | CLONE_INTO_CGROUP,
                            .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD, .cgroup = (uint64_t)group};
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  CHECK(pid);
  if (pid == 0) {
    close(channel[0]);
    become_init(o->root, tree, channel[1], listener, argv);
  }
  close(channel[1]);
  char byte;
  CHECK(read(channel[0], &byte, 1));
  close(channel[0]);
  return pid;
}

int oci_run(int argc, char** argv) {
  struct options o;
  int first = parse(argc, argv, &o), status = 0;
  pid_t pid = launch(&o, -1, argv + first);
  CHECK(waitpid(pid, &status, 0));
  CHECK(rmdir(o.group));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static struct sockaddr_un address_of(const struct options* o) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%.80s/start.sock", o->state);
  return address;
}

static void state_file(const struct options* o, char* path, size_t size) { snprintf(path, size, "%s/state", o->state); }

int oci_create(int argc, char** argv) {
  struct options o;
  int first = parse(argc, argv, &o);
  CHECK(mkdir(o.state, 0700));
  struct sockaddr_un address = address_of(&o);
  int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  CHECK(bind(listener, (struct sockaddr*)&address, sizeof address));
  CHECK(listen(listener, 1));
  pid_t pid = launch(&o, listener, argv + first);
  char path[PATH_MAX];
  state_file(&o, path, sizeof path);
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  CHECK(fd);
  CHECK(dprintf(fd, "%d", pid));
  return 0;
}

int oci_start(int argc, char** argv) {
  struct options o;
  parse(argc, argv, &o);
  struct sockaddr_un address = address_of(&o);
  int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  CHECK(connect(connection, (struct sockaddr*)&address, sizeof address));
  CHECK(write(connection, "s", 1));
  char byte;
  CHECK(read(connection, &byte, 1));  // its end: execve has happened
  CHECK(unlink(address.sun_path));
  return 0;
}

int oci_delete(int argc, char** argv) {
  struct options o;
  parse(argc, argv, &o);
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/cgroup.kill", o.group);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  CHECK(fd);
  CHECK(write(fd, "1", 1));
  close(fd);
  while (rmdir(o.group) != 0) {
    if (errno != EBUSY) die("rmdir");
    usleep(200);
  }
  state_file(&o, path, sizeof path);
  unlink(path);
  CHECK(rmdir(o.state));
  return 0;
}

int oci_exec(int argc, char** argv) {
  struct options o;
  int first = parse(argc, argv, &o), status = 0, pidfd = (int)syscall(SYS_pidfd_open, atoi(argv[first]), 0);
  CHECK(pidfd);
  read_filter(o.filter);
  int group = open(o.group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CHECK(group);
  CHECK(setns(pidfd, CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC));
  struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)group};
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  CHECK(pid);
  if (pid == 0) {
    CHECK(setsid());
    confine();
    execv(argv[first + 1], argv + first + 1);
    die(argv[first + 1]);
  }
  CHECK(waitpid(pid, &status, 0));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
