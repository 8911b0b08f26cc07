// linux.resources and linux.cgroupsPath as engines write them, turned into what cgroups/ takes. Pure.
#pragma once

#include <string>

#include "base/error.h"
#include "cgroups/plan.h"
#include "specs/oci/spec.h"

namespace vps::vpsrun {

// Path below the base of every hierarchy. "": "vpsrun/ID". "/a/b" and "a/b" are the same. "SLICE:PREFIX:NAME" is the place
// where systemd would make it: "user.slice/user-1.slice/PREFIX-NAME.scope" for "user-1.slice:PREFIX:NAME".
Result<std::string> cgroup_path(const std::string& cgroups_path, const std::string& id);

// Engines write 0 for "not set" (shares, quota, limits, weights), and kernel memory limits, which the specification has
// given up: both are absent afterwards.
oci::Resources without_unset(oci::Resources resources);

// The rules with those of the devices that every container has (config-linux.md "Default Devices") behind them, so that no
// earlier rule takes them away. What no rule names is refused.
std::vector<oci::DeviceRule> with_default_devices(std::vector<oci::DeviceRule> rules);

// The kernel takes into the ambient set only what is permitted and inheritable (capabilities(7)). Engines ask for more (buildah:
// for all, with nothing inheritable) and count on getting less: takes out what cannot be there (--debug tells).
void settle_ambient(oci::Process& process);

// kUnavailable that names each limit which the host cannot enforce and why; nothing when it can enforce all.
Result<> require_enforced(const std::vector<cgroups::Enforcement>& limits);

}  // namespace vps::vpsrun
