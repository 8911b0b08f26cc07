// Comparing the kernel's tables with what they should hold, and putting them right.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "netns/filter.h"
#include "netns/filter_kernel.h"

namespace vps::netns {

using namespace filter;

namespace {

// All that the kernel holds of us, as far as it is there.
struct Picture {
  Contents contents;
  std::vector<nft::DumpedRule> rules[std::size(kTables)];
  std::vector<std::string> faults;   // of the structure: chains, sets, rules
  std::uint16_t classes = 0;
};

std::string label(Table table, const std::string& name) { return fmt::format("table {} {}", table_word(table), name); }

// A table that is not there, or lacks something, is a fault; its contents are read as far as possible.
Result<void> read_sets(Socket& socket, const std::string& name, const Layout& layout, Picture& picture) {
  auto sets = nft::dump_sets(socket, table_name(layout.table, name));
  if (!sets && sets.error().code() != Code::kNotFound) return std::unexpected(std::move(sets).error());
  if (!sets) {
    picture.faults.push_back(label(layout.table, name) + " is missing");
    return {};
  }
  for (const auto& wanted : layout.sets) {
    auto found = std::ranges::find(*sets, wanted.name, &nft::Set::name);
    if (found == sets->end()) {
      picture.faults.push_back(fmt::format("{}: set {} is missing", label(layout.table, name), wanted.name));
      continue;
    }
    if (*found != wanted) {
      picture.faults.push_back(fmt::format("{}: set {} has another shape", label(layout.table, name), wanted.name));
      continue;
    }
    if (wanted.name == kConnectionSet) continue;
    auto elements = read_set(socket, name, layout.table, wanted.name);
    if (!elements && elements.error().code() == Code::kNotFound) continue;  // gone meanwhile
    if (!elements) return std::unexpected(std::move(elements).error());
    if (!elements->empty()) picture.contents[{layout.table, wanted.name}] = std::move(*elements);
  }
  for (const auto& set : *sets)
    if (!set.anonymous && find_set(layout.table, set.name) == nullptr)
      picture.faults.push_back(fmt::format("{}: set {} is none of ours", label(layout.table, name), set.name));
  return {};
}

// The rules of one chain, in order, against what should stand there.
void compare_rules(const std::string& where, const std::string& chain, const std::vector<const nft::DumpedRule*>& found,
                   const std::vector<const nft::Rule*>& wanted, std::vector<std::string>& faults) {
  for (std::size_t i = 0; i < std::max(found.size(), wanted.size()); ++i) {
    if (i >= found.size()) faults.push_back(fmt::format("{}: chain {} lacks {} rules", where, chain, wanted.size() - found.size()));
    else if (i >= wanted.size()) faults.push_back(fmt::format("{}: chain {} has {} rules too many", where, chain, found.size() - wanted.size()));
    else if (found[i]->user_data != wanted[i]->user_data()) faults.push_back(fmt::format("{}: chain {}: rule {} is another", where, chain, i + 1));
    else continue;
    return;
  }
}

void compare_structure(const std::string& name, const Layout& layout, const std::vector<nft::DumpedChain>& chains,
                       const std::vector<FirewallChain>& firewalls, const std::set<std::uint32_t>& caps, Picture& picture) {
  std::string where = label(layout.table, name);
  std::map<std::string, const nft::DumpedChain*> there;
  for (const auto& chain : chains)
    if (chain.family == family_of(layout.table) && chain.table == name) there[chain.chain.name] = &chain;
  std::map<std::string, std::vector<const nft::DumpedRule*>> found;
  for (const auto& rule : picture.rules[static_cast<std::size_t>(layout.table)]) found[rule.chain].push_back(&rule);
  std::map<std::string, std::vector<const nft::Rule*>> wanted;
  for (const auto& chain : layout.chains) wanted[chain.name];
  for (const auto& rule : layout.rules) wanted[rule.chain].push_back(&rule);
  if (layout.table == Table::kInet)
    for (const auto& chain : firewalls)
      for (const auto& rule : chain.rules) wanted[chain.name].push_back(&rule);

  for (const auto& chain : layout.chains) {
    auto at = there.find(chain.name);
    if (at != there.end() && (at->second->chain != chain || (!chain.type.empty() && at->second->policy != 1)))
      picture.faults.push_back(fmt::format("{}: chain {} has another hook, priority or policy", where, chain.name));
  }
  for (const auto& [chain, rules] : wanted) {
    if (chain == kCapChain && there.contains(chain)) {
      auto present = caps_in(picture.rules[static_cast<std::size_t>(Table::kInet)]);
      if (!std::ranges::includes(present, caps)) picture.faults.push_back(fmt::format("{}: chain {} lacks a rule", where, chain));
      else if (present.size() != found[chain].size()) picture.faults.push_back(fmt::format("{}: chain {} has other rules", where, chain));
      continue;
    }
    if (!there.contains(chain)) picture.faults.push_back(fmt::format("{}: chain {} is missing", where, chain));
    else compare_rules(where, chain, found[chain], rules, picture.faults);
  }
  for (const auto& [chain, at] : there)
    if (!wanted.contains(chain)) picture.faults.push_back(fmt::format("{}: chain {} is none of ours", where, chain));
}

Contents wanted_contents(const FilterState& state, std::uint16_t classes) {
  std::uint64_t epoch = new_epoch();
  classes = static_cast<std::uint16_t>(classes | classes_used(state.classes));
  Contents wanted = common_contents(state.networks, state.classes);
  for (std::uint32_t number = 0; number < net::kTrafficClasses; ++number)
    if ((classes >> number & 1) != 0) {
      std::string key = nft::native32(number);
      wanted[{Table::kInet, "classes"}].try_emplace({key, true}, nft::Element{.key = key});
    }
  for (const auto& plan : state.vpses) merge(wanted, vps_contents(plan, classes, epoch));
  return wanted;
}

std::vector<FirewallChain> all_chains(const FilterState& state, const Picture* picture) {
  std::vector<FirewallChain> all;
  std::uint32_t set_id = 0;
  for (const auto& plan : state.vpses) {
    std::vector<RuleStart> counters;
    if (picture != nullptr) counters = rule_counters(picture->rules[static_cast<std::size_t>(Table::kInet)], plan.id);
    for (auto& chain : firewall_chains(plan, counters, set_id)) all.push_back(std::move(chain));
  }
  return all;
}

Result<Picture> read_picture(Socket& socket, const std::string& name, const FilterState& state) {
  auto firewalls = all_chains(state, nullptr);
  auto caps = caps_of(wanted_contents(state, 0));

  Picture picture;
  auto chains = VPS_TRY(nft::dump_chains(socket, 0));
  for (const auto& layout : layouts()) {
    std::size_t faults = picture.faults.size();
    VPS_TRY(read_sets(socket, name, layout, picture));
    bool missing = picture.faults.size() > faults && picture.faults.back().ends_with("is missing") && !picture.faults.back().contains(':');
    if (missing) continue;
    auto rules = nft::dump_rules(socket, table_name(layout.table, name));
    if (!rules && rules.error().code() != Code::kNotFound) return std::unexpected(std::move(rules).error());
    if (rules) picture.rules[static_cast<std::size_t>(layout.table)] = std::move(*rules);
    compare_structure(name, layout, chains, firewalls, caps, picture);
  }
  auto classes = picture.contents.find({Table::kInet, "classes"});
  if (classes != picture.contents.end())
    for (const auto& [key, element] : classes->second)
      if (key.first.size() == 4 && static_cast<unsigned char>(key.first[0]) < net::kTrafficClasses)
        picture.classes = static_cast<std::uint16_t>(picture.classes | 1u << static_cast<unsigned char>(key.first[0]));
  return picture;
}

// Counters that still exist go on from where they are, in their epoch.
void keep_counters(Contents& wanted, const Contents& there) {
  for (auto& [set, elements] : wanted) {
    if (!find_set(set.first, set.second)->counted) continue;
    auto old = there.find(set);
    if (old == there.end()) continue;
    for (auto& [key, element] : elements) {
      auto found = old->second.find(key);
      if (found == old->second.end()) continue;
      element.expr = found->second.expr;
      element.user_data = found->second.user_data;
    }
  }
}

// Everything anew in one transaction: no packet meets half of it.
nft::Batch rebuild(const std::string& name, const FilterState& state, const Picture& picture, Contents wanted) {
  nft::Batch batch;
  keep_counters(wanted, picture.contents);
  for (const auto& layout : layouts()) {
    auto table = table_name(layout.table, name);
    batch.add_table(table);
    batch.delete_table(table);
    batch.add_table(table);
    for (const auto& set : layout.sets) batch.add_set(table, set);
    for (const auto& chain : layout.chains) batch.add_chain(table, chain);
    for (const auto& rule : layout.rules) batch.add_rule(table, rule);
  }
  for (auto count : caps_of(wanted)) batch.add_rule(table_name(Table::kInet, name), cap_rule(count));
  for (const auto& chain : all_chains(state, &picture)) write_chain(batch, name, chain);
  add_contents(batch, name, wanted);
  return batch;
}

// One line per set, and not one per element.
void describe(const std::string& name, const Difference& difference, std::vector<std::string>& faults) {
  auto lines = [&](const Contents& contents, std::string_view text) {
    for (const auto& [set, elements] : contents) {
      std::set<std::string> ids;
      for (const auto& [key, element] : elements) {
        auto id = parse_element_data(element.user_data).id;
        if (!id.empty()) ids.insert(id);
      }
      std::string who;
      if (!ids.empty()) who = fmt::format(" (of {}{})", *ids.begin(), ids.size() > 1 ? fmt::format(" and {} more", ids.size() - 1) : "");
      faults.push_back(fmt::format("{}: set {}: {} {}{}", label(set.first, name), set.second, elements.size(), text, who));
    }
  };
  lines(difference.gone, "elements that do not belong there");
  lines(difference.fresh, "elements are missing");
}

}  // namespace

Result<std::vector<std::string>> Filter::check(const FilterState& state) const {
  auto socket = VPS_TRY(sockets_->take());
  auto picture = VPS_TRY(read_picture(socket, table_, state));
  describe(table_, difference(picture.contents, wanted_contents(state, picture.classes)), picture.faults);
  return picture.faults;
}

Result<std::vector<std::string>> Filter::ensure(const FilterState& state) const {
  auto socket = VPS_TRY(sockets_->take());
  auto picture = VPS_TRY_CTX("filter", read_picture(socket, table_, state));
  Contents wanted = wanted_contents(state, picture.classes);
  if (!picture.faults.empty()) {
    auto batch = rebuild(table_, state, picture, std::move(wanted));
    VPS_TRY_CTX("filter", batch.commit(socket));
    return picture.faults;
  }
  Difference missing = difference(picture.contents, wanted);
  if (missing.empty()) return std::vector<std::string>{};
  nft::Batch batch;
  apply(batch, table_, missing, {});
  VPS_TRY_CTX("filter", batch.commit(socket));
  describe(table_, missing, picture.faults);
  return picture.faults;
}

}  // namespace vps::netns
