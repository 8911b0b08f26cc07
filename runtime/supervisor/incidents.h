// Limits that a VPS has run into, as the kernel tells them: counters of the cgroup say that it happened, the kernel log says
// whom it hit. Parsing is pure; reading needs /dev/kmsg (where that is closed, the process stays unnamed).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"

namespace vps::supervisor {

struct OomVictim {
  std::string process;
  std::int64_t pid = 0;  // as the host sees it
};

// A record of /dev/kmsg ("6,1234,5678,-;oom-kill:constraint=CONSTRAINT_MEMCG,...,oom_memcg=/vps/101/payload,...,task=hog,
// pid=77,uid=0") if it tells of a kill by the limit of `cgroup_path` ("/vps/101/payload") or of a group below it.
std::optional<OomVictim> parse_oom_record(std::string_view record, std::string_view cgroup_path);

// "cgroup: fork rejected by pids controller in /vps/101/payload": said once per group, at its first refusal.
bool is_fork_rejection(std::string_view record, std::string_view cgroup_path);

// The kernel log from now on, for non-blocking reads: what is in it already is not read (thousands of records). Empty where it
// is closed to us.
UniqueFd open_kernel_log(const std::string& kmsg_path);
// All victims in the log since the last call.
std::vector<OomVictim> read_oom_victims(int kernel_log, std::string_view cgroup_path);

struct Incident {
  std::string kind;  // "oom", "pids-limit"
  std::string process;
  std::int64_t pid = 0;
  std::string limit;  // "memory.limit"
  std::string file;   // "memory.max"
  std::uint64_t value = 0;
  std::uint64_t count = 0;  // since the last one of this kind
};
std::string to_json(const Incident& incident);
std::string describe(const Incident& incident);  // one line for people

}  // namespace vps::supervisor
