// The host's side of a port, once it exists: whose it is, and taking it away.
#pragma once

#include "netns/dump.h"
#include "netns/host.h"
#include "netns/port.h"
#include "specs/net/plan.h"

namespace vps::netns {

inline bool has_host_end(const net::PortPlan& port) { return port.mode == net::Mode::kBridge || port.mode == net::Mode::kRouted; }
std::string port_marker(const Host& host, const std::string& id);
// Marked as this VPS's; one whose maker died before it was marked is known by its MAC.
bool is_ours(const Host& host, const std::string& id, const net::PortPlan& port, const Link& link);
// Deletes the host's end; already gone is success. kExists: it is somebody else's.
Result<> delete_host_end(const Host& host, Socket& socket, const std::string& id, const net::PortPlan& port);
// Takes its name from a host end of an earlier run, whose namespace is about to take it along: to delete it by hand would wait for
// what the kernel does about that namespace (25 ms). It is down, thus without routes and no part of its bridge's traffic. False: there
// is none. kExists: it is somebody else's. sweep_orphans() deletes what stays.
Result<bool> put_aside(const Host& host, Socket& socket, const std::string& id, const net::PortPlan& port);
// Addresses that the host answers for on the port's uplinks.
std::vector<IpAddress> proxied(const net::PortPlan& port);
Result<> remove_proxies(Socket& socket, const net::PortPlan& port);
bool has_ipv6(const Host& host);
bool has_ipv6(const Host& host, const net::PortPlan& port);  // a link that is too small has none

}  // namespace vps::netns
