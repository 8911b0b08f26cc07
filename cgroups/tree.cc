#include "cgroups/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/files.h"
#include "base/pidfd.h"
#include "base/units.h"
#include "cgroups/stats.h"
#include "cgroups/text.h"

namespace vps::cgroups {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxLevels = 32;
constexpr std::size_t kMaxDepth = 256;  // of a tenant's own sub-groups, against a recursion without end

bool gone(const Error& error) { return error.err() == ENOENT || error.err() == ENODEV; }

struct DirCloser {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

int milliseconds_until(Clock::time_point deadline) {
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, 60'000));
}

Result<UniqueFd> open_group(int parent, const std::string& name) {
  return open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

Result<> collect_processes(int dirfd, std::vector<pid_t>& pids, std::size_t depth) {
  auto text = read_file_at(dirfd, "cgroup.procs");
  if (!text) {
    // EOPNOTSUPP: a threaded sub-group; its processes are listed in the domain above it.
    if (!gone(text.error()) && text.error().err() != EOPNOTSUPP) return std::unexpected(std::move(text).error());
  } else {
    for (auto line : split(*text, '\n')) {
      auto pid = parse_u64(line);
      if (pid && *pid > 0 && *pid <= 0x7fffffff) pids.push_back(static_cast<pid_t>(*pid));
    }
  }
  if (depth == 0) return fail(Code::kFailed, "cgroups nest deeper than {} levels", kMaxDepth);
  for (const auto& name : VPS_TRY(sub_groups(dirfd))) {
    auto child = open_group(dirfd, name);
    if (!child && gone(child.error())) continue;
    if (!child) return std::unexpected(std::move(child).error());
    VPS_TRY(collect_processes(child->get(), pids, depth - 1));
  }
  return {};
}

Result<> add_up(int dirfd, const char* file, std::string_view key, std::uint64_t& sum, std::size_t depth) {
  if (auto text = read_file_at(dirfd, file)) sum += keyed_value(*text, key);
  if (depth == 0) return fail(Code::kFailed, "cgroups nest deeper than {} levels", kMaxDepth);
  for (const auto& name : VPS_TRY(sub_groups(dirfd))) {
    auto child = open_group(dirfd, name);
    if (!child && gone(child.error())) continue;
    if (!child) return std::unexpected(std::move(child).error());
    VPS_TRY(add_up(child->get(), file, key, sum, depth - 1));
  }
  return {};
}

Result<> remove_children_to(int dirfd, std::size_t depth);

Result<> remove_group_to(int parent, const std::string& name, std::size_t depth) {
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  if (errno != EBUSY && errno != ENOTEMPTY) return fail_errno(errno, "remove cgroup {}", name);
  auto fd = open_group(parent, name);
  if (!fd) {
    if (gone(fd.error())) return {};
    return std::unexpected(std::move(fd).error());
  }
  VPS_TRY_CTX(name, remove_children_to(fd->get(), depth));
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  return fail_errno(errno, "remove cgroup {}", name);
}

Result<> remove_children_to(int dirfd, std::size_t depth) {
  if (depth == 0) return fail(Code::kFailed, "cgroups nest deeper than {} levels", kMaxDepth);
  for (const auto& name : VPS_TRY(sub_groups(dirfd))) VPS_TRY(remove_group_to(dirfd, name, depth - 1));
  return {};
}

}  // namespace

Result<std::vector<std::string>> sub_groups(int dirfd) {
  std::vector<std::string> groups;
  auto own = open_group(dirfd, ".");  // readdir moves the offset of the caller's
  if (!own) {
    if (gone(own.error())) return groups;
    return std::unexpected(std::move(own).error());
  }
  std::unique_ptr<DIR, DirCloser> dir(::fdopendir(own->get()));
  if (!dir) return fail_errno(errno, "read directory");
  (void)own->release();
  while (true) {
    errno = 0;  // at the end readdir leaves it alone, on failure it sets it
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) break;
    std::string_view name = entry->d_name;
    // A group has tens of files beside its sub-groups: not one call for each.
    if (entry->d_type == DT_DIR && name != "." && name != "..") groups.emplace_back(name);
  }
  if (errno != 0 && errno != ENOENT && errno != ENODEV) return fail_errno(errno, "read directory");
  std::ranges::sort(groups);
  return groups;
}

Result<std::string> normal_path(std::string_view path) {
  std::string out;
  std::size_t levels = 0;
  for (auto part : split(path, '/')) {
    bool control = std::any_of(part.begin(), part.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
    if (part == "." || part == ".." || part.size() > 255 || control)
      return fail(Code::kUsage, "bad cgroup path '{}'", path);
    if (++levels > kMaxLevels) return fail(Code::kUsage, "cgroup path '{}' has more than {} levels", path, kMaxLevels);
    if (!out.empty()) out += '/';
    out += part;
  }
  if (out.empty()) return fail(Code::kUsage, "empty cgroup path");
  return out;
}

Result<std::string> keyed_word(int dirfd, const char* file, std::string_view key) {
  auto text = VPS_TRY(read_file_at(dirfd, file));
  auto line = line_of(text, key);
  if (line.size() <= key.size()) return fail(Code::kNotFound, "no '{}' in {}", key, file);
  return std::string(trimmed(line.substr(key.size())));
}

Result<> wait_for(int dirfd, const char* file, std::string_view key, std::string_view value,
                  std::chrono::milliseconds timeout) {
  auto deadline = Clock::now() + timeout;
  auto fd = VPS_TRY(open_at(dirfd, file, O_RDONLY));
  while (true) {
    // Reading arms the notification: poll returns for every change after it (kernfs).
    if (::lseek(fd.get(), 0, SEEK_SET) < 0) return fail_errno(errno, "read {}", file);
    auto text = read_fd(fd.get());
    if (!text) return std::unexpected(std::move(text).error().wrap(file));
    auto line = line_of(*text, key);
    if (line.empty()) return fail(Code::kNotFound, "no '{}' in {}", key, file);
    if (trimmed(line.substr(key.size())) == value) return {};
    int left = milliseconds_until(deadline);
    if (left == 0) return fail(Code::kTimedOut, "waited {} ms for '{} {}' in {}", timeout.count(), key, value, file);
    pollfd p{fd.get(), POLLPRI, 0};
    if (::poll(&p, 1, left) < 0 && errno != EINTR) return fail_errno(errno, "poll {}", file);
  }
}

Result<std::vector<pid_t>> subtree_processes(int dirfd) {
  std::vector<pid_t> pids;
  VPS_TRY(collect_processes(dirfd, pids, kMaxDepth));
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  return pids;
}

Result<std::uint64_t> subtree_sum(int dirfd, const char* file, std::string_view key) {
  std::uint64_t sum = 0;
  VPS_TRY(add_up(dirfd, file, key, sum, kMaxDepth));
  return sum;
}

Result<> kill_by_signal(int dirfd, std::chrono::milliseconds timeout) {
  auto deadline = Clock::now() + timeout;
  while (true) {
    auto pids = VPS_TRY(subtree_processes(dirfd));
    if (pids.empty()) return {};
    std::vector<PidFd> handles;
    for (pid_t pid : pids) {
      auto handle = PidFd::open(pid);
      if (handle) handles.push_back(std::move(*handle));
    }
    // A pid read before the handle was opened may be a stranger's by now: only who is still listed is killed.
    auto still = VPS_TRY(subtree_processes(dirfd));
    std::erase_if(handles, [&](const PidFd& h) { return !std::binary_search(still.begin(), still.end(), h.pid()); });
    for (const auto& handle : handles) VPS_TRY(handle.signal(SIGKILL));
    for (const auto& handle : handles) {
      pollfd p{handle.fd(), POLLIN, 0};
      while (::poll(&p, 1, milliseconds_until(deadline)) < 0 && errno == EINTR) continue;
    }
    if (milliseconds_until(deadline) == 0)
      return fail(Code::kTimedOut, "{} killed processes are still there after {} ms", still.size(), timeout.count());
  }
}

Result<> remove_children(int dirfd) { return remove_children_to(dirfd, kMaxDepth); }

Result<> remove_group(int parent, const std::string& name) { return remove_group_to(parent, name, kMaxDepth); }

}  // namespace vps::cgroups
