// The guest's own configuration files for a net::VpsPlan, in the form of each system that reads one. They only repeat what the
// host has set already, so that a guest's service that starts later changes nothing. Pure; who finds out what a guest has, and
// writes, is runtime/guest_files.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "specs/net/plan.h"

namespace vps {

struct GuestNames {
  bool configure = false;                   // write files at all
  std::string hostname;
  std::vector<std::string> nameservers, search;
  bool operator==(const GuestNames&) const = default;
};

namespace guest {

constexpr std::string_view kHeader = "# Written by vpsd at each start of this VPS. network.configure: false in its definition stops that.\n";

// `text` with the lines of ours in it, between two marks: in place of those of an earlier start, else at the end. No lines: the
// marks go as well.
std::string with_block(std::string_view text, std::string_view lines);

std::string hosts_lines(const GuestNames& names);
std::string resolv_conf(const GuestNames& names);                    // empty: nothing is known, leave it
std::string ifupdown_lines(const net::VpsPlan& plan);                // a block of /etc/network/interfaces; Debian and Alpine
std::string netplan(const net::VpsPlan& plan, const GuestNames& names);
std::string networkd(const net::PortPlan& port, const GuestNames& names);
std::string network_manager(const net::PortPlan& port, const GuestNames& names);
std::string ifcfg_redhat(const net::PortPlan& port);
std::string ifcfg_suse(const net::PortPlan& port);
std::string ifroute_suse(const net::PortPlan& port);

}  // namespace guest
}  // namespace vps
