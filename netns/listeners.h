// Ports of the host that a program of it listens on. Source: /proc/net/tcp and its like (proc_pid_net(5)).
#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <vector>

#include "base/ip.h"
#include "netns/host.h"
#include "specs/net/plan.h"

namespace vps::netns {

struct Listener {
  IpAddress address;  // all zeros: every address of its family; "::" may take those of IPv4 too
  std::uint16_t port = 0;
  bool operator==(const Listener&) const = default;
};

// Of one such file. Those of TCP are at its beginning: no more of it is read.
std::vector<Listener> parse_listeners(std::istream& text, net::Protocol protocol, Family family);

// Whether somebody listens on `port`, where `address` (nullopt: any that is not the loopback's) of `family` would meet it. In the calling
// thread's namespace. What cannot be read has no listeners.
bool is_listened_on(const Host& host, net::Protocol protocol, Family family, const std::optional<IpAddress>& address, std::uint16_t port);

}  // namespace vps::netns
