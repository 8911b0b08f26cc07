// The namespace of a VPS that has a device of the host is kept until the device is back, whoever dies meanwhile: with a namespace
// the kernel deletes the virtual devices in it (vlan, bond, veth), and puts physical ones back under another name. It is kept by a
// bind mount, Host::run_dir/held/ID, as `ip netns` does it; a VPS without such a device has none (port.h: holds_namespace).
#pragma once

#include <string>

#include "base/error.h"
#include "netns/host.h"
#include "specs/net/plan.h"

namespace vps::netns {

bool borrows_devices(const net::VpsPlan& plan);
// Before attach_ports lends anything. What an earlier run of the VPS has left is taken back first. `mount_namespace`: of the host
// (/proc/PID/ns/mnt, open), as that of the launch worker ends with it; entered for as long as the mount takes.
Result<> hold_namespace(const Host& host, const std::string& id, int netns_fd, int mount_namespace);
// All devices that the VPS has are on the host again, as they were, and its namespace is let go; nothing held is success. It must
// not run any more. A virtual device that the VPS has deleted is forgotten, and named in an error like all that went wrong; where a
// device could not be moved the namespace stays, and so does the device, for the next call.
// Enters the namespace (inside.h): for single-threaded programs.
Result<> take_back_devices(const Host& host, const std::string& id);

}  // namespace vps::netns
