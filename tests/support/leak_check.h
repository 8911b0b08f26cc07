// What a test leaves behind: kernel objects and files that carry its names are listed before and after, and the difference
// must be empty. Names, not counts: several test programs run at once on one machine, each sees its own only.
#pragma once

#include <sys/types.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"

namespace vps::test {

struct LeakScope {
  std::string cgroup_name{};              // folder in every cgroup hierarchy ("vps-test-1a2b"), which may stay itself; also marks processes
  std::string root{};                    // directory that all state, run and config roots lie in; marks mounts and processes
  std::vector<std::string> file_trees{};  // directories whose entries are compared
  std::set<std::string> ignored_files{};  // path prefixes that may come (a database, a log)
  std::vector<std::string> link_prefixes{}; // network links whose names start so
  pid_t daemon = 0;                      // its open descriptors are compared, by kind; 0: none
  bool children = true;                  // children of the test itself are compared
  // Fake roots for tests of the checker itself.
  std::string proc_root = "/proc";
  std::string net_root = "/sys/class/net";
};

// category ("cgroup", "mount", "link", "process", "child", "fd", "file") -> what there is, with how many times
using LeakSnapshot = std::map<std::string, std::map<std::string, int>>;

Result<LeakSnapshot> take_snapshot(const LeakScope& scope);
// One line each: "mount: /x/y (overlay)"; empty when nothing is left over.
std::vector<std::string> leftovers(const LeakSnapshot& before, const LeakSnapshot& after);
// Takes the second snapshot again for up to three seconds while something is left over: a killed process needs a moment to go.
Result<std::vector<std::string>> check_leaks(const LeakScope& scope, const LeakSnapshot& before);

// For the end of a test that has failed already: kills what lives in the cgroups of that name, removes them, and takes away
// the mounts below `root`. Best effort.
void force_clean(const LeakScope& scope);

}  // namespace vps::test
