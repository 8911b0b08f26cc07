// The part of a network that exists once on the host. All calls are idempotent and act on the namespace of the calling thread;
// of two at once for one network, one waits (a lock file in Host::run_dir).
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "netns/host.h"
#include "specs/net/plan.h"

namespace vps::netns {

struct NetworkReport {
  bool created = false;              // its bridge was not there before
  std::vector<std::string> changed;  // what was set, for people and the log: "net.ipv4.ip_forward = 1"
};

// kBridge: the bridge with its own MAC, MTU, gateway addresses, and seen by firewalls; addresses of earlier plans go. kRouted: what uplinks need to
// answer for VPSes. kMacvlan, kHostDevice: checks the parent. Forwarding is turned on for the families of the subnets.
// After an error a bridge that was made is gone again; remove_network takes the rest back where the network was new.
// kExists: a link of the bridge's name is somebody else's (never touched). kNotFound: an uplink is not there.
Result<NetworkReport> ensure_network(const Host& host, const net::NetworkPlan& plan);

// Deletes the bridge when it is ours and restores what ensure_network changed and nobody has changed since (forwarding stays on:
// others may rely on it by now). kBusy while ports are on the bridge. Already gone is success.
Result<> remove_network(const Host& host, const net::NetworkPlan& plan);

}  // namespace vps::netns
