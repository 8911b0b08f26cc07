// What vpsrun keeps of a container between its commands: ROOT/ID/ with state.json (this record), config.json (a copy of the
// bundle's) and start.sock (there until the container has been started).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "specs/oci/spec.h"

namespace vps::vpsrun {

struct Record {
  std::string id;
  std::string oci_version;
  std::string bundle, rootfs;      // absolute
  std::string created;             // RFC 3339
  std::uint32_t owner = 0;         // uid that created it
  pid_t pid = 0;                   // 0: no process yet
  std::uint64_t start_time = 0;    // of that process, in clock ticks (proc(5)): with the pid it names the process for good
  std::string cgroup;              // below the base of every hierarchy; empty: none
  bool own_pid_namespace = false;  // its end takes every process of the container along
  bool complete = false;           // false: still being made, or its maker died
  std::string unit;                // systemd's name for the cgroup; empty: we have made it ourselves
  bool net_devices = false;        // some of the host's are inside, to be given back
  bool intel_rdt = false;          // it is in a resctrl group
  bool poststart = false, poststop = false;  // config.json has such hooks, so it must be read again
  oci::StringMap annotations;
  bool operator==(const Record&) const = default;
};

std::string format_record(const Record& record);
// kUsage for a text that is no record of this version.
Result<Record> parse_record(std::string_view text);

// The runtime-spec's "State", pretty-printed as runc does. Pure.
std::string state_json(const Record& record, std::string_view status);
struct Listed {
  Record record;
  std::string status, owner;
};
std::string list_json(const std::vector<Listed>& containers);
std::string list_table(const std::vector<Listed>& containers);

// [A-Za-z0-9_+.-]+, at most 255 characters, not "." or "..".
Result<> check_id(std::string_view id);

}  // namespace vps::vpsrun
