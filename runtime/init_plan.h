// What the init half will do, computed from the spec before anything is touched: pure, printable, golden-tested.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "namespaces/capabilities.h"
#include "namespaces/mounts.h"
#include "namespaces/seccomp.h"
#include "specs/oci/spec.h"

namespace vps::runtime {

struct PlannedMount {
  std::string destination;  // absolute, inside the root
  std::string fs_type;      // empty for a bind
  std::string source;
  namespaces::MountOptions options;
  std::vector<oci::IdMapping> uid_mappings, gid_mappings;  // for idmap with maps of its own; empty: the container's
  bool directory = true;    // of a bind source; the launcher looks when it opens the source
  int fd_index = -1;        // >= 0: the launcher sends this mount as a descriptor (binds)
  // A bind whose source equals its destination below /proc/: taken from the container's own tree at its place in the order,
  // passed over when absent (docs/design/security.md "Writable kernel parameters").
  bool from_own_tree = false;
  // A bind of the container's cgroup in the hierarchy of that name (cgroups::Group::places).
  std::optional<std::string> cgroup;
};

struct PlannedDevice {
  std::string path;  // inside
  oci::Device device;
  bool bind = false;   // in a user namespace nodes cannot be made: the host's node is bound ...
  int fd_index = -1;   // ... or, >= 0, one that the launcher makes with the container's owner and sends
};

enum class SeccompPoint { kNone, kBeforeCapabilities, kBeforeExec };

struct InitPlan {
  std::uint64_t clone_flags = 0;          // namespaces to create, all but cgroup and time, which are unshared later
  bool new_cgroup_namespace = false, new_time_namespace = false, new_network = false, new_user = false;
  bool in_user_namespace = false;         // a new one, or one that is joined
  struct Join {
    std::string type, path;
    std::uint64_t flag = 0;
  };
  std::vector<Join> joins;                // namespaces given by path
  std::vector<PlannedMount> mounts;
  std::vector<PlannedDevice> devices;
  bool has_capabilities = false;
  namespaces::CapMasks capabilities;
  std::vector<std::string> unknown_capabilities;  // dropped, to be warned about
  SeccompPoint seccomp_point = SeccompPoint::kNone;
  std::uint64_t root_propagation = 0;     // MS_* for "/", before anything is mounted
  bool final_propagation = false;         // and again for the container's own "/", at the end
};

struct InitPlanInput {
  const oci::Spec* spec = nullptr;
  std::string bundle;  // relative bind sources start here
  // Further devices (linux.devices) in a user namespace: binds of the host's nodes, instead of nodes that the launcher makes.
  bool host_device_nodes = false;
  std::vector<std::string> cgroup_places = {};  // names of cgroups::Group::places(); empty: the container has no group
};
Result<InitPlan> make_init_plan(const InitPlanInput& input);
// One line per step, for --dry-run and golden tests.
std::vector<std::string> describe(const InitPlan& plan, const oci::Spec& spec);

}  // namespace vps::runtime
