// Runs inside the containers of the conformance tests and tells what it sees, a line "KEY=VALUE" each: every argument is one
// look or one attempt. Static and without a shell, so that an empty root is enough. The keys are the arguments themselves.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <ifaddrs.h>
#include <linux/ioprio.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

std::string error_text(int err) { return std::string("error ") + ::strerrorname_np(err); }

std::string read_text(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return error_text(errno);
  std::string text(65536, '\0');
  ssize_t n = ::read(fd, text.data(), text.size());
  int err = errno;
  ::close(fd);
  if (n < 0) return error_text(err);
  text.resize(static_cast<std::size_t>(n));
  while (text.ends_with('\n')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', '|');
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

std::string attempt_write(const std::string& path) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return error_text(errno);
  ssize_t n = ::write(fd, "x", 1);
  int err = errno;
  ::close(fd);
  return n == 1 ? "ok" : error_text(err);
}

std::string describe_file(const std::string& path) {
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return error_text(errno);
  const char* kind = S_ISDIR(st.st_mode) ? "dir" : S_ISCHR(st.st_mode) ? "char" : S_ISBLK(st.st_mode) ? "block" : S_ISREG(st.st_mode) ? "file" : "other";
  char text[128];
  std::snprintf(text, sizeof text, "%s %o %u:%u %u:%u %lld", kind, st.st_mode & 07777, st.st_uid, st.st_gid, major(st.st_rdev), minor(st.st_rdev),
                static_cast<long long>(st.st_size));
  return text;
}

std::string read_link(const std::string& path) {
  std::string text(4096, '\0');
  ssize_t n = ::readlink(path.c_str(), text.data(), text.size());
  if (n < 0) return error_text(errno);
  text.resize(static_cast<std::size_t>(n));
  return text;
}

std::string list(const std::string& path) {
  DIR* dir = ::opendir(path.c_str());
  if (dir == nullptr) return error_text(errno);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir))
    if (entry->d_name[0] != '.' && entry->d_name != std::to_string(::dirfd(dir))) names.emplace_back(entry->d_name);
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

// "Key" of /proc/self/status.
std::string status_field(const std::string& key) {
  std::string text = "|" + read_text("/proc/self/status");
  auto at = text.find("|" + key + ":");
  if (at == std::string::npos) return "none";
  auto begin = text.find_first_not_of("\t ", at + key.size() + 2);
  return text.substr(begin, text.find('|', begin) - begin);
}

// mountinfo of the last mount on `point`: "ROOT TYPE PER-MOUNT-OPTIONS PROPAGATION SUPER-OPTIONS".
std::string mount_of(const std::string& point) {
  std::string text = read_text("/proc/self/mountinfo");
  std::string found = "none";
  for (std::size_t begin = 0; begin < text.size();) {
    auto end = std::min(text.find('|', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    std::vector<std::string> words;
    for (char* word = std::strtok(line.data(), " "); word != nullptr; word = std::strtok(nullptr, " ")) words.emplace_back(word);
    auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 9 || words[4] != point || dash == words.end()) continue;
    std::string propagation;
    for (auto word = words.begin() + 6; word != dash; ++word) propagation += word->substr(0, word->find(':')) + ",";
    found = words[3] + " " + dash[1] + " " + words[5] + " " + (propagation.empty() ? "private," : propagation) + " " + dash[3];
  }
  return found;
}

std::string limit_of(const std::string& number) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource>(std::atoi(number.c_str())), &limit) != 0) return error_text(errno);
  return std::to_string(limit.rlim_cur) + ":" + std::to_string(limit.rlim_max);
}

std::string make_device(const std::string& path) {
  if (::mknod(path.c_str(), S_IFBLK | 0600, makedev(7, 0)) != 0) return error_text(errno);
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  int err = errno;
  ::unlink(path.c_str());
  if (fd < 0) return error_text(err);
  ::close(fd);
  return "opened";
}

// What an attacker inside does who waits for the runtime to execute itself there (CVE-2019-5736): keeps the program file of
// any process that does not run our own program, and opens it for writing once nobody executes it any more.
std::string hunt_runtime() {
  struct stat own{};
  ::stat("/proc/self/exe", &own);
  for (int round = 0; round < 2000; ++round, ::poll(nullptr, 0, 5)) {
    for (int pid = 2; pid < 100; ++pid) {
      std::string exe = "/proc/" + std::to_string(pid) + "/exe";
      int fd = ::open(exe.c_str(), O_PATH | O_CLOEXEC);
      if (fd < 0) continue;
      struct stat st{};
      ::fstat(fd, &st);
      if (st.st_ino == own.st_ino) {
        ::close(fd);
        continue;
      }
      std::printf("hunter=found\n");
      std::fflush(stdout);
      std::string again = "/proc/self/fd/" + std::to_string(fd);
      for (int attempt = 0; attempt < 2000; ++attempt, ::poll(nullptr, 0, 5)) {
        int writable = ::open(again.c_str(), O_WRONLY | O_CLOEXEC);
        if (writable >= 0) return "WRITABLE";
        if (errno != ETXTBSY) return error_text(errno);
      }
      return "busy";
    }
  }
  return "nothing found";
}

std::string number(long value) { return value < 0 ? error_text(errno) : std::to_string(value); }

std::string offset_of_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return std::to_string(now.tv_sec);
}

