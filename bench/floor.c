// The floor that benchmarks measure against: the kernel calls of a container's start and of an exec in it, and nothing else.
//
//   floor run [-d] [-u BASE] [-o LOWER:RW] [-g DIR]... [-r DIR] PROGRAM [ARG...]
//     pid, mount, net, uts, ipc and cgroup namespaces, /proc, /sys, /dev, masks, pivot_root, execve.
//     -u BASE   a user namespace: 65536 ids from BASE
//     -o        an overlay of LOWER with upper and work directories in RW, its layers idmapped under -u; -r then names the
//               directory it is put together at. Without -o the directory of -r itself is the root
//     -g DIR    a cgroup to make: the first one in the v2 tree (the process is born in it), others in v1 hierarchies
//     -d        print the pid and end when the program runs; otherwise wait for its end and remove the cgroups
//   floor exec PID PROGRAM [ARG...]
//     setns into all of PID's namespaces, one fork, execve, wait
//   floor oci-run|oci-create|oci-start|oci-delete|oci-exec   floor_oci.c
//   floor peak PROGRAM [ARG...]
//     runs it and prints the most memory (KiB) that it or one of its children had; started from this small process, since the
//     kernel counts what a program was before execve as well
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <linux/securebits.h>

#include "floor.h"

static int open_tree_clone(const char* path) {
  return (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static void put_idmapped(const char* from, const char* to, int userns) {
  int tree = open_tree_clone(from);
  CHECK(tree);
  if (userns >= 0) {
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned long long)userns};
    CHECK(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr));
  }
  CHECK(mkdir(to, 0700) < 0 && errno != EEXIST ? -1 : 0);
  CHECK(syscall(SYS_move_mount, tree, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH));
  close(tree);
}

static void write_text(const char* path, const char* text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  CHECK(fd);
  CHECK(write(fd, text, strlen(text)));
  close(fd);
}

// The overlay as a detached mount; in a mount namespace of our own.
static int overlay(char* layers, const char* staging, int userns, unsigned base) {
  char* rw = strchr(layers, ':');
  if (rw == NULL) die("-o LOWER:RW");
  *rw++ = '\0';
  char lower[PATH_MAX], upper[PATH_MAX], merged[PATH_MAX], options[4 * PATH_MAX];
  snprintf(lower, sizeof lower, "%s/lower", staging);
  snprintf(upper, sizeof upper, "%s/rw", staging);
  snprintf(merged, sizeof merged, "%s/merged", staging);
  CHECK(unshare(CLONE_NEWNS));
  CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
  put_idmapped(layers, lower, userns);
  put_idmapped(rw, upper, userns);
  CHECK(mkdir(merged, 0755) < 0 && errno != EEXIST ? -1 : 0);
  snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, upper, upper);
  // The overlay works on its layers with the credentials that it was mounted with.
  if (userns >= 0) {
    prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
    setfsuid(base);
    setfsgid(base);
  }
  CHECK(mount("overlay", merged, "overlay", 0, options));
  setfsuid(0);
  setfsgid(0);
  int tree = open_tree_clone(merged);
  CHECK(tree);
  return tree;
}

static void bind_file(const char* from, const char* to) {
  int fd = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
  if (fd >= 0) close(fd);
  CHECK(mount(from, to, NULL, MS_BIND, NULL));
}

