// Ports of VPSes seen from the host: what may be called at any time, also by programs with threads. Making a port is attach.h.
// All calls act on the namespace of the calling thread.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "netns/host.h"
#include "specs/net/plan.h"

namespace vps::netns {

// Routes and proxy entries of ours carry this as their protocol (rtnetlink(7), rtm_protocol).
constexpr std::uint8_t kOurProtocol = 118;

// One limit of a port, and what holds it: for `show`. Nothing is claimed that the kernel does not do.
struct LimitReport {
  std::string port;        // the guest's name of the interface
  std::string limit;       // "rateIn", "rateOut", "guaranteeIn", "guaranteeOut", "packetRate"
  std::uint64_t value = 0; // bit/s or packets/s
  bool enforced = false;
  std::string by;          // enforced: "tbf on v101.0"; else why not
};

// Takes away what is left of ports: host ends, what shapes them, host routes, entries that answer ARP and ND, records. Where the
// VPS's namespace has gone, the veths have gone with it and cost nothing here; one that still stands is deleted (about 20 ms).
// Never touches a link that is not marked as ours (kExists). Already gone is success. A host device is not moved: it comes back
// by return_devices (attach.h), or recover_devices after a crash.
Result<> detach_ports(const Host& host, const net::VpsPlan& plan);

// The same for a namespace that is known to be dying: nothing is deleted that goes with it, so that a stop never waits for RCU.
Result<> release_ports(const Host& host, const net::VpsPlan& plan);

// For recovery, and for when no plan is left: removes what belongs to no living port of ours (proxy entries without a host route,
// shaping devices without their veth, host ends that have been put aside). Says what it removed.
Result<std::vector<std::string>> sweep_orphans(const Host& host);

// Sets the rates of the plan's ports anew, while they run (nullopt: no limit).
Result<std::vector<LimitReport>> set_rates(const Host& host, const net::VpsPlan& plan);
// What set_rates would say, without setting anything.
Result<std::vector<LimitReport>> report_rates(const Host& host, const net::VpsPlan& plan);

// Whether frames from this port may go back to it: a bridge that shows its packets to the firewall (br_netfilter) turns those that the
// VPS sends to a forward of its own around, instead of handing them to the host. What may come back is the filter's part.
[[nodiscard]] bool reflects(const net::VpsPlan& plan, const net::PortPlan& port);
// Sets that anew, while the ports are there.
Result<> set_reflection(const Host& host, const net::VpsPlan& plan);

// Ports of the running VPSes `plans` that are not on their bridge any more, since somebody has deleted it and it was made anew (or has
// taken them out), are put on it again. `rejoined`: the ids of those that were. One that fails does not keep the others; the first error.
Result<> rejoin_bridge(const Host& host, const std::string& bridge, std::span<const net::VpsPlan> plans, std::set<std::string>* rejoined);

// Devices that were lent to VPSes whose namespace has died: the kernel has put them back under another name. Finds them by their
// marker or permanent MAC, restores name, MAC, MTU, addresses and whether they were up. Says what it restored. Devices of living
// VPSes (`in_use`: ids) are left alone.
Result<std::vector<std::string>> recover_devices(const Host& host, const std::vector<std::string>& in_use);

// Whether the namespace of a VPS is kept because devices of the host are in it: they are taken back by a program without threads
// (lent_namespace.h).
[[nodiscard]] bool holds_namespace(const Host& host, const std::string& id);

}  // namespace vps::netns