std::string groups() {
  std::vector<gid_t> ids(65536);
  int n = ::getgroups(static_cast<int>(ids.size()), ids.data());
  std::string text;
  for (int i = 0; i < n; ++i) text += (i > 0 ? " " : "") + std::to_string(ids[static_cast<std::size_t>(i)]);
  return text;
}

std::string affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  std::string text;
  for (std::size_t i = 0; i < CPU_SETSIZE; ++i)
    if (CPU_ISSET(i, &set)) text += (text.empty() ? "" : ",") + std::to_string(i);
  return text;
}

// "up 10.0.0.1/24 fd00::1/64", without what is local to the link; "none" without such a device.
std::string addresses_of(const std::string& name) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return error_text(errno);
  std::vector<std::string> found;
  std::string text = "none";
  for (const ifaddrs* entry = all; entry != nullptr; entry = entry->ifa_next) {
    if (name != entry->ifa_name) continue;
    text = (entry->ifa_flags & IFF_UP) != 0 ? "up" : "down";
    if (entry->ifa_addr == nullptr || (entry->ifa_addr->sa_family != AF_INET && entry->ifa_addr->sa_family != AF_INET6)) continue;
    const bool six = entry->ifa_addr->sa_family == AF_INET6;
    auto bytes = [&](const sockaddr* address) {
      return six ? reinterpret_cast<const unsigned char*>(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr)
                 : reinterpret_cast<const unsigned char*>(&reinterpret_cast<const sockaddr_in*>(address)->sin_addr);
    };
    const auto* address = bytes(entry->ifa_addr);
    if (six && address[0] == 0xfe && address[1] == 0x80) continue;
    int length = 0;
    for (int i = 0; i < (six ? 16 : 4); ++i) length += __builtin_popcount(bytes(entry->ifa_netmask)[i]);
    char shown[INET6_ADDRSTRLEN];
    ::inet_ntop(entry->ifa_addr->sa_family, address, shown, sizeof shown);
    found.push_back(std::string(shown) + "/" + std::to_string(length));
  }
  ::freeifaddrs(all);
  std::sort(found.begin(), found.end());
  for (const auto& entry : found) text += " " + entry;
  return text;
}

// "MODE NODES": the policy with its flags, and the mask of the first nodes.
std::string memory_policy() {
  int mode = 0;
  std::array<unsigned long, 16> nodes{};
  if (::syscall(SYS_get_mempolicy, &mode, nodes.data(), nodes.size() * 64, nullptr, 0) != 0) return error_text(errno);
  return std::to_string(mode) + " " + std::to_string(nodes[0]);
}

std::string look(const std::string& what, const std::string& at) {
  if (what == "id") return std::to_string(::getuid()) + ":" + std::to_string(::getgid()) + " " + groups();
  if (what == "read") return read_text(at);
  if (what == "write") return attempt_write(at);
  if (what == "stat") return describe_file(at);
  if (what == "link") return read_link(at);
  if (what == "list") return list(at);
  if (what == "status") return status_field(at);
  if (what == "mount") return mount_of(at);
  if (what == "limit") return limit_of(at);
  if (what == "device") return make_device(at);
  if (what == "hunt") return hunt_runtime();
  if (what == "umask") return std::to_string(::umask(0));
  if (what == "pid") return std::to_string(::getpid());
  if (what == "nice") return std::to_string(::getpriority(PRIO_PROCESS, 0));
  if (what == "policy") return number(::sched_getscheduler(0));
  if (what == "ioprio") return number(::syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0));
  if (what == "personality") return number(::personality(0xffffffff));
  if (what == "keyring") return number(::syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3, 0));
  if (what == "boottime") return offset_of_clock(CLOCK_BOOTTIME);
  if (what == "addresses") return addresses_of(at);
  if (what == "mempolicy") return memory_policy();
  if (what == "affinity") return affinity();
  if (what == "mkdir") return ::mkdir(at.c_str(), 0700) == 0 ? "ok" : error_text(errno);
  if (what == "sethostname") return ::sethostname(at.data(), at.size()) == 0 ? "ok" : error_text(errno);
  if (what == "terminal") return ::isatty(0) == 1 ? "yes" : "no";
  if (what == "env") {
    const char* value = ::getenv(at.c_str());
    return value != nullptr ? value : "none";
  }
  if (what == "cwd") {
    char buffer[4096];
    return ::getcwd(buffer, sizeof buffer) != nullptr ? buffer : error_text(errno);
  }
  return "unknown look";
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    auto colon = word.find(':');
    std::string what = word.substr(0, colon);
    std::string at = colon == std::string::npos ? "" : word.substr(colon + 1);
    if (what == "exit") return std::atoi(at.c_str());
    if (what == "wait") {
      ::signal(SIGTERM, [](int) { ::_exit(42); });
      std::printf("waiting\n");
      std::fflush(stdout);
      while (true) {
        int status = 0;
        if (::wait(&status) < 0) ::pause();
      }
    }
    if (what == "touch") {  // for hooks: leaves a file with its standard input in it
      std::string text = read_text("/proc/self/fd/0");
      int fd = ::open(at.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
      if (fd < 0 || ::write(fd, (text + "\n").data(), text.size() + 1) < 0) return 1;
      continue;
    }
    std::printf("%s=%s\n", word.c_str(), look(what, at).c_str());
    std::fflush(stdout);
  }
  return 0;
}
