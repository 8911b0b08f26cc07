// The steps at which tests make a network or a port fail or die (base/failpoint.h), in their order.
#pragma once

#include <string_view>

namespace vps::netns {

inline constexpr std::string_view kNetworkSteps[] = {"net.bridge", "net.bridge-marked", "net.addresses", "net.forwarding", "net.uplinks",
                                                     "net.totals"};
inline constexpr std::string_view kPortSteps[] = {"port.enter",   "port.record", "port.link",  "port.rates", "port.host-routes",
                                                  "port.proxies", "port.inside", "port.announce"};

// Of hold_namespace, before attach_ports.
inline constexpr std::string_view kHoldStep = "port.hold";

}  // namespace vps::netns
