// Names of the kernel objects of networks and ports: functions of the VPS's id and of the network's name, nothing else.
//
// A link name has at most 15 characters (IFNAMSIZ). The prefix of the installation tells the links of several vpsd in one network
// namespace apart: "v" by default (Roots::link_prefix), 1 to 3 characters [a-z].
#pragma once

#include <string>
#include <string_view>

#include "base/ip.h"

namespace vps::net {

// Host end of the interface that the VPS knows as `interface`: "v101.0" of eth0, "v101.venet0"; what does not fit is cut, with a hash
// of the whole. Other interfaces of the VPS come and go without changing it.
std::string host_link_name(std::string_view prefix, std::string_view id, std::string_view interface);
// Bridge of a network: "vbr-default", shortened in the same way.
std::string bridge_name(std::string_view prefix, std::string_view network);
// Locally administered, from a hash of the VPS's uuid and the interface's name: the same over restarts, different from host to host.
MacAddress guest_mac(std::string_view uuid, std::string_view interface);

}  // namespace vps::net
