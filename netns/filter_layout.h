// What our tables hold whatever VPSes there are: sets, chains, rules. Pure; docs/design/network.md draws it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "netns/filter.h"
#include "netns/nft_expr.h"

namespace vps::netns::filter {

enum class Table : std::uint8_t { kBridge, kInet, kArp };
constexpr Table kTables[] = {Table::kBridge, Table::kInet, Table::kArp};
std::uint8_t family_of(Table table);            // NFPROTO_*
std::string_view table_word(Table table);       // "bridge", "inet", "arp"

// Bits of a port in the map `ports`.
constexpr std::uint32_t kGuardMac = 1, kGuardIp = 2, kGuardArp = 4, kGuardRouter = 8, kKnownPort = 16;

struct Layout {
  Table table;
  std::vector<nft::Set> sets;
  std::vector<nft::Chain> chains;
  std::vector<nft::Rule> rules;  // in the order of their chains
};

// Chain and set that count class `number` of "in4", "in6", "out4" or "out6".
std::string class_name(std::string_view way, std::uint32_t number);
// Chain and set of a kind of drops, and the kinds that a table counts per port.
std::string drop_set(DropKind kind);
const std::vector<DropKind>& port_kinds(Table table);
constexpr DropKind kOwnerKinds[] = {DropKind::kConnections, DropKind::kConnectionRate, DropKind::kSmtp};  // per VPS, in inet

std::string bytes_of(const IpAddress& address);
// The lengths that prefixes are looked up by, single addresses apart. Others are cut into at most 8 pieces of one of these: every
// piece is an element of a hash, and no change of one VPS touches what others have.
std::vector<std::uint8_t> prefix_lengths(Family family);
// The prefix with the bit behind it set: tells 10.0.0.0/24 from 10.0.0.0/28 in one key of an address's size.
IpAddress wide_key(const Prefix& prefix);

// Caps on connections. The kernel forgets an element with such a limit when it counts no connection, so the numbers stand in the
// map `caps`, and there is a rule in this chain for every number that is in use: a host has few of them.
constexpr std::string_view kCapChain = "connection_caps", kConnectionSet = "connections";
// When a connection is new, the kernel walks through those that are counted under the same key. So the connections of a VPS are counted in
// parts, by their source port, and each part has its share of the cap: 128 to 255, or all of a small cap.
nft::Rule cap_rule(std::uint32_t count);
std::uint32_t cap_parts(std::uint32_t count);

const std::vector<Layout>& layouts();  // one per table; made at the first call
const Layout& layout(Table table);
const nft::Set* find_set(Table table, std::string_view name);

}  // namespace vps::netns::filter
