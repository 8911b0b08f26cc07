// A network as its operator defines it: the content of <state>/networks/NAME.yaml as plain data, its YAML form, and its checks.
// What the kernel holds for it is computed by compile_network.h. Values, freely copyable between threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ip.h"
#include "specs/net/plan.h"

namespace vps {

// What to do when an address that is about to be given out answers on the uplinks already.
enum class ProbePolicy { kOff, kWarn, kRefuse };

struct Network {
  std::string name;
  net::Mode mode = net::Mode::kBridge;
  std::vector<Prefix> subnets;         // the pools; `auto` takes from the first of each family that has room
  std::vector<IpAddress> gateways;     // one per subnet at most; on a bridge they are the host's own
  bool nat = false;
  bool isolated = false;               // ports of a bridge do not reach each other
  std::vector<std::string> uplinks;    // routed: any number; macvlan and host-device: one
  std::optional<std::uint32_t> mtu;
  ProbePolicy probe = ProbePolicy::kWarn;
  std::optional<BitRate> rate_in, rate_out;  // of all its VPSes together; their guarantees are shares of it
  bool operator==(const Network&) const = default;
};

std::string_view mode_name(net::Mode mode);
std::string_view probe_policy_name(ProbePolicy policy);

// As with definitions (definition_yaml.h): kUsage errors of one line with file, line and key.
Result<Network> parse_network_definition(std::string_view yaml, std::string_view file_name);
std::string format_network(const Network& network);
std::string format_network_json(const Network& network);
// What must hold between keys, the mode first.
Result<> validate_network(const Network& network);
// "KEY=VALUE", lists as YAML flow; an empty value unsets. name and mode cannot be set.
Result<> set_network_key(Network& network, std::string_view assignment);

// The gateway of one of its subnets: the one that is named, or a bridge's first address. nullopt: only the operator of the network that
// it stands on knows it. Routed networks have none of their own: see routed_gateway().
std::optional<IpAddress> subnet_gateway(const Network& network, const Prefix& subnet);
// 169.254.1.1 and fe80::1: answered by the host end of every port of a routed network.
IpAddress routed_gateway(Family family);
// The subnet that holds `address`; null: none.
const Prefix* subnet_of(const Network& network, const IpAddress& address);
// Whether a VPS may have this address of `subnet`: not its network or broadcast address, not a gateway.
bool assignable(const Network& network, const Prefix& subnet, const IpAddress& address);

}  // namespace vps
