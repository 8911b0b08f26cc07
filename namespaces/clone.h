// clone3(2), setns(2) and id maps. The calling program is single-threaded.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/pidfd.h"
#include "specs/oci/spec.h"

namespace vps::namespaces {

// "pid" -> CLONE_NEWPID ...; 0 for an unknown type.
std::uint64_t namespace_flag(std::string_view type);
std::string namespace_flag_names(std::uint64_t flags);  // "pid,mount"
std::vector<std::string> known_namespace_types();       // that this kernel has (/proc/self/ns)

struct CloneRequest {
  std::uint64_t flags = 0;     // CLONE_NEW*, CLONE_PARENT
  int cgroup_fd = -1;          // CLONE_INTO_CGROUP when >= 0
  int exit_signal = 17;        // SIGCHLD; must be 0 with CLONE_PARENT
};
struct CloneResult {
  bool child = false;  // true in the new process
  PidFd process;       // in the parent
};
Result<CloneResult> clone_process(const CloneRequest& request);

Result<> join_namespaces(int pidfd, std::uint64_t flags);            // setns(2) on a pidfd
Result<> join_namespace_fd(int ns_fd, std::uint64_t flag);
// Writes uid_map, gid_map and, where the kernel asks for it, setgroups=deny, of process `pid` (user_namespaces(7)).
Result<> write_id_maps(pid_t pid, const std::vector<oci::IdMapping>& uids, const std::vector<oci::IdMapping>& gids);
// A user namespace with these maps and nothing in it: for idmapped mounts that have their own maps.
Result<UniqueFd> make_userns(const std::vector<oci::IdMapping>& uids, const std::vector<oci::IdMapping>& gids);
// container id -> host id, by the map; nullopt-like -1 when not mapped.
std::int64_t map_to_host(const std::vector<oci::IdMapping>& maps, std::uint32_t container_id);
// Must be written by the parent before the first process enters the time namespace.
Result<> write_time_offsets(pid_t pid, const std::map<std::string, oci::TimeOffset>& offsets);

}  // namespace vps::namespaces
