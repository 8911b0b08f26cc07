#include "netns/filter_kernel.h"

#include <linux/netfilter.h>
#include <sys/random.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace vps::netns::filter {
namespace {

std::vector<nft::Element> list_of(const Elements& elements) {
  std::vector<nft::Element> list;
  list.reserve(elements.size());
  for (const auto& [key, element] : elements) list.push_back(element);
  return list;
}

nft::Element element_of(nft::DumpedElement&& dumped) {
  nft::Element element{std::move(dumped.key), std::move(dumped.data), std::move(dumped.chain), dumped.end, {}, std::move(dumped.user_data)};
  if (dumped.counted) element.expr = nft::counter(dumped.bytes, dumped.packets);
  else if (!dumped.limit.empty()) element.expr = nft::Expr{"", "", std::move(dumped.limit)};
  return element;
}

}  // namespace

Result<Sockets::Lease> Sockets::take() {
  {
    std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      Socket socket = std::move(idle_.back());
      idle_.pop_back();
      return Lease(*this, std::move(socket));
    }
  }
  return Lease(*this, VPS_TRY(Socket::open(NETLINK_NETFILTER)));
}

void Sockets::give(Socket socket) {
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(socket));
}

std::string link_of(std::string_view key) { return std::string(key.substr(0, key.find('\0'))); }

nft::TableName table_name(Table table, const std::string& name) { return {family_of(table), name}; }

void add_contents(nft::Batch& batch, const std::string& name, const Contents& contents) {
  for (const auto& [set, elements] : contents)
    batch.add_elements(table_name(set.first, name), *find_set(set.first, set.second), list_of(elements));
}

void write_chain(nft::Batch& batch, const std::string& name, const FirewallChain& chain) {
  auto table = table_name(Table::kInet, name);
  batch.add_chain(table, {chain.name, "", 0, 0});
  batch.flush_chain(table, chain.name);
  for (std::size_t i = 0; i < chain.sets.size(); ++i) {
    batch.add_set(table, chain.sets[i]);
    batch.add_elements(table, chain.sets[i], chain.set_elements[i]);
  }
  for (const auto& rule : chain.rules) batch.add_rule(table, rule);
}

void drop_chain(nft::Batch& batch, const std::string& name, const std::string& chain) {
  auto table = table_name(Table::kInet, name);
  batch.flush_chain(table, chain);
  batch.delete_chain(table, chain);
}

void apply(nft::Batch& batch, const std::string& name, const Difference& difference, const std::vector<FirewallChain>& chains) {
  for (const auto& [set, elements] : difference.gone)
    batch.delete_elements(table_name(set.first, name), *find_set(set.first, set.second), list_of(elements));
  for (const auto& chain : chains) write_chain(batch, name, chain);
  add_contents(batch, name, difference.fresh);
}

Result<Elements> read_set(Socket& socket, const std::string& name, Table table, const std::string& set) {
  Elements elements;
  for (auto& each : VPS_TRY(nft::dump_elements(socket, table_name(table, name), set))) {
    ElementKey key{each.key, !each.end};
    elements.insert_or_assign(std::move(key), element_of(std::move(each)));
  }
  return elements;
}

Result<Contents> read_contents(Socket& socket, const std::string& name) {
  Contents contents;
  for (const auto& layout : layouts())
    for (const auto& set : layout.sets) {
      if (set.name == kConnectionSet) continue;
      auto elements = VPS_TRY(read_set(socket, name, layout.table, set.name));
      if (!elements.empty()) contents[{layout.table, set.name}] = std::move(elements);
    }
  return contents;
}

Result<std::uint16_t> read_classes(Socket& socket, const std::string& name) {
  std::uint16_t classes = 0;
  for (const auto& each : VPS_TRY(nft::dump_elements(socket, table_name(Table::kInet, name), "classes"))) {
    std::uint32_t number = 0;
    if (each.key.size() != sizeof number) continue;
    std::memcpy(&number, each.key.data(), sizeof number);
    if (number < net::kTrafficClasses) classes = static_cast<std::uint16_t>(classes | 1u << number);
  }
  return classes;
}

