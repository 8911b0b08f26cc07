// Control groups of one container on whatever the host has: the unified tree (cgroup v2), or "hybrid": v1 controllers
// mounted beside a v2 tree without them. The model is v2's; on hybrid hosts limits are translated to v1 files, and what
// cannot be expressed is said. Host mounts are never changed. Sources: cgroups(7), kernel Documentation/admin-guide/
// cgroup-v2.rst and cgroup-v1/*.rst. Design: docs/design/cgroups.md.
//
// Layout of names: `path` ("vps/101/payload") is relative to the base of every hierarchy (host.h, Base); with Host::unified_leaf
// "payload" its v1 groups are "vps/101". A Group holds one
// directory fd per hierarchy; nothing is looked up by path twice. All v1 hierarchies are joined, also those without a
// limit (freezer, devices, named ones): a process left in the root of one would have that root as its cgroup namespace.
// Not thread-safe per object; different Groups are independent, and creating groups with common parents may race.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "cgroups/device_filter.h"
#include "cgroups/host.h"
#include "cgroups/plan.h"
#include "cgroups/stats.h"
#include "specs/oci/spec.h"

namespace vps::cgroups {

class Group {
 public:
  // Makes the directories (parents too, enabling controllers in every cgroup.subtree_control on the way) in all
  // hierarchies. One that exists already is emptied of sub-groups and made anew, so that no limit, owner or device filter
  // of an earlier life stays; kBusy when processes are in it. On an error what was made is removed again.
  static Result<Group> create(const Host& host, const std::string& path);
  static Result<Group> open(const Host& host, const std::string& path);  // kNotFound
  // One that somebody else (systemd) has made in the v2 tree, processes in it or not. v1 hierarchies that do not have it get it.
  static Result<Group> adopt(const Host& host, const std::string& path);  // kNotFound
  // Kills what is left, removes the whole subtree in every hierarchy, deepest first. Already gone is success. Parents
  // stay. kWrongState when the calling process is inside; kTimedOut when a killed process does not die.
  static Result<> remove(const Host& host, const std::string& path);

  // fd of the v2 directory: for clone3(CLONE_INTO_CGROUP).
  [[nodiscard]] int dirfd() const { return unified_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }
  // Its directory in every hierarchy, by the name under which /sys/fs/cgroup shows the hierarchy ("memory", "cpu,cpuacct",
  // "unified"); one entry without a name where there is only the v2 tree. The descriptors stay the group's.
  struct Place {
    std::string name;
    int dirfd = -1;
  };
  [[nodiscard]] std::vector<Place> places() const;
  // The places of this group in the v1 hierarchies (children follow by fork), opened with the caller's rights: a child takes
  // them by enter_v1() whatever its own rights are (the kernel asks who opened the file). Empty where there is no v1.
  Result<std::vector<UniqueFd>> v1_entries() const;
  // The calling process itself, before the tenant's code runs. Both need neither grace period nor lock, while moving
  // another process by its pid waits 7-14 ms for one.
  Result<> join_v1() const;
  // Gives the v2 directory and the files that a delegate needs (cgroup.procs, cgroup.subtree_control, cgroup.threads ...)
  // to uid:gid, as cgroup-v2.rst "Delegation Containment" says; and v1 name=systemd, which limits nothing.
  Result<> delegate(uid_t uid, gid_t gid) const;

  // Applies every limit of `resources` that is present (an absent one stays as it is: give -1 or "max" to lift it), all or
  // nothing: on an error the files already written get their
  // old values back. A memory limit below use first reclaims; kBusy with the numbers when that is not enough. Limits that
  // the host cannot enforce are not errors here: look at the answer.
  Result<std::vector<Enforcement>> apply(const oci::Resources& resources);
  // What apply() would say, without touching anything. A value that apply() would refuse is kUnavailable with the reason.
  static std::vector<Enforcement> explain(const Host& host, const oci::Resources& resources);

  Result<> freeze() const;  // returns when the kernel says frozen; kTimedOut (and thawed again) after 10 s
  Result<> thaw() const;
  Result<bool> frozen() const;
  Result<> kill() const;    // cgroup.kill; SIGKILL until empty where the kernel has no such file. Does not wait for the end
  // Waits until no process is left in the subtree; kTimedOut when the patience is over.
  Result<> wait_empty(std::chrono::milliseconds patience = std::chrono::seconds(10)) const;
  Result<bool> populated() const;
  Result<std::vector<pid_t>> processes() const;  // of the whole subtree
  Result<Stats> stats() const;
  // Two figures of it by one file each: of a thousand groups every few seconds that is a tenth of the work. kNotFound: no such group.
  static Result<Usage> usage(const Host& host, const std::string& path);
  // stats().memory.oom_kills by one file; 0 when it cannot be read.
  [[nodiscard]] std::uint64_t oom_kills() const;
  // How many forks the group's pids limit has refused, those in its sub-groups included. Kernels before 6.11 count a refusal
  // in the group that forked, not in that of the limit, and announce it there: Stats::pids_max_events misses those.
  // Looks at every sub-group where it must: not for regular accounting.
  Result<std::uint64_t> forks_refused() const;
  // False where refusals in sub-groups are neither counted nor announced in this group.
  [[nodiscard]] bool announces_refused_forks() const;

  // Files to poll for changes. After an event call rearm(), then look at stats() or populated(). Newer kernels (6.18
  // seen) do not notify on v1's pids.events: on hybrid hosts compare Stats::pids_max_events now and then as well.
  struct Watch {
    enum class Kind { kPopulated, kMemory, kPids } kind = Kind::kPopulated;
    UniqueFd fd;
    // false: a kernel file, poll with POLLPRI (EPOLLPRI). true: an eventfd that v1 signals at an OOM, POLLIN.
    bool eventfd = false;
    Result<> rearm() const;
  };
  Result<std::vector<Watch>> watches() const;

 private:
  struct V1Dir {
    V1Hierarchy hierarchy;
    UniqueFd fd;
  };
  friend struct GroupAccess;
  [[nodiscard]] int v1_fd(std::string_view controller) const;  // -1: none
  // The directory that holds a hierarchy's files: "" is the v2 tree.
  [[nodiscard]] int fd_of(std::string_view hierarchy) const;
  Result<CgroupPlan> plan(const oci::Resources& resources);

  Host host_;
  std::string path_;
  UniqueFd unified_;
  std::vector<V1Dir> v1_;
};

// Puts the calling process, which has one thread, where v1_entries() were opened.
Result<> enter_v1(const std::vector<UniqueFd>& entries);

}  // namespace vps::cgroups
