// The requests that networks and ports are made of: pure, so that tests read the bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "netns/host.h"
#include "netns/message.h"
#include "specs/net/plan.h"

namespace vps::netns {

// Creating. A veth's peer is born in the namespace `netns_fd`; the host's end becomes a port of `bridge` (0: none) and comes up
// where it has no limits: a queue put on a link that is up waits for RCU.
Message create_bridge(const net::NetworkPlan& plan, const MacAddress& mac);
Message tune_bridge(int link, std::string_view name);
Message create_veth(const net::PortPlan& plan, const MacAddress& host_mac, int bridge, int netns_fd);
// Under a name of its own: older kernels (6.1) look for the name on the host, where "eth0" is another link, although it is born elsewhere.
Message create_macvlan(const net::PortPlan& plan, int parent, int netns_fd);
std::string macvlan_birth_name(const net::PortPlan& plan);
// The second half of a host's end: what a creation takes no notice of. `ipv6`: this kernel has it.
Message finish_host_end(const net::PortPlan& plan, std::string_view alias, bool ipv6, bool reflects);

Message join_bridge(int link, std::string_view name, int bridge);
Message set_reflection(int link, std::string_view name, bool on);  // hairpin mode of a bridge's port
Message set_alias(int link, std::string_view name, std::string_view alias);
Message set_up(int link, std::string_view name, bool up);
Message set_mtu(int link, std::string_view name, std::uint32_t mtu);
Message set_mac(int link, std::string_view name, const MacAddress& mac);
Message rename_link(int link, std::string_view name, std::string_view to);
Message move_link(int link, std::string_view name, int netns_fd, std::string_view to);
Message delete_link(int link, std::string_view name);

Message add_address(int link, std::string_view name, const Prefix& prefix);  // IPv6: without duplicate address detection
Message remove_address(int link, std::string_view name, const Prefix& prefix);
// A route of ours on the host; fails when the destination is routed already.
// `via` nullopt: every address of it is a neighbour on the link.
Message add_host_route(int link, std::string_view name, const Prefix& destination, const std::optional<IpAddress>& via = {});
Message add_route(int link, std::string_view name, const net::Route& route);
Message add_proxy(int link, std::string_view name, const IpAddress& address);
Message remove_proxy(int link, std::string_view name, const IpAddress& address);
Message set_neighbour(int link, std::string_view name, const IpAddress& address, const MacAddress& mac, std::uint16_t state);
// ARP and ND requests that a proxy answers are put off by up to 0.8 s by default.
Message set_proxy_delay(int link, std::string_view name, Family family, std::uint64_t milliseconds);

// "fe:..." of a guest's MAC: a host's end that sorts behind every real one.
MacAddress host_mac_of(const net::PortPlan& plan);

}  // namespace vps::netns
