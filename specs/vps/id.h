// Ids, names and the names of kernel objects that follow from them.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace vps {

// [a-z0-9][a-z0-9-]{0,62}
Result<> validate_id(std::string_view id);
// A DNS-like name, at most 63 characters: [A-Za-z0-9][A-Za-z0-9._-]*
Result<> validate_name(std::string_view name);
Result<> validate_hostname(std::string_view hostname);  // RFC 1123, at most 64 characters in all (the kernel's limit)
std::string make_uuid();  // random, RFC 4122 version 4

// Every path of one VPS, computed from its id and the roots; nothing else decides where things live.
struct Roots {
  std::string config = "/etc/vps";
  std::string state = "/var/lib/vps";
  std::string run = "/run/vps";
  std::string cgroup_name = "vps";  // the folder below the cgroup hierarchies' own (or delegated) root
};

struct VpsPaths {
  std::string id;
  std::string state_dir;        // <state>/containers/<id>
  std::string definition;       // .../vps.yaml
  std::string record;           // .../record.json: uuid, id range, template digest, creation time
  std::string disk;             // .../disk: upper/ work/
  std::string console_log;      // .../console.log
  std::string run_dir;          // <run>/containers/<id>
  std::string run_state;        // .../state.json, written by the supervisor
  std::string bundle_config;    // .../config.json, the compiled oci::Spec
  std::string plan;             // .../plan.json: what the supervisor needs beside the spec
  std::string supervisor_socket;  // .../supervisor.sock
  std::string host_dir;         // .../host: bind-mounted at /run/host (notify socket)
  std::string cgroup_payload;   // <cgroup_name>/<id>/payload in the v2 tree; cgroups::Host::unified_leaf
  std::string cgroup_supervisor;
  std::string cgroup_parent;    // <cgroup_name>/<id>
};
// The last name of cgroup_payload.
inline constexpr const char* kPayloadGroup = "payload";
VpsPaths vps_paths(const Roots& roots, std::string_view id);

}  // namespace vps
