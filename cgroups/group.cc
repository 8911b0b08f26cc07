// Group: making, opening, joining, delegating and removing one container's groups, and applying its limits.
#include "cgroups/cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/files.h"
#include "base/log.h"
#include "base/undo.h"
#include "cgroups/execute.h"
#include "cgroups/text.h"
#include "cgroups/tree.h"

namespace vps::cgroups {
namespace {

// What every group gets on the v2 tree, limits or not: figures for accounting, and the delegate's own use. Others (hugetlb,
// rdma, misc) are handed out when a limit asks for them.
constexpr std::array<std::string_view, 5> kUsual{"cpu", "cpuset", "io", "memory", "pids"};

constexpr int kRaces = 16;  // with removals and creations of neighbours below common parents

using Controllers = std::vector<std::string>;

bool contains(const Controllers& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// Hands `wanted` (those that the group has itself) to the children of the group `dirfd`.
Result<> enable_controllers(int dirfd, const Controllers& wanted, const std::string& shown) {
  auto available = words(VPS_TRY(read_file_at(dirfd, "cgroup.controllers")));
  auto enabled = words(VPS_TRY(read_file_at(dirfd, "cgroup.subtree_control")));
  Controllers missing;
  for (const auto& name : wanted)
    if (contains(available, name) && !contains(enabled, name)) missing.push_back("+" + name);
  if (missing.empty()) return {};
  auto refused = [&](const Error& error) -> Result<> {
    if (error.err() == EBUSY)
      return fail(Code::kBusy, "cgroup {} holds processes itself, so it cannot give controllers to its children: move them to "
                  "a sub-cgroup", shown);
    return {};
  };
  auto all = write_kernel_file_at(dirfd, "cgroup.subtree_control", fmt::format("{}", fmt::join(missing, " ")));
  if (all) return {};
  VPS_TRY(refused(all.error()));
  // One of them is refused (cpu while realtime tasks run, say): the others are not to suffer, and a limit that needs the
  // missing one will be said to be unavailable.
  for (const auto& name : missing) {
    auto one = write_kernel_file_at(dirfd, "cgroup.subtree_control", name);
    if (!one) log::debug("cgroup {}: enable {}: {}", shown, name, one.error().to_string());
  }
  return {};
}

// v1 cpusets start without cpus and memory nodes, and take no process so: inherit the parent's. Idempotent.
Result<> inherit_cpuset(int parent, int child) {
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    auto own = VPS_TRY(read_file_at(child, file));
    if (!trimmed(own).empty()) continue;
    auto value = VPS_TRY(read_file_at(parent, file));
    if (!trimmed(value).empty()) VPS_TRY(write_kernel_file_at(child, file, trimmed(value)));
  }
  return {};
}

struct Tree {
  const std::string& base;
  const V1Hierarchy* v1;  // null: the v2 tree
  const Controllers& controllers;

  [[nodiscard]] std::string shown(const std::string& path) const { return path.empty() ? base : base + "/" + path; }
  [[nodiscard]] bool has_cpuset() const { return v1 != nullptr && contains(v1->controllers, "cpuset"); }
  // What a level needs before its child `child` is used.
  Result<> prepare(int parent, int child, bool leaf) const {
    if (!has_cpuset()) return {};
    VPS_TRY(inherit_cpuset(parent, child));
    // Groups below are born with the lists: to write them there makes the kernel look at all groups and build its scheduling domains
    // anew, which takes longer the more groups there are. Without that the lists are written.
    if (!leaf) (void)write_kernel_file_at(child, "cgroup.clone_children", "1");
    return {};
  }
};

// A group that exists under our name: a leftover. Empty it goes, so that nothing of its settings stays.
Result<> clear_leftover(int parent, const std::string& name, const std::string& shown) {
  auto fd = open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!fd && fd.error().err() == ENOENT) return {};
  if (!fd) return std::unexpected(std::move(fd).error());
  auto pids = VPS_TRY(subtree_processes(fd->get()));
  if (!pids.empty())
    return fail(Code::kBusy, "cgroup {} exists and holds {} process{} (pid {}{})", shown, pids.size(), pids.size() == 1 ? "" : "es",
                pids.front(), pids.size() == 1 ? "" : ", ...");
  // Processes that are just ending are not listed any more, but hold the group.
  auto settled = wait_for(fd->get(), "cgroup.events", "populated", "0", kSettleTimeout);
  if (!settled && settled.error().code() == Code::kTimedOut) return settled;
  return remove_group(parent, name);
}

Result<UniqueFd> make_level(const Tree& tree, int parent, const std::string& name, const std::string& path, bool leaf,
                            UndoStack& undo) {
  bool made = ::mkdirat(parent, name.c_str(), 0755) == 0;
  if (!made && errno != EEXIST) return fail_errno(errno, "make cgroup {}", tree.shown(path));
  if (!made && leaf) {
    VPS_TRY(clear_leftover(parent, name, tree.shown(path)));
    if (::mkdirat(parent, name.c_str(), 0755) != 0) return fail_errno(errno, "make cgroup {}", tree.shown(path));
    made = true;
  }
  if (made) undo.push(path, [at = tree.shown(path)] { ::rmdir(at.c_str()); });
  auto fd = open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!fd) return std::unexpected(std::move(fd).error().wrap("cgroup " + tree.shown(path)));
  VPS_TRY_CTX("cgroup " + tree.shown(path), tree.prepare(parent, fd->get(), leaf));
  return std::move(*fd);
}

