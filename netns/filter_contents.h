// Which elements and chains a VPS, the networks and the classes have in our tables: pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "netns/filter_layout.h"
#include "netns/traffic.h"
#include "specs/net/plan.h"

namespace vps::netns::filter {

using SetKey = std::pair<Table, std::string>;               // and the set's name
// Key and whether it begins something: the end of an interval stands before the beginning of the next, as the kernel wants it.
using ElementKey = std::pair<std::string, bool>;
using Elements = std::map<ElementKey, nft::Element>;
using Contents = std::map<SetKey, Elements>;

// A chain of a VPS's own firewall, in the table inet.
struct FirewallChain {
  std::string name;
  std::vector<nft::Set> sets;                               // anonymous ones of its rules
  std::vector<std::vector<nft::Element>> set_elements;      // of each
  std::vector<nft::Rule> rules;
};

// User data of every element of a VPS: the epoch of its counter (0: none) and the VPS's id.
std::string element_data(std::string_view id, std::uint64_t epoch = 0);
struct ElementOwner {
  std::string id;
  std::uint64_t epoch = 0;
};
ElementOwner parse_element_data(std::string_view user_data);  // anything: an empty id where it is none of ours

// Whose: 4 bytes that stand for a VPS, from its id. Two of a thousand VPSes are the same once in ten thousand hosts; they share
// their caps then, and nothing else.
std::string owner_key(std::string_view id);
std::set<std::uint32_t> caps_of(const Contents& contents);  // that need a rule
bool has_covered_port(const net::VpsPlan& plan);

// `classes`: a bit for each class that counters are kept for. `epoch`: of counters.
Contents vps_contents(const net::VpsPlan& plan, std::uint16_t classes, std::uint64_t epoch);
Contents common_contents(std::span<const net::NetworkPlan> networks, std::span<const net::TrafficClass> classes);
std::uint16_t classes_used(std::span<const net::TrafficClass> classes);
// Counters of one port for `classes`.
void port_counters(Contents& contents, Table table, const std::string& link, const std::string& id, std::uint16_t classes, std::uint64_t epoch);

// Where the counters of a rule go on from when its chain is written anew.
struct RuleStart {
  net::Direction direction = net::Direction::kIn;
  std::uint32_t number = 0;
  std::uint64_t packets = 0, bytes = 0;
};
// The chains that the firewall of a VPS needs: none, one or two.
// `set_id`: anonymous sets are numbered from the next one on, uniquely within a transaction.
std::vector<FirewallChain> firewall_chains(const net::VpsPlan& plan, std::span<const RuleStart> counters, std::uint32_t& set_id);
inline std::vector<FirewallChain> firewall_chains(const net::VpsPlan& plan, std::span<const RuleStart> counters = {}) {
  std::uint32_t set_id = 0;
  return firewall_chains(plan, counters, set_id);
}
bool has_rules(const net::VpsPlan& plan, net::Direction direction);
std::string firewall_chain_name(net::Direction direction, std::string_view id);
// The note of a firewall rule, and the number in it; nullopt: the rule counts nothing of ours.
std::string rule_note(std::uint32_t number);
std::optional<std::uint32_t> rule_number(std::string_view user_data);

// The end of the interval that begins at `begin`, which stands behind it; elements.end(): a single element, or an interval up to the last
// address.
Elements::const_iterator end_of(const Elements& elements, Elements::const_iterator begin);

// What has to go and what has to come so that `before` becomes `after`. Counters are not compared; what differs in data, target or
// limit goes and comes.
struct Difference {
  Contents gone, fresh;
  [[nodiscard]] bool empty() const { return gone.empty() && fresh.empty(); }
};
Difference difference(const Contents& before, const Contents& after);

void merge(Contents& into, const Contents& more);

}  // namespace vps::netns::filter
