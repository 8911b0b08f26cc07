// Makes the ports of a VPS. Enters the VPS's network namespace for a moment (setns), so only single-threaded programs link this
// (vps_netns_attach): the launch worker and the supervisor. vpsd must not; tests/unit/layers looks into its symbols.
#pragma once

#include "base/error.h"
#include "netns/host.h"
#include "netns/port.h"
#include "specs/net/plan.h"

namespace vps::netns {

// Makes every port of `plan` in the namespace `netns_fd` (/proc/PID/ns/net, open): the link pair, addresses, routes, rates, what
// answers for it on uplinks; brings up lo; announces the addresses when plan.announce says so. All or nothing: on an error what was
// made is gone again. A host end of ours with that name, left by a run that has ended, is replaced.
// kNotFound: the bridge, uplink or device is not there. kExists: a link of that name is somebody else's.
Result<std::vector<LimitReport>> attach_ports(const Host& host, const net::VpsPlan& plan, int netns_fd);

// Moves the host devices of `plan` out of the namespace and restores them as they were; for the supervisor, when pid 1 has ended
// and before it closes its descriptor of the namespace. Virtual devices (vlan, bond) would die with the namespace.
Result<> return_devices(const Host& host, const net::VpsPlan& plan, int netns_fd);

}  // namespace vps::netns
