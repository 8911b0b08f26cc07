#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.h"
#include "namespaces/process.h"

namespace vps::namespaces {

namespace {

enum class Owner { kNetwork, kIpc, kUts };

// What a namespace owns, as paths below /proc/sys; a trailing slash means everything below. kernel/hostname is not here:
// the specification has a field of its own for it.
struct OwnedSysctl {
  std::string_view path;
  Owner owner;
};
constexpr OwnedSysctl kOwned[] = {
    {"fs/mqueue/", Owner::kIpc},     {"kernel/domainname", Owner::kUts}, {"kernel/msgmax", Owner::kIpc},
    {"kernel/msgmnb", Owner::kIpc},  {"kernel/msgmni", Owner::kIpc},     {"kernel/sem", Owner::kIpc},
    {"kernel/shm_rmid_forced", Owner::kIpc}, {"kernel/shmall", Owner::kIpc}, {"kernel/shmmax", Owner::kIpc},
    {"kernel/shmmni", Owner::kIpc},  {"net/", Owner::kNetwork},
};

constexpr std::size_t kMaxKey = 512;

bool matches(std::string_view pattern, std::string_view path) {
  return pattern.ends_with('/') ? path.size() > pattern.size() && path.starts_with(pattern) : path == pattern;
}

// sysctl(8): the first separator decides. "net.ipv4.conf.eth0/1.forwarding" and "net/ipv4/conf/eth0.1/forwarding" are one.
Result<std::string> sysctl_path(const std::string& key) {
  if (key.empty() || key.size() > kMaxKey) return fail(Code::kUsage, "sysctl key of {} characters", key.size());
  std::string path = key;
  auto first = key.find_first_of("./");
  if (first != std::string::npos && key[first] == '.') {
    for (char& c : path) c = c == '.' ? '/' : c == '/' ? '.' : c;
  }
  std::string_view rest = path;
  while (true) {
    std::string_view part = rest.substr(0, rest.find('/'));
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string_view::npos)
      return fail(Code::kUsage, "sysctl '{}' is not the name of a kernel parameter", key);
    if (part.size() == rest.size()) return path;
    rest.remove_prefix(part.size() + 1);
  }
}

}  // namespace

Result<> validate_sysctl(const std::string& key, bool own_network, bool own_ipc, bool own_uts) {
  std::string path = VPS_TRY(sysctl_path(key));
  for (const auto& entry : kOwned) {
    if (!matches(entry.path, path)) continue;
    bool owned = entry.owner == Owner::kNetwork ? own_network : entry.owner == Owner::kIpc ? own_ipc : own_uts;
    std::string_view name = entry.owner == Owner::kNetwork ? "network" : entry.owner == Owner::kIpc ? "ipc" : "uts";
    if (!owned) return fail(Code::kUsage, "sysctl {} needs a {} namespace of the container's own", key, name);
    return {};
  }
  if (path == "kernel/hostname") return fail(Code::kUsage, "sysctl {}: use the host name's own field", key);
  return fail(Code::kUsage, "sysctl {} is not owned by a namespace: it would change the host", key);
}

Result<> apply_sysctl(int proc_dirfd, const std::string& key, const std::string& value) {
  std::string path = VPS_TRY(sysctl_path(key));
  open_how how{};
  how.flags = O_WRONLY | O_CLOEXEC;
  // A mount or link below /proc/sys could turn the write to another file.
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, proc_dirfd, ("sys/" + path).c_str(), &how, sizeof how)));
  if (!fd) return fail_errno(errno, "open sysctl {}", key);
  ssize_t written = 0;
  do written = ::write(fd.get(), value.data(), value.size());
  while (written < 0 && errno == EINTR);
  if (written < 0) return fail_errno(errno, "set sysctl {} to '{}'", key, value);
  if (static_cast<std::size_t>(written) != value.size())
    return fail(Code::kUsage, "set sysctl {} to '{}': the kernel took {} of {} bytes", key, value, written, value.size());
  return {};
}

}  // namespace vps::namespaces