std::set<std::uint32_t> caps_in(const std::vector<nft::DumpedRule>& rules) {
  std::set<std::uint32_t> caps;
  for (const auto& rule : rules) {
    std::uint32_t count = 0;
    constexpr std::string_view kNote = "cap ";
    constexpr std::size_t kFingerprint = 8;
    std::string_view note = std::string_view(rule.user_data).substr(std::min(kFingerprint, rule.user_data.size()));
    if (rule.chain != kCapChain || !note.starts_with(kNote)) continue;
    auto [end, error] = std::from_chars(note.data() + kNote.size(), note.data() + note.size(), count);
    if (error == std::errc() && rule.user_data == cap_rule(count).user_data()) caps.insert(count);
  }
  return caps;
}

Result<> add_caps(Socket& socket, nft::Batch& batch, const std::string& name, const std::set<std::uint32_t>& caps) {
  if (caps.empty()) return {};
  auto there = caps_in(VPS_TRY(nft::dump_rules(socket, table_name(Table::kInet, name), kCapChain)));
  for (auto count : caps)
    if (!there.contains(count)) batch.add_rule(table_name(Table::kInet, name), cap_rule(count));
  return {};
}

std::vector<RuleStart> rule_counters(const std::vector<nft::DumpedRule>& rules, std::string_view id) {
  std::vector<RuleStart> counters;
  for (auto direction : {net::Direction::kIn, net::Direction::kOut}) {
    std::string chain = firewall_chain_name(direction, id);
    for (const auto& rule : rules) {
      if (rule.chain != chain) continue;
      auto number = rule_number(rule.user_data);
      auto counts = nft::counter_of(rule);
      if (!number || !counts) continue;
      auto found = std::ranges::find_if(counters, [&](const auto& each) { return each.direction == direction && each.number == *number; });
      if (found == counters.end()) found = counters.insert(counters.end(), {direction, *number, 0, 0});
      found->packets += counts->packets;
      found->bytes += counts->bytes;
    }
  }
  return counters;
}

Result<std::vector<RuleStart>> read_rule_counters(Socket& socket, const std::string& name, std::string_view id) {
  std::vector<nft::DumpedRule> rules;
  for (auto direction : {net::Direction::kIn, net::Direction::kOut}) {
    auto some = VPS_TRY(nft::dump_rules(socket, table_name(Table::kInet, name), firewall_chain_name(direction, id)));
    rules.insert(rules.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
  }
  return rule_counters(rules, id);
}

std::uint64_t new_epoch() {
  std::uint64_t epoch = 0;
  while (epoch == 0)
    if (::getrandom(&epoch, sizeof epoch, 0) != sizeof epoch) epoch = 0;
  return epoch;
}

std::optional<TrafficSet> traffic_set(std::string_view name) {
  for (auto direction : {net::Direction::kIn, net::Direction::kOut})
    for (auto family : {Family::kV4, Family::kV6}) {
      std::string way = std::string(direction == net::Direction::kIn ? "in" : "out") + (family == Family::kV4 ? "4" : "6");
      if (!name.starts_with(way + "_class")) continue;
      for (std::uint8_t number = 0; number < net::kTrafficClasses; ++number)
        if (name == class_name(way, number)) return TrafficSet{direction, family, number};
    }
  return std::nullopt;
}

std::optional<TrafficSample> sample_of(const TrafficSet& set, const nft::DumpedElement& element) {
  ElementOwner owner = parse_element_data(element.user_data);
  if (owner.id.empty() || !element.counted) return std::nullopt;
  return TrafficSample{std::move(owner.id), link_of(element.key), set.direction, set.family, set.number, owner.epoch, element.bytes, element.packets};
}

}  // namespace vps::netns::filter
