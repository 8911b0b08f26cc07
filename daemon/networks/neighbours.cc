#include "daemon/networks/neighbours.h"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "specs/net/names.h"

namespace vps::daemon {
namespace {

std::optional<MacAddress> mac_of(const DefinedVps& vps, const Interface& interface) {
  if (interface.mac == "auto") return net::guest_mac(vps.uuid, interface.name);
  auto given = parse_mac(interface.mac);
  return given ? std::optional(*given) : std::nullopt;
}

Result<> check_macs(const DefinedVps& mine, const DefinedVps& other) {
  for (const auto& one : mine.network.interfaces)
    for (const auto& two : other.network.interfaces) {
      if (one.network != two.network || (one.mac == "auto" && two.mac == "auto")) continue;
      auto mac = mac_of(mine, one);
      if (mac && mac == mac_of(other, two))
        return fail(Code::kExists, "network.interfaces.{}.mac: {} is vps {}'s on network {}", one.name, format_mac(*mac), other.id, one.network);
    }
  return {};
}

Result<> check_forwards(const DefinedVps& mine, const DefinedVps& other) {
  for (const auto& one : mine.network.firewall.forwards)
    for (const auto& two : other.network.firewall.forwards) {
      if (one.port != two.port || one.protocol != two.protocol || one.listen != two.listen || one.family() != two.family()) continue;
      return fail(Code::kExists, "network.firewall.forwards: {} port {} of {} leads to vps {} already",
                  one.protocol == net::Protocol::kUdp ? "udp" : "tcp", one.port, one.listen ? format_ip(*one.listen) : "every address", other.id);
    }
  return {};
}

// What leads to a VPS by the words of its definition: prefixes, and with `fixed` the addresses that are not `auto`.
std::vector<Prefix> led_to(const DefinedVps& vps, bool fixed) {
  std::vector<Prefix> all;
  for (const auto& interface : vps.network.interfaces) {
    all.insert(all.end(), interface.routed.begin(), interface.routed.end());
    if (!fixed) continue;
    for (const auto& text : interface.addresses)
      if (auto address = parse_prefix(text)) all.push_back(host_prefix(address->address));
  }
  return all;
}

Result<> check_prefixes(const DefinedVps& mine, const DefinedVps& other) {
  for (const auto& one : led_to(mine, true))
    for (const auto& two : led_to(other, false))
      if (one.overlaps(two)) return fail(Code::kExists, "{} leads to vps {} already ({})", format_prefix(one), other.id, format_prefix(two));
  return {};
}

}  // namespace

Result<> check_neighbours(const DefinedVps& mine, std::span<const DefinedVps> others) {
  for (const auto& other : others) {
    if (other.id == mine.id) continue;
    VPS_TRY(check_macs(mine, other));
    VPS_TRY(check_forwards(mine, other));
    VPS_TRY(check_prefixes(mine, other));
  }
  return {};
}

bool routed_to(std::span<const DefinedVps> others, const IpAddress& address) {
  return std::ranges::any_of(others, [&](const DefinedVps& other) {
    return std::ranges::any_of(led_to(other, false), [&](const Prefix& prefix) { return prefix.contains(address); });
  });
}

}  // namespace vps::daemon
