// Definition + networks + addresses -> what the kernel is to hold (specs/net/plan.h): pure, golden-tested.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "specs/net/plan.h"
#include "specs/vps/definition.h"
#include "specs/vps/network.h"

namespace vps {

// An address that a VPS holds, with the length that it has on its link's network.
struct Lease {
  std::string network, vps, interface;
  Prefix address;
  bool fixed = false;  // asked for by its definition; else taken from the pool for an `auto`
  bool operator==(const Lease&) const = default;
};

struct NetworkInput {
  const Definition* definition = nullptr;
  std::string uuid;                          // MAC addresses follow from it
  std::string link_prefix;                   // of names of links: net/names.h
  std::map<std::string, Network> networks;   // at least those that the definition names
  std::vector<Lease> leases;                 // of this VPS; those of an interface in the order in which they are set
};
// kNotFound: a network that is not there; kUsage: what its mode cannot do.
Result<net::VpsPlan> compile_network(const NetworkInput& input);
// What this choice does not give, a sentence each, the key first.
std::vector<std::string> network_warnings(const NetworkInput& input);

net::NetworkPlan compile_host_network(const Network& network, std::string_view link_prefix);

// A line per thing that a start does, for --dry-run.
std::vector<std::string> describe_network(const net::VpsPlan& plan);

}  // namespace vps
