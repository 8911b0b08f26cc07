// What two VPSes of one host cannot both have by their definitions, whether they run or not. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/error.h"
#include "base/ip.h"
#include "specs/vps/definition.h"

namespace vps::daemon {

struct DefinedVps {
  std::string id, uuid;
  VpsNetwork network;
};

// kExists, naming the other: a MAC that is given by hand on a network where somebody has it, a port of the host that is forwarded, a
// prefix or a fixed address that leads to somebody. Entries of `others` with the id of `mine` are passed over.
Result<> check_neighbours(const DefinedVps& mine, std::span<const DefinedVps> others);

// Whether one of `others` has `address` routed to it, by a prefix of its definition.
bool routed_to(std::span<const DefinedVps> others, const IpAddress& address);

}  // namespace vps::daemon
