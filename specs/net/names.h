// Names of the kernel objects of networks and ports: functions of the VPS's id and of the network's name, nothing else.
//
// A link name has at most 15 characters (IFNAMSIZ). The prefix of the installation tells the links of several vpsd in one network
// namespace apart: "v" by default (Roots::link_prefix), 1 to 3 characters [a-z].
#pragma once

#include <string>
#include <string_view>

#include "base/ip.h"

namespace vps::net {

// Host end of interface `index` (0..) of VPS `id`: "v101.0"; where the id is too long, its first characters and a hash of all of it.
std::string host_link_name(std::string_view prefix, std::string_view id, unsigned index);
// Bridge of a network: "vbr-default", shortened in the same way.
std::string bridge_name(std::string_view prefix, std::string_view network);
// Locally administered, from a hash of the VPS's uuid and the index: the same over restarts, different from host to host.
MacAddress guest_mac(std::string_view uuid, unsigned index);

}  // namespace vps::net