// Before pivot_root; the working directory is the new root.
static void mounts(void) {
  CHECK(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
  CHECK(mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL));
  mkdir("sys/fs/cgroup", 0755);
  CHECK(mount("cgroup2", "sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
  CHECK(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755"));
  CHECK(mkdir("dev/pts", 0755));
  CHECK(mkdir("dev/shm", 0755));
  CHECK(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"));
  CHECK(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, NULL));
  CHECK(mount("tmpfs", "run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755"));
  static const char* const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
  char from[64], to[64];
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; ++i) {
    snprintf(from, sizeof from, "/dev/%s", nodes[i]);
    snprintf(to, sizeof to, "dev/%s", nodes[i]);
    bind_file(from, to);
  }
  CHECK(symlink("pts/ptmx", "dev/ptmx"));
  CHECK(symlink("/proc/self/fd", "dev/fd"));
  static const char* const masked[] = {"proc/kcore", "proc/keys", "proc/timer_list", "proc/sysrq-trigger"};
  for (size_t i = 0; i < sizeof masked / sizeof *masked; ++i)
    if (access(masked[i], F_OK) == 0) CHECK(mount("/dev/null", masked[i], NULL, MS_BIND, NULL));
  static const char* const read_only[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys"};
  for (size_t i = 0; i < sizeof read_only / sizeof *read_only; ++i) {
    CHECK(mount(read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL));
    CHECK(mount(NULL, read_only[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
  }
}

static void become_init(int channel, const char* root, int detach, char** argv) {
  char control[CMSG_SPACE(sizeof(int))], byte;
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) != 1) _exit(111);
  CHECK(setresgid(0, 0, 0));
  CHECK(setresuid(0, 0, 0));
  CHECK(setsid());
  CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != NULL) {
    int tree;
    memcpy(&tree, CMSG_DATA(header), sizeof tree);
    CHECK(syscall(SYS_move_mount, tree, "", AT_FDCWD, root, MOVE_MOUNT_F_EMPTY_PATH));
  } else {
    CHECK(mount(root, root, NULL, MS_BIND | MS_REC, NULL));
  }
  CHECK(chdir(root));
  mounts();
  CHECK(syscall(SYS_pivot_root, ".", "."));
  CHECK(umount2(".", kDetach));
  CHECK(chdir("/"));
  CHECK(sethostname("floor", 5));
  for (int capability = 0; capability <= 40; ++capability)
    if (capability >= 16) prctl(PR_CAPBSET_DROP, capability);
  if (detach) {  // who waits for the end of our output must not wait for the end of the program
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; ++fd) CHECK(dup2(null, fd));
  }
  execv(argv[0], argv);
  die(argv[0]);
}

static int run(int argc, char** argv) {
  const char* groups[32];
  int group_count = 0, detach = 0, option;
  unsigned base = 0;
  char* layers = NULL;
  const char* root = NULL;
  while ((option = getopt(argc, argv, "+du:o:g:r:")) != -1) {
    switch (option) {
      case 'd': detach = 1; break;
      case 'u': base = (unsigned)atoi(optarg); break;
      case 'o': layers = optarg; break;
      case 'g': groups[group_count++ % 32] = optarg; break;
      case 'r': root = optarg; break;
      default: return 2;
    }
  }
  if (root == NULL || optind == argc) return 2;
  int group_fd = -1;
  for (int i = 0; i < group_count; ++i) CHECK(mkdir(groups[i], 0755));
  if (group_count > 0) CHECK(group_fd = open(groups[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  int channel[2], gone[2], pidfd = -1;
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel));
  CHECK(pipe2(gone, O_CLOEXEC));
  struct clone_args args = {.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_PIDFD |
                                     (base != 0 ? CLONE_NEWUSER : 0) | (group_fd >= 0 ? CLONE_INTO_CGROUP : 0),
                            .pidfd = (unsigned long long)(uintptr_t)&pidfd, .exit_signal = SIGCHLD, .cgroup = (unsigned long long)group_fd};
  char merged[PATH_MAX];
  snprintf(merged, sizeof merged, "%s%s", root, layers != NULL ? "/merged" : "");
  if (layers != NULL) CHECK(mkdir(merged, 0755) < 0 && errno != EEXIST ? -1 : 0);
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  CHECK(pid);
  if (pid == 0) {
    close(gone[0]);
    close(channel[0]);  // so that it does not wait for a parent that has died
    become_init(channel[1], merged, detach, argv + optind);
  }
  close(gone[1]);
  char path[PATH_MAX], text[64];
  snprintf(text, sizeof text, "%d", pid);
  for (int i = 1; i < group_count; ++i) {
    snprintf(path, sizeof path, "%s/cgroup.procs", groups[i]);
    write_text(path, text);
  }
  int userns = -1, tree = -1;
  if (base != 0) {
    snprintf(text, sizeof text, "0 %u 65536", base);
    snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
    write_text(path, text);
    snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
    write_text(path, text);
    snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
    CHECK(userns = open(path, O_RDONLY | O_CLOEXEC));
  }
  if (layers != NULL) tree = overlay(layers, root, userns, base);
  char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 'g';
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
  if (tree >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &tree, sizeof tree);
  }
  CHECK(sendmsg(channel[0], &message, 0));
  if (read(gone[0], &byte, 1) != 0) die("wait for the program");
  if (detach) {
    printf("%d\n", pid);
    return 0;
  }
  int status = 0;
  CHECK(waitpid(pid, &status, 0));
  for (int i = group_count - 1; i >= 0; --i) rmdir(groups[i]);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int enter(int argc, char** argv) {
  if (argc < 3) return 2;
  int pidfd = (int)syscall(SYS_pidfd_open, atoi(argv[1]), 0);
  CHECK(pidfd);
  struct stat own, other;
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/ns/user", argv[1]);
  CHECK(stat("/proc/self/ns/user", &own));
  CHECK(stat(path, &other));
  int user = own.st_ino != other.st_ino ? CLONE_NEWUSER : 0;
  CHECK(setns(pidfd, user | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP));
  pid_t pid = fork();
  CHECK(pid);
  if (pid == 0) {
    CHECK(setresgid(0, 0, 0));
    CHECK(setresuid(0, 0, 0));
    execv(argv[2], argv + 2);
    die(argv[2]);
  }
  int status = 0;
  CHECK(waitpid(pid, &status, 0));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int peak(int argc, char** argv) {
  if (argc < 2) return 2;
  pid_t pid = fork();
  CHECK(pid);
  if (pid == 0) {
    execvp(argv[1], argv + 1);
    die(argv[1]);
  }
  int status = 0;
  struct rusage usage;
  CHECK(wait4(pid, &status, 0, &usage));
  printf("peak-kib %ld\n", usage.ru_maxrss);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static const struct {
  const char* name;
  int (*run)(int, char**);
} commands[] = {{"run", run}, {"exec", enter}, {"oci-run", oci_run}, {"oci-create", oci_create}, {"oci-start", oci_start},
                {"oci-delete", oci_delete}, {"oci-exec", oci_exec}, {"peak", peak}};

int main(int argc, char** argv) {
  for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; ++i)
    if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
  fprintf(stderr, "usage: floor COMMAND ... (see the top of floor.c)\n");
  return 2;
}
