// Cgroups that systemd makes for us: a transient scope with Delegate=yes, which systemd then leaves to us but for the limits that
// it knows of and would write again at a reload. Sources: org.freedesktop.systemd1(5), systemd.resource-control(5),
// https://systemd.io/CGROUP_DELEGATION. Talks to systemd's own socket, not to the bus.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "cgroups/dbus.h"
#include "cgroups/host.h"
#include "specs/oci/spec.h"

namespace vps::cgroups {

// "SLICE:PREFIX:NAME" of linux.cgroupsPath.
struct ScopeName {
  std::string slice;  // "system.slice"
  std::string unit;   // "libpod-0123.scope"
};
// Empty: the scope "vpsrun-ID.scope" in `default_slice`. kUsage when it is of another form.
Result<ScopeName> parse_scope_name(const std::string& cgroups_path, const std::string& id, const std::string& default_slice);

// What systemd is told of the limits. -1 is infinity, as systemd writes it. Pure.
std::vector<DbusProperty> unit_properties(const oci::Resources& resources);
// Annotations "org.systemd.property.NAME": a value as GVariant text: true, 'text', uint64 7, 7, ['a', 'b']. kUsage otherwise.
Result<std::vector<DbusProperty>> annotated_properties(const oci::StringMap& annotations);

// The host with groups counted from the roots of its hierarchies, which is where systemd counts from; a user's systemd has the v2
// tree alone to give.
Host host_of_units(Host host);
// Where a process of ours is below that base; kUnavailable when it is elsewhere.
Result<std::string> unit_cgroup_of(const Host& host, pid_t pid);

class Systemd {
 public:
  // The system's, or the user's own for another user than root. kUnavailable when none runs.
  static Result<Systemd> connect();
  // Starts the scope around the process and waits until it is there.
  Result<> start_scope(const ScopeName& name, pid_t pid, std::vector<DbusProperty> properties);
  Result<> set_properties(const std::string& unit, const std::vector<DbusProperty>& properties);
  // Waits until it has stopped; one that is not there is success.
  Result<> stop(const std::string& unit);

  static std::string default_slice();  // "system.slice", or "user.slice" for a user's own systemd

 private:
  explicit Systemd(DbusConnection connection) : connection_(std::move(connection)) {}
  Result<> wait_job(const DbusMessage& answer, const std::string& unit);

  DbusConnection connection_;
};

}  // namespace vps::cgroups
