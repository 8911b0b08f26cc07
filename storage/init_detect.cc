#include "storage/init_detect.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "base/files.h"

namespace vps::storage {
namespace {

constexpr std::array<std::string_view, 6> kNames = {"none", "systemd", "sysvinit", "openrc", "busybox", "other"};

// The kernel's own order (init/main.c: /sbin/init, /etc/init, /bin/init), then where merged and unusual trees keep it.
constexpr std::array<std::string_view, 8> kInitPaths = {
    "/sbin/init",           "/etc/init",                "/bin/init",         "/usr/sbin/init",
    "/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/sbin/openrc-init", "/init"};
constexpr std::array<std::string_view, 6> kSearchPath = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                                         "/usr/bin",        "/sbin",          "/bin"};
constexpr int kMaxLinks = 40;                      // the kernel's limit (path_resolution(7))
constexpr std::size_t kScanLimit = 8u << 20;       // of a binary that has no telling name

struct Found {
  std::string resolved;
  UniqueFd fd;  // O_PATH
  struct stat st{};
};

// Follows the last component's links one by one, because the name of what stands at the end tells the kind. Directories
// on the way are left to the kernel. nullopt: nothing executable there.
Result<std::optional<Found>> resolve(int root_fd, std::string path) {
  for (int i = 0; i < kMaxLinks; ++i) {
    auto fd = open_in_root(root_fd, path, O_PATH | O_NOFOLLOW);
    if (!fd) {
      int err = fd.error().err();
      if (err == ENOENT || err == ENOTDIR || err == ELOOP || err == ENAMETOOLONG) return std::nullopt;
      return std::unexpected(std::move(fd).error());
    }
    Found found{path, std::move(*fd), {}};
    if (::fstat(found.fd.get(), &found.st) != 0) return fail_errno(errno, "stat {}", path);
    if (S_ISREG(found.st.st_mode)) {
      if ((found.st.st_mode & 0111) == 0) return std::nullopt;
      return found;
    }
    if (!S_ISLNK(found.st.st_mode)) return std::nullopt;
    auto target = VPS_TRY(read_link_at(found.fd.get(), ""));
    if (target.empty()) return std::nullopt;
    path = target.front() == '/' ? target : path.substr(0, path.rfind('/') + 1) + target;
  }
  return std::nullopt;
}

Result<bool> is_busybox_inode(int root_fd, const struct stat& st) {
  for (std::string_view path : {"/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"}) {
    auto other = VPS_TRY(resolve(root_fd, std::string(path)));
    if (other && other->st.st_dev == st.st_dev && other->st.st_ino == st.st_ino) return true;
  }
  return false;
}

// A file called just "init" is told by the texts that its program cannot do without.
Result<InitKind> kind_by_content(int root_fd, const Found& found) {
  auto fd = VPS_TRY(open_in_root(root_fd, found.resolved, O_RDONLY | O_NONBLOCK));
  std::string data;
  data.resize(std::min(static_cast<std::size_t>(found.st.st_size), kScanLimit));
  std::size_t done = 0;
  while (done < data.size()) {
    ssize_t n = ::pread(fd.get(), data.data() + done, data.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "read {}", found.resolved);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  data.resize(done);
  auto has = [&](std::string_view text) { return data.find(text) != std::string::npos; };
  if (!data.starts_with("\x7f" "ELF")) return InitKind::kOther;
  if (has("BusyBox v")) return InitKind::kBusybox;
  if (has("/etc/inittab") && has("initctl")) return InitKind::kSysvinit;
  if (has("systemd.unit=")) return InitKind::kSystemd;
  if (has("openrc")) return InitKind::kOpenrc;
  return InitKind::kOther;
}

// `path` is what was asked for: busybox decides by its own name what to be, so /bin/sleep there is a program, not an init.
Result<InitKind> kind_of(int root_fd, const std::string& path, const Found& found) {
  std::string name = found.resolved.substr(found.resolved.rfind('/') + 1);
  std::string asked = path.substr(path.rfind('/') + 1);
  const bool busybox_runs_init = asked == "init" || asked == "linuxrc";
  if (name == "systemd") return InitKind::kSystemd;
  if (name == "openrc-init") return InitKind::kOpenrc;
  if (name.starts_with("busybox") || VPS_TRY(is_busybox_inode(root_fd, found.st)))
    return busybox_runs_init ? InitKind::kBusybox : InitKind::kOther;
  if (name == "init" || name.starts_with("sysvinit")) return kind_by_content(root_fd, found);
  return InitKind::kOther;
}

std::vector<std::string> candidates(const std::string& program) {
  std::vector<std::string> paths;
  if (program.empty()) {
    paths.assign(kInitPaths.begin(), kInitPaths.end());
  } else if (program.find('/') != std::string::npos) {
    paths.push_back(program.front() == '/' ? program : "/" + program);
  } else {
    for (auto dir : kSearchPath) paths.push_back(std::string(dir) + "/" + program);
  }
  return paths;
}

}  // namespace

std::string_view init_kind_name(InitKind kind) {
  auto index = static_cast<std::size_t>(kind);
  return index < kNames.size() ? kNames[index] : kNames[0];
}

InitKind init_kind_from_name(std::string_view name) {
  auto at = std::ranges::find(kNames, name);
  return at == kNames.end() ? InitKind::kNone : static_cast<InitKind>(at - kNames.begin());
}

Result<DetectedInit> detect_init(int root_fd, const std::string& program) {
  DetectedInit result;
  for (auto& path : candidates(program)) {
    result.looked_for.push_back(path);
    auto found = VPS_TRY_CTX("look for an init", resolve(root_fd, path));
    if (!found) continue;
    result.kind = VPS_TRY_CTX("look for an init", kind_of(root_fd, path, *found));
    result.path = std::move(path);
    result.resolved = std::move(found->resolved);
    break;
  }
  return result;
}

}  // namespace vps::storage
