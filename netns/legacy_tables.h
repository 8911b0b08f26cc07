// Tables of the old iptables (ip_tables, not nftables), as getsockopt(2) hands them out: what they do to a forwarded packet of which
// only the links are known. The walk is pure and takes any bytes.
// Source of the shapes: linux/netfilter_ipv4/ip_tables.h, linux/netfilter/x_tables.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/ip.h"

namespace vps::netns {

struct LegacyTable {
  std::string entries;              // struct ipt_entry or ip6t_entry, one behind the other
  std::uint32_t forward = 0;        // where the chain FORWARD begins in it
  std::uint32_t forward_policy = 0; // and its last entry, the policy
};

// The table `filter` of the calling thread's namespace; nullopt: there is none, and none is made by looking.
Result<std::optional<LegacyTable>> read_legacy_filter(Family family);

struct LegacyBlock {
  std::string chain;
  std::uint32_t rule = 0;           // its place in the chain, as `iptables-legacy -L --line-numbers` counts; 0: the policy
  bool operator==(const LegacyBlock&) const = default;
};
// What stops for certain a new connection that comes in by `in` and leaves by `out` (empty: unknown). A rule that asks for anything but
// links may match or not, and is passed over.
std::optional<LegacyBlock> legacy_block(Family family, const LegacyTable& table, std::string_view in, std::string_view out);

}  // namespace vps::netns
