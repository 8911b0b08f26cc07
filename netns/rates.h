// Rates of ports (port.h, set_rates), as attach and clean-up use them.
//
// Towards the VPS: a tbf on the host's end. From the VPS: what comes in by the host's end is sent through a shaping device (ifb)
// that all ports of this vpsd share, each with an htb class of its own; a filter finds the class by the link that a packet came in by.
// In a network that has a total rate, each direction has a shaping device of the network's own: the total is an htb class, the ports'
// classes are below it, with their guarantee as rate and their limit as ceiling. What goes to the VPSes is sent there by a filter on
// the root of their host ends.
// Deleting a device costs 20 ms and deleting a class nothing, so no port has a device of its own. Packets per second: a BPF
// program in front of that.
#pragma once

#include <string>
#include <vector>

#include "netns/dump.h"
#include "netns/host.h"
#include "netns/port.h"
#include "specs/net/plan.h"

namespace vps::netns {

// Makes, changes or takes away what holds the total rates of a network. Ports must have left one that goes (apply_limits).
Result<> ensure_totals(const Host& host, Socket& socket, const net::NetworkPlan& network);
std::string network_shaper_name(const Host& host, std::string_view network, net::Direction direction);

// The first shaping device of this vpsd; a number behind it where two ports have the same class (class_of).
std::string shaper_name(const Host& host, unsigned number);

// Brings the limits of a port in line with its plan. What the kernel cannot do is in the reports, not an error.
std::vector<LimitReport> apply_limits(const Host& host, Socket& socket, const net::PortPlan& port);
// What the kernel holds for them; `trouble`: limit name -> why it could not be set.
std::vector<LimitReport> look_at_limits(const Host& host, Socket& socket, const net::PortPlan& port,
                                        const std::vector<std::pair<std::string, std::string>>& trouble = {});
// Removes classes that belong to no port, and shaping devices without classes. Says what it removed.
Result<std::vector<std::string>> sweep_shapers(const Host& host, Socket& socket);

}  // namespace vps::netns
