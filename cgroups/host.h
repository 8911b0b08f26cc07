// Where the control groups of this host are and what they can do: found once per process, then a plain value.
//
// Sources: cgroups(7), proc(5) mountinfo, kernel Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/*.rst.
// Values, freely copyable between threads; discover() is re-entrant.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace vps::cgroups {

enum class Layout {
  kUnified,  // every controller is in the v2 tree
  kHybrid,   // v1 hierarchies hold controllers, a v2 tree beside them holds kill, freeze, events and BPF
};
[[nodiscard]] std::string_view layout_name(Layout layout);  // "unified", "hybrid"

// One mounted v1 hierarchy; several controllers may share it ("cpu,cpuacct").
struct V1Hierarchy {
  std::vector<std::string> controllers;  // "memory"; "name=systemd" for one without a controller
  std::string mount;                     // mount point
  std::string root = "/";                // the cgroup that is mounted there ("/" but for binds and containers)
  std::string base;                      // directory below which our groups are made
  bool operator==(const V1Hierarchy&) const = default;
};

enum class Where { kNone, kUnified, kV1 };

// Below which directory of each hierarchy our groups are made.
enum class Base {
  // The root of the hierarchy as mounted here when we may write there, so that names are functions of the id whatever
  // cgroup the caller sits in; else (a user's or a container's delegated subtree) as kOwn.
  kAuto,
  // The caller's own cgroup: for a service with Delegate=yes and rootless use. See enter_leaf().
  kOwn,
};

struct DiscoverOptions {
  std::string proc_root = "/proc";
  std::string sys_root = "/sys";
  Base base = Base::kAuto;
  // Makes and removes one empty group per hierarchy (0.5 ms) to learn which optional files the kernel has, so that
  // Group::explain() is exact: for who shows limits before a group is there. Without it explain() takes optional files for
  // present; apply() always looks.
  bool probe = false;
  // Looks at the disks for one that heeds weights (one file each): for who sets or shows I/O weights.
  bool disks = true;
  std::string unified_leaf = {};  // Host::unified_leaf
};

struct Host {
  Layout layout = Layout::kUnified;
  std::string unified_root;                      // mount point of the v2 tree
  std::string unified_mounted = "/";             // the cgroup that is mounted there
  std::string unified_base;                      // our groups are below it
  std::vector<std::string> unified_controllers;  // cgroup.controllers of unified_base
  std::vector<V1Hierarchy> v1;
  // File names of a fresh group by hierarchy ("" is the v2 tree, else the v1 controller). No entry: not known.
  std::map<std::string, std::set<std::string>> files;
  // A group whose last name is this one is a level of the v2 tree alone; in v1 hierarchies its processes are in its parent. In the
  // v2 tree a group that has children holds no processes, so that a container and its supervisor are leaves below one folder;
  // v1 has no such rule, and each group there costs memory and time in every hierarchy. Empty: all groups are alike.
  std::string unified_leaf;
  // Some block device honours cgroup weights: it uses the bfq scheduler, or io.cost is switched on for it.
  bool io_weight_active = false;
  std::vector<std::string> delegate_files;  // what a delegate of a v2 group must own (/sys/kernel/cgroup/delegate)

  // kUnavailable when no v2 tree is mounted. Never mounts anything.
  static Result<Host> discover(const DiscoverOptions& options = {});

  [[nodiscard]] Where where(std::string_view controller) const;
  [[nodiscard]] bool has(std::string_view controller) const { return where(controller) != Where::kNone; }
  // The name of group `path` in the v1 hierarchies, and in the one that holds `controller`.
  [[nodiscard]] std::string path_in_v1(const std::string& path) const;
  [[nodiscard]] std::string path_in(std::string_view controller, const std::string& path) const;
  // The directory of group `path` that has the files of `controller`.
  [[nodiscard]] std::string directory_of(std::string_view controller, const std::string& path) const;
  [[nodiscard]] const V1Hierarchy* find_v1(std::string_view controller) const;
  // False only when the hierarchy's files are known and `file` is not among them.
  [[nodiscard]] bool may_have_file(std::string_view hierarchy, std::string_view file) const;
};

// The pure half of discover(): mount points from the text of /proc/self/mountinfo. Bases are the mount points;
// unified_controllers and the rest stay empty. Lines that do not parse are passed over.
Result<Host> parse_mountinfo(std::string_view mountinfo);

// Our own cgroup in the hierarchy with `controller` ("" for v2), from the text of /proc/self/cgroup; "" when not named.
std::string own_cgroup(std::string_view proc_self_cgroup, std::string_view controller);

// A group that holds processes cannot give controllers to its children (cgroup-v2.rst, "No Internal Process
// Constraint"). Moves the calling process into `unified_base`/`name`, so that our own delegated cgroup can.
Result<> enter_leaf(const Host& host, const std::string& name);

}  // namespace vps::cgroups
