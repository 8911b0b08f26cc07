#include "tests/support/leak_check.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <sstream>

#include "base/files.h"
#include "tests/support/command.h"

namespace vps::test {
namespace {

namespace fs = std::filesystem;

struct Mount {
  std::string root, point, type, source;
};

// proc_pid_mountinfo(5): id parent major:minor root mountpoint options [optional]... - type source superoptions
Result<std::vector<Mount>> read_mounts(const std::string& proc_root) {
  std::istringstream text(VPS_TRY(read_file(proc_root + "/self/mountinfo")));
  std::vector<Mount> mounts;
  for (std::string line; std::getline(text, line);) {
    std::istringstream fields(line);
    Mount mount;
    std::string skipped, field;
    fields >> skipped >> skipped >> skipped >> mount.root >> mount.point;
    while (fields >> field && field != "-") continue;
    fields >> mount.type >> mount.source;
    mounts.push_back(mount);
  }
  return mounts;
}

// Every directory below `path`; entries that vanish meanwhile are nobody's leak.
void list_directories(const fs::path& path, const std::string& category, LeakSnapshot& snapshot) {
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (!it->is_directory(ignored) || it->is_symlink(ignored)) continue;
    ++snapshot[category][it->path().string()];
    list_directories(it->path(), category, snapshot);
  }
}

void list_files(const LeakScope& scope, const fs::path& path, LeakSnapshot& snapshot) {
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().string();
    if (std::any_of(scope.ignored_files.begin(), scope.ignored_files.end(), [&](const auto& prefix) { return name.starts_with(prefix); })) continue;
    ++snapshot["file"][name];
    std::error_code ignored;
    if (it->is_directory(ignored) && !it->is_symlink(ignored)) list_files(scope, it->path(), snapshot);
  }
}

void list_processes(const LeakScope& scope, LeakSnapshot& snapshot) {
  auto names = list_dir(scope.proc_root);
  if (!names) return;
  const std::string self = std::to_string(::getpid());
  for (const auto& pid : *names) {
    if (pid.find_first_not_of("0123456789") != std::string::npos || pid == self) continue;
    std::string directory = scope.proc_root + "/" + pid;
    auto groups = read_file(directory + "/cgroup");
    auto command = read_file(directory + "/cmdline");
    if (!groups || !command) continue;
    std::replace(command->begin(), command->end(), '\0', ' ');
    bool ours = !scope.cgroup_name.empty() && groups->find("/" + scope.cgroup_name + "/") != std::string::npos;
    ours = ours || (!scope.root.empty() && command->find(scope.root) != std::string::npos);
    if (!ours) continue;
    auto name = read_file(directory + "/comm");
    ++snapshot["process"][pid + " " + (command->empty() && name ? "[" + *name + "]" : *command)];
  }
}

// A child that nobody has reaped, or that still runs.
void list_children(const LeakScope& scope, LeakSnapshot& snapshot) {
  auto tasks = list_dir(scope.proc_root + "/self/task");
  if (!tasks) return;
  for (const auto& task : *tasks) {
    auto children = read_file(scope.proc_root + "/self/task/" + task + "/children");
    if (!children) continue;
    std::istringstream pids(*children);
    for (std::string pid; pids >> pid;) {
      auto name = read_file(scope.proc_root + "/" + pid + "/comm");
      ++snapshot["child"][pid + " " + (name ? name->substr(0, name->find('\n')) : "?")];
    }
  }
}

// "socket:[123]" -> "socket": which object it is changes, how many there are must not.
std::string descriptor_kind(const std::string& target) {
  auto bracket = target.find(":[");
  if (target.starts_with("anon_inode")) return target;
  return bracket == std::string::npos ? target : target.substr(0, bracket);
}