Result<UniqueFd> make_path_once(const Tree& tree, const std::string& path, UndoStack& undo) {
  auto current = VPS_TRY(open_dir(tree.base));
  std::string done;
  auto parts = split(path, '/');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (tree.v1 == nullptr) VPS_TRY(enable_controllers(current.get(), tree.controllers, tree.shown(done)));
    done += (done.empty() ? "" : "/") + std::string(parts[i]);
    current = VPS_TRY(make_level(tree, current.get(), std::string(parts[i]), done, i + 1 == parts.size(), undo));
  }
  return current;
}

// A new leaf below parents that are ready, as after the first container: nothing is looked at on the way. No value: level by
// level, then.
std::optional<UniqueFd> make_leaf_at_once(const Tree& tree, const std::string& path, UndoStack& undo) {
  const std::string at = tree.shown(path);
  if (::mkdir(at.c_str(), 0755) != 0) return std::nullopt;
  auto fd = open_path(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  bool ready = static_cast<bool>(fd);
  if (ready && tree.has_cpuset())
    for (const char* file : {"cpuset.cpus", "cpuset.mems"}) ready = ready && !trimmed(read_file_at(fd->get(), file).value_or(std::string())).empty();
  if (ready && tree.v1 == nullptr && !tree.controllers.empty()) {
    auto available = read_file_at(fd->get(), "cgroup.controllers");
    auto has = available ? words(*available) : Controllers();
    ready = std::ranges::all_of(tree.controllers, [&](const std::string& name) { return contains(has, name); });
  }
  if (!ready) {
    ::rmdir(at.c_str());
    return std::nullopt;
  }
  undo.push(path, [at] { ::rmdir(at.c_str()); });
  return std::move(*fd);
}

Result<UniqueFd> make_path(const Tree& tree, const std::string& path, UndoStack& undo) {
  if (auto leaf = make_leaf_at_once(tree, path, undo)) return std::move(*leaf);
  for (int i = 0;; ++i) {
    auto fd = make_path_once(tree, path, undo);
    // A neighbour's failed creation may have taken a common parent away between two of our steps.
    bool race = !fd && (fd.error().err() == ENOENT || fd.error().err() == ENODEV) && path_exists(tree.base);
    if (!race || i == kRaces) return fd;
  }
}

Controllers usual_controllers(const Host& host) {
  Controllers list;
  for (auto name : kUsual)
    if (host.where(name) == Where::kUnified) list.emplace_back(name);
  return list;
}

Result<std::optional<UniqueFd>> open_existing(const std::string& base, const std::string& path) {
  auto fd = open_path(base + "/" + path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (fd) return std::optional(std::move(*fd));
  if (fd.error().err() == ENOENT) return std::optional<UniqueFd>();
  return std::unexpected(std::move(fd).error());
}

Result<> chown_files(int dirfd, const Controllers& files, uid_t uid, gid_t gid) {
  if (::fchown(dirfd, uid, gid) != 0) return fail_errno(errno, "chown to {}:{}", uid, gid);
  for (const auto& file : files) {
    // Not every group has every file: only those of its controllers.
    if (::fchownat(dirfd, file.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT)
      return fail_errno(errno, "chown {} to {}:{}", file, uid, gid);
  }
  return {};
}

// Removes `path` below `base`; processes are killed first.
Result<> remove_path(const std::string& base, const std::string& path) {
  auto slash = path.rfind('/');
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  auto parent = slash == std::string::npos ? VPS_TRY(open_existing(base, "."))
                                           : VPS_TRY(open_existing(base, path.substr(0, slash)));
  if (!parent) return {};
  auto found = open_at(parent->get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!found && found.error().err() == ENOENT) return {};
  if (!found) return std::unexpected(std::move(found).error());
  auto own = VPS_TRY(subtree_processes(found->get()));
  if (std::binary_search(own.begin(), own.end(), ::getpid()))
    return fail(Code::kWrongState, "cgroup {}/{} holds the process that is to remove it", base, path);
  if (write_kernel_file_at(found->get(), "cgroup.kill", "1")) {
    VPS_TRY(wait_for(found->get(), "cgroup.events", "populated", "0", kSettleTimeout));
  } else {
    VPS_TRY(kill_by_signal(found->get(), kSettleTimeout));
  }
  return remove_group(parent->get(), name);
}

}  // namespace

Result<Group> Group::create(const Host& host, const std::string& raw_path) {
  auto path = VPS_TRY(normal_path(raw_path));
  UndoStack undo;
  Group group;
  group.host_ = host;
  group.path_ = path;
  const auto controllers = usual_controllers(host);
  group.unified_ = VPS_TRY(make_path({host.unified_base, nullptr, controllers}, path, undo));
  for (const auto& hierarchy : host.v1) {
    auto fd = VPS_TRY(make_path({hierarchy.base, &hierarchy, controllers}, host.path_in_v1(path), undo));
    group.v1_.push_back({hierarchy, std::move(fd)});
  }
  undo.commit();
  return group;
}

Result<Group> Group::open(const Host& host, const std::string& raw_path) {
  Group group;
  group.host_ = host;
  group.path_ = VPS_TRY(normal_path(raw_path));
  auto unified = VPS_TRY(open_existing(host.unified_base, group.path_));
  if (!unified) return fail(Code::kNotFound, "no cgroup {}/{}", host.unified_base, group.path_);
  group.unified_ = std::move(*unified);
  for (const auto& hierarchy : host.v1) {
    auto fd = VPS_TRY(open_existing(hierarchy.base, host.path_in_v1(group.path_)));
    if (fd) group.v1_.push_back({hierarchy, std::move(*fd)});
  }
  return group;
}

Result<Group> Group::adopt(const Host& host, const std::string& raw_path) {
  auto group = VPS_TRY(open(host, raw_path));
  UndoStack undo;
  const auto controllers = usual_controllers(host);
  for (const auto& hierarchy : host.v1) {
    if (std::ranges::any_of(group.v1_, [&](const V1Dir& dir) { return dir.hierarchy == hierarchy; })) continue;
    auto fd = VPS_TRY(make_path({hierarchy.base, &hierarchy, controllers}, host.path_in_v1(group.path_), undo));
    group.v1_.push_back({hierarchy, std::move(fd)});
  }
  undo.commit();
  return group;
}

Result<> Group::remove(const Host& host, const std::string& raw_path) {
  auto path = VPS_TRY(normal_path(raw_path));
  // Mostly nothing is left in it.
  const auto v1_path = host.path_in_v1(path);
  auto goes_at_once = [](const std::string& base, const std::string& at) { return ::rmdir((base + "/" + at).c_str()) == 0 || errno == ENOENT; };
  std::vector<const V1Hierarchy*> left;
  bool unified_left = !goes_at_once(host.unified_base, path);
  for (const auto& hierarchy : host.v1)
    if (!goes_at_once(hierarchy.base, v1_path)) left.push_back(&hierarchy);
  if (!unified_left && left.empty()) return {};
  // SIGKILL reaches what the v2 freezer holds, but not what somebody froze with v1's.
  if (const auto* freezer = host.find_v1("freezer")) {
    auto fd = VPS_TRY(open_existing(freezer->base, v1_path));
    if (fd) (void)write_kernel_file_at(fd->get(), "freezer.state", "THAWED");
  }
  // The v2 tree first: its cgroup.kill ends all processes at once, and they leave all hierarchies together.
  VPS_TRY(remove_path(host.unified_base, path));
  for (const auto* hierarchy : left) VPS_TRY(remove_path(hierarchy->base, v1_path));
  return {};
}

int Group::v1_fd(std::string_view controller) const {
  for (const auto& dir : v1_)
    if (contains(dir.hierarchy.controllers, controller)) return dir.fd.get();
  return -1;
}

int Group::fd_of(std::string_view hierarchy) const { return hierarchy.empty() ? unified_.get() : v1_fd(hierarchy); }

std::vector<Group::Place> Group::places() const {
  if (host_.v1.empty()) return {{"", unified_.get()}};
  auto last = [](const std::string& path) { return path.substr(path.rfind('/') + 1); };
  std::vector<Place> places;
  for (const auto& dir : v1_) places.push_back({last(dir.hierarchy.mount), dir.fd.get()});
  places.push_back({"unified", unified_.get()});
  return places;
}

Result<std::vector<UniqueFd>> Group::v1_entries() const {
  std::vector<UniqueFd> entries;
  for (const auto& dir : v1_) entries.push_back(VPS_TRY_CTX(dir.hierarchy.base + "/" + host_.path_in_v1(path_), open_at(dir.fd.get(), "tasks", O_WRONLY)));
  return entries;
}

Result<> Group::join_v1() const {
  auto entries = VPS_TRY(v1_entries());
  return enter_v1(entries);
}

Result<> enter_v1(const std::vector<UniqueFd>& entries) {
  // A thread that moves itself needs no lock over all forks and exits (cgroup_procs_write_start() since 5.5): "0" to tasks,
  // not a pid to cgroup.procs.
  for (const auto& entry : entries)
    if (::write(entry.get(), "0", 1) != 1) return fail_errno(errno, "enter a v1 cgroup");
  return {};
}

Result<> Group::delegate(uid_t uid, gid_t gid) const {
  VPS_TRY_CTX("delegate cgroup " + path_, chown_files(unified_.get(), host_.delegate_files, uid, gid));
  int systemd = v1_fd("name=systemd");
  if (systemd >= 0) VPS_TRY_CTX("delegate cgroup " + path_, chown_files(systemd, {"cgroup.procs", "tasks"}, uid, gid));
  return {};
}

Result<CgroupPlan> Group::plan(const oci::Resources& resources) {
  auto has_file = [&](std::string_view hierarchy, std::string_view file) {
    int dirfd = fd_of(hierarchy);
    return dirfd >= 0 && ::faccessat(dirfd, std::string(file).c_str(), F_OK, 0) == 0;
  };
  // First as if every controller of the base were here, to learn which ones must be.
  auto wanted = VPS_TRY(plan_limits(host_, resources, [](std::string_view, std::string_view) { return true; }));
  auto present = words(VPS_TRY(read_file_at(unified_.get(), "cgroup.controllers")));
  bool all = std::all_of(wanted.controllers.begin(), wanted.controllers.end(),
                         [&](const std::string& name) { return contains(present, name); });
  if (!all) {
    auto dir = VPS_TRY(open_dir(host_.unified_base));
    std::string done;
    for (auto part : split(path_, '/')) {
      VPS_TRY(enable_controllers(dir.get(), wanted.controllers, host_.unified_base + "/" + done));
      done += (done.empty() ? "" : "/") + std::string(part);
      dir = VPS_TRY(open_at(dir.get(), std::string(part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    }
    present = words(VPS_TRY(read_file_at(unified_.get(), "cgroup.controllers")));
  }
  Host here = host_;
  here.unified_controllers = std::move(present);
  return plan_limits(here, resources, has_file);
}

Result<std::vector<Enforcement>> Group::apply(const oci::Resources& resources) {
  auto todo = VPS_TRY_CTX("cgroup " + path_, plan(resources));
  VPS_TRY_CTX("cgroup " + path_, execute_plan(todo, [&](const std::string& hierarchy) { return fd_of(hierarchy); }));
  return std::move(todo.limits);
}

std::vector<Enforcement> Group::explain(const Host& host, const oci::Resources& resources) {
  auto plan = plan_limits(host, resources);
  if (plan) return std::move(plan->limits);
  return {{"resources", "", Enforcement::Kind::kUnavailable, "", plan.error().to_string()}};
}

}  // namespace vps::cgroups
