// Control groups of one container on whatever the host has: the unified tree (cgroup v2), or "hybrid": v1 controllers
// mounted beside a v2 tree without them. The model is v2's; on hybrid hosts the adapter translates it to v1 files and
// says what it cannot express. Host mounts are never changed. Sources: cgroups(7), kernel Documentation/admin-guide/
// cgroup-v2.rst and cgroup-v1/*.rst.
//
// Layout of names: `path` is relative to the root of every hierarchy (the part of this process's own delegated subtree is
// put in front when the host is delegated). A Group is a directory fd per hierarchy; nothing is looked up by path twice.
// Not thread-safe per object; different Groups are independent.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "specs/oci/spec.h"

namespace vps::cgroups {

enum class Layout { kUnified, kHybrid };

// Where the controllers of this host are. Found once per process from mountinfo; tests pass a fake tree.
struct Host {
  Layout layout = Layout::kUnified;
  std::string unified_root;                     // mount point of the v2 tree
  std::vector<std::string> unified_controllers; // content of cgroup.controllers there
  std::map<std::string, std::string> v1_roots;  // controller ("memory", "cpu", "name=systemd") -> mount point
  bool fake = false;                            // a test's directory tree: no kernel behind it, files must exist

  // `proc_root` is "/proc" but for tests. Never mounts anything.
  static Result<Host> discover(const std::string& proc_root = "/proc");
  [[nodiscard]] bool has(std::string_view controller) const;  // in either hierarchy
};

// One line of `vpsctl show`: what stands behind a limit.
struct Enforcement {
  enum class Kind { kEnforced, kAccountedOnly, kUnavailable };
  std::string limit;   // "memory.limit"
  std::string value;   // what was asked for, in the model's terms
  Kind kind = Kind::kEnforced;
  std::string file;    // the kernel file that enforces it, relative to the group ("memory.max"), with its hierarchy on hybrid
  std::string reason;  // when not enforced: why
};

struct CpuStats {
  std::uint64_t usage_usec = 0, user_usec = 0, system_usec = 0;
  std::uint64_t periods = 0, throttled_periods = 0, throttled_usec = 0;
};
struct MemoryStats {
  std::uint64_t current = 0, peak = 0, limit = 0;  // bytes; limit 0: none
  std::uint64_t swap_current = 0, anon = 0, file = 0, kernel = 0;
  std::uint64_t oom_events = 0, oom_kills = 0, high_events = 0, max_events = 0;
};
struct IoStats {  // summed over devices
  std::uint64_t read_bytes = 0, write_bytes = 0, read_ops = 0, write_ops = 0;
};
struct Pressure {  // PSI; `known` false where the host has none
  bool known = false;
  double some_avg10 = 0, full_avg10 = 0;
  std::uint64_t some_total_usec = 0, full_total_usec = 0;
};
struct Stats {
  CpuStats cpu;
  MemoryStats memory;
  IoStats io;
  std::uint64_t pids_current = 0, pids_limit = 0, pids_max_events = 0;
  Pressure cpu_pressure, memory_pressure, io_pressure;
};

class Group {
 public:
  // Makes the directories (parents too, enabling controllers in every cgroup.subtree_control on the way) in all
  // hierarchies; existing ones are taken over only when empty of processes (kBusy otherwise), stale sub-cgroups removed.
  static Result<Group> create(const Host& host, const std::string& path);
  static Result<Group> open(const Host& host, const std::string& path);  // kNotFound
  // Kills what is left, removes the whole subtree in every hierarchy, deepest first. Already gone is success.
  static Result<> remove(const Host& host, const std::string& path);

  // fd of the v2 directory: for clone3(CLONE_INTO_CGROUP).
  [[nodiscard]] int dirfd() const { return unified_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }
  // Hybrid: writes `pid` to cgroup.procs of every v1 hierarchy (children follow by fork). Unified: nothing to do.
  Result<> attach_v1(pid_t pid) const;
  // Unified fallback for callers that could not clone into the group.
  Result<> attach(pid_t pid) const;
  // Gives the v2 directory and the files that a delegate needs (cgroup.procs, cgroup.subtree_control, cgroup.threads ...)
  // to uid:gid, as cgroup-v2.rst "Delegation Containment" says.
  Result<> delegate(uid_t uid, gid_t gid) const;

  // Applies every limit of `resources` that is present, all or nothing: on an error the files already written get their
  // old values back. Memory shrink below use first reclaims, then is kBusy with the numbers.
  Result<std::vector<Enforcement>> apply(const oci::Resources& resources);
  // What apply() would say, without touching anything: pure, from the host's abilities.
  static std::vector<Enforcement> explain(const Host& host, const oci::Resources& resources);

  Result<> freeze() const;  // returns when the kernel says frozen
  Result<> thaw() const;
  Result<bool> frozen() const;
  Result<> kill() const;        // cgroup.kill; a loop of SIGKILL where the file is missing
  Result<bool> populated() const;
  Result<std::vector<pid_t>> processes() const;  // of the whole subtree
  Result<Stats> stats() const;
  // Files to poll for changes (POLLPRI): cgroup.events, memory.events, pids.events where they exist; label -> fd.
  // On hybrid hosts memory OOM kills are watched by an eventfd registered in cgroup.event_control, readable with POLLIN.
  struct Watch {
    enum class Kind { kPopulated, kMemory, kPids } kind = Kind::kPopulated;
    UniqueFd fd;
    bool eventfd = false;
  };
  Result<std::vector<Watch>> watches() const;

 private:
  friend struct GroupAccess;
  Host host_;
  std::string path_;
  UniqueFd unified_;
  std::map<std::string, UniqueFd> v1_;
};

// Device filter: compiles the rules to a BPF_PROG_TYPE_CGROUP_DEVICE program and attaches it to the group's v2 directory
// (BPF_F_ALLOW_MULTI), replacing one that we attached before. Works on hybrid hosts too. The instruction list is pure.
std::vector<std::uint64_t> compile_device_filter(const std::vector<oci::DeviceRule>& rules);  // one bpf_insn each
Result<> apply_device_filter(int cgroup_dirfd, const std::vector<oci::DeviceRule>& rules);

}  // namespace vps::cgroups