void list_descriptors(const LeakScope& scope, LeakSnapshot& snapshot) {
  if (scope.daemon == 0) return;
  std::string directory = scope.proc_root + "/" + std::to_string(scope.daemon) + "/fd";
  auto names = list_dir(directory);
  if (!names) return;
  for (const auto& name : *names)
    if (auto target = read_link_at(AT_FDCWD, directory + "/" + name)) ++snapshot["fd"][descriptor_kind(*target)];
}

}  // namespace

Result<LeakSnapshot> take_snapshot(const LeakScope& scope) {
  LeakSnapshot snapshot;
  auto mounts = VPS_TRY(read_mounts(scope.proc_root));
  for (const auto& mount : mounts) {
    bool cgroup = mount.type == "cgroup" || mount.type == "cgroup2";
    if (cgroup && !scope.cgroup_name.empty()) list_directories(mount.point + "/" + scope.cgroup_name, "cgroup", snapshot);
    bool ours = !scope.root.empty() && (mount.point.starts_with(scope.root + "/") || mount.root.starts_with(scope.root + "/"));
    if (ours) ++snapshot["mount"][mount.point + " (" + mount.type + ")"];
  }
  if (auto links = list_dir(scope.net_root))
    for (const auto& link : *links)
      for (const auto& prefix : scope.link_prefixes)
        if (link.starts_with(prefix)) ++snapshot["link"][link];
  list_processes(scope, snapshot);
  if (scope.children) list_children(scope, snapshot);
  list_descriptors(scope, snapshot);
  for (const auto& tree : scope.file_trees) list_files(scope, tree, snapshot);
  return snapshot;
}

std::vector<std::string> leftovers(const LeakSnapshot& before, const LeakSnapshot& after) {
  std::vector<std::string> result;
  for (const auto& [category, names] : after) {
    auto old = before.find(category);
    for (const auto& [name, count] : names) {
      int known = 0;
      if (old != before.end())
        if (auto it = old->second.find(name); it != old->second.end()) known = it->second;
      if (count > known) result.push_back(category + ": " + name + (count > 1 ? " (" + std::to_string(known) + " before, " + std::to_string(count) + " now)" : ""));
    }
  }
  return result;
}

void force_clean(const LeakScope& scope) {
  if (auto mounts = read_mounts(scope.proc_root)) {
    // Later mounts may lie on earlier ones.
    for (auto mount = mounts->rbegin(); mount != mounts->rend(); ++mount) {
      if (!scope.root.empty() && mount->point.starts_with(scope.root + "/")) (void)::umount2(mount->point.c_str(), MNT_DETACH);
      if (mount->type == "cgroup2" && !scope.cgroup_name.empty()) {
        auto kill = open_path(mount->point + "/" + scope.cgroup_name + "/cgroup.kill", O_WRONLY);
        if (kill) (void)write_all(kill->get(), "1");
      }
    }
  }
  // A killed process holds its group for a moment.
  (void)eventually([&] {
    auto now = take_snapshot(scope);
    if (!now) return true;
    auto& groups = (*now)["cgroup"];
    for (auto group = groups.rbegin(); group != groups.rend(); ++group) (void)::rmdir(group->first.c_str());
    return groups.empty();
  }, std::chrono::seconds(5));
  if (auto mounts = read_mounts(scope.proc_root); mounts && !scope.cgroup_name.empty())
    for (const auto& mount : *mounts)
      if (mount.type.starts_with("cgroup")) (void)::rmdir((mount.point + "/" + scope.cgroup_name).c_str());
}

Result<std::vector<std::string>> check_leaks(const LeakScope& scope, const LeakSnapshot& before) {
  std::vector<std::string> left;
  bool clean = eventually([&] {
    auto after = take_snapshot(scope);
    left = after ? leftovers(before, *after) : std::vector<std::string>{"snapshot: " + after.error().to_string()};
    return left.empty();
  }, std::chrono::seconds(3));
  if (clean) return std::vector<std::string>{};
  return left;
}

}  // namespace vps::test
