#include "netns/filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/files.h"
#include "netns/dump.h"
#include "netns/filter_kernel.h"

namespace vps::netns {

using namespace filter;

namespace {

constexpr std::size_t kLongestTable = 32, kLongestId = 63;
constexpr std::string_view kDropNames[kDropKinds] = {"mac",  "ipv4",     "ipv6",        "arp",             "neighbour", "router",
                                                     "dhcp", "protocol", "connections", "connection_rate", "smtp"};

// What no compiler of plans should let through, and what would not do what it says.
Result<> check_plan(const net::VpsPlan& plan) {
  if (plan.id.empty() || plan.id.size() > kLongestId) return fail(Code::kUsage, "filter: \"{}\" is no id of a VPS", plan.id);
  for (const auto& port : plan.ports)
    if (covered(port.mode) && (port.host_link.empty() || port.host_link.size() > 15))
      return fail(Code::kUsage, "filter of {}: \"{}\" is no name of a link", plan.id, port.host_link);
  for (const auto& forward : plan.firewall.forwards) {
    if (forward.protocol == net::Protocol::kIcmp || forward.protocol == net::Protocol::kIcmp6)
      return fail(Code::kUsage, "forward {} of {}: only TCP and UDP have ports", forward.number, plan.id);
    if (forward.listen && forward.listen->family != forward.guest.family)
      return fail(Code::kUsage, "forward {} of {}: {} and {} are of different families", forward.number, plan.id, format_ip(*forward.listen),
                  format_ip(forward.guest));
    bool mine = std::ranges::any_of(plan.ports, [&](const auto& port) {
      return std::ranges::any_of(port.allowed, [&](const auto& prefix) { return prefix.contains(forward.guest); });
    });
    if (!mine) return fail(Code::kUsage, "forward {} of {}: {} is none of its addresses", forward.number, plan.id, format_ip(forward.guest));
  }
  return {};
}

Error about(Error error, const std::string& id) {
  if (error.code() == Code::kExists) {
    // The sets of owners refuse an address that leads to somebody else already.
    Error other(Code::kExists, fmt::format("an address, prefix or forward of {} belongs to another VPS already ({})", id, error.message()));
    return std::move(other).wrap("filter of " + id);
  }
  return std::move(error).wrap("filter of " + id);
}

// All that carries this id.
Contents of_id(const Contents& contents, std::string_view id) {
  Contents mine;
  for (const auto& [set, elements] : contents)
    for (auto at = elements.begin(); at != elements.end(); ++at) {
      if (parse_element_data(at->second.user_data).id != id) continue;
      mine[set].insert(*at);
      if (auto end = end_of(elements, at); end != elements.end()) mine[set].insert(*end);  // which names nobody itself
    }
  return mine;
}

Result<std::vector<TrafficSample>> last_readings(Socket& socket, const std::string& name, const Contents& contents) {
  std::vector<TrafficSample> samples;
  for (const auto& [set, elements] : contents) {
    auto traffic = traffic_set(set.second);
    if (!traffic) continue;
    std::vector<std::string> keys;
    for (const auto& [key, element] : elements) keys.push_back(key.first);
    for (const auto& each : VPS_TRY(nft::get_elements(socket, table_name(set.first, name), set.second, keys)))
      if (auto sample = sample_of(*traffic, each)) samples.push_back(std::move(*sample));
  }
  return samples;
}

}  // namespace

bool covered(net::Mode mode) { return mode == net::Mode::kBridge || mode == net::Mode::kRouted; }

std::string_view drop_kind_name(DropKind kind) { return kDropNames[static_cast<std::size_t>(kind)]; }

Filter::Filter(std::string table) : table_(std::move(table)), sockets_(std::make_shared<Sockets>()) {}

Result<Filter> Filter::create(std::string table) {
  auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  if (table.empty() || table.size() > kLongestTable || !std::ranges::all_of(table, good) || table[0] < 'a' || table[0] > 'z')
    return fail(Code::kUsage, "\"{}\" is no name for tables of nftables", table);
  return Filter(std::move(table));
}

Result<> Filter::remove_tables() const {
  auto socket = VPS_TRY(sockets_->take());
  nft::Batch batch;
  for (auto table : kTables) {
    batch.add_table(table_name(table, table_));  // so that a missing one is no error
    batch.delete_table(table_name(table, table_));
  }
  return batch.commit(socket);
}

Result<> Filter::configure(std::span<const net::NetworkPlan> networks, std::span<const net::TrafficClass> classes) const {
  auto socket = VPS_TRY(sockets_->take());
  auto before = VPS_TRY(read_classes(socket, table_));
  auto fresh = static_cast<std::uint16_t>(classes_used(classes) & ~before);
  Contents contents = common_contents(networks, classes);
  nft::Batch batch;
  for (auto table : {Table::kInet, Table::kBridge})
    for (const auto& set : layout(table).sets)
      if (set.name.starts_with("class_") || set.name.starts_with("own4") || set.name.starts_with("own6") ||
          set.name.starts_with("bridged") || set.name.starts_with("nat"))
        batch.flush_set(table_name(table, table_), set.name);
  std::uint64_t epoch = new_epoch();
  auto counters = [&]() -> Result<Contents> {
    Contents all;
    for (auto table : {Table::kBridge, Table::kInet})
      for (const auto& port : VPS_TRY(nft::dump_elements(socket, table_name(table, table_), "ports")))
        port_counters(all, table, link_of(port.key), parse_element_data(port.user_data).id, fresh, epoch);
    return all;
  };
  if (fresh != 0) merge(contents, VPS_TRY(counters()));
  add_contents(batch, table_, contents);
  VPS_TRY_CTX("classes and networks of the filter", batch.commit(socket));
  if (fresh == 0) return {};
  // Ports that came between the dump and the transaction do not know the new classes yet.
  nft::Batch late;
  add_contents(late, table_, VPS_TRY(counters()));
  VPS_TRY_CTX("counters of new classes", late.commit(socket));
  return {};
}

Result<> Filter::add(const net::VpsPlan& plan) const {
  VPS_TRY(check_plan(plan));
  if (!has_covered_port(plan)) return {};
  auto socket = VPS_TRY(sockets_->take());
  auto classes = read_classes(socket, table_);
  if (!classes) return std::unexpected(about(std::move(classes).error(), plan.id));
  nft::Batch batch;
  Contents contents = vps_contents(plan, *classes, new_epoch());
  VPS_TRY(add_caps(socket, batch, table_, caps_of(contents)));
  apply(batch, table_, {{}, std::move(contents)}, firewall_chains(plan));
  auto done = batch.commit(socket);
  if (!done) return std::unexpected(about(std::move(done).error(), plan.id));
  return {};
}

Result<> Filter::change(const net::VpsPlan& before, const net::VpsPlan& after) const {
  VPS_TRY(check_plan(after));
  if (before.id != after.id) return fail(Code::kUsage, "filter: {} does not become {}", before.id, after.id);
  auto socket = VPS_TRY(sockets_->take());
  auto classes = read_classes(socket, table_);
  if (!classes) return std::unexpected(about(std::move(classes).error(), after.id));
  std::uint64_t epoch = new_epoch();
  auto old_chains = firewall_chains(before);
  std::vector<FirewallChain> chains = firewall_chains(after);
  bool rules_differ = before.firewall.rules != after.firewall.rules || before.firewall.default_in != after.firewall.default_in ||
                      before.firewall.default_out != after.firewall.default_out;
  if (!rules_differ && old_chains.size() == chains.size()) {
    chains.clear();
    old_chains.clear();
  } else if (!old_chains.empty() && !chains.empty()) {
    auto counters = read_rule_counters(socket, table_, after.id);
    if (!counters) return std::unexpected(about(std::move(counters).error(), after.id));
    chains = firewall_chains(after, *counters);
  }
  nft::Batch batch;
  Difference changes = difference(vps_contents(before, *classes, epoch), vps_contents(after, *classes, epoch));
  VPS_TRY(add_caps(socket, batch, table_, caps_of(changes.fresh)));
  apply(batch, table_, changes, chains);
  for (const auto& old : old_chains)
    if (std::ranges::find(chains, old.name, &FirewallChain::name) == chains.end()) drop_chain(batch, table_, old.name);
  auto done = batch.commit(socket);
  if (!done) return std::unexpected(about(std::move(done).error(), after.id));
  return {};
}

Result<std::vector<TrafficSample>> Filter::remove(const net::VpsPlan& plan) const {
  if (!has_covered_port(plan)) return std::vector<TrafficSample>{};
  auto socket = VPS_TRY(sockets_->take());
  auto classes = read_classes(socket, table_);
  if (!classes && classes.error().code() == Code::kNotFound) return std::vector<TrafficSample>{};
  if (!classes) return std::unexpected(about(std::move(classes).error(), plan.id));
  Contents contents = vps_contents(plan, *classes, 0);
  auto samples = last_readings(socket, table_, contents);
  if (samples) {
    nft::Batch batch;
    apply(batch, table_, {contents, {}}, {});
    for (const auto& chain : firewall_chains(plan)) drop_chain(batch, table_, chain.name);
    auto done = batch.commit(socket);
    if (done) return samples;
    if (done.error().code() != Code::kNotFound) return std::unexpected(about(std::move(done).error(), plan.id));
  } else if (samples.error().code() != Code::kNotFound) {
    return std::unexpected(about(std::move(samples).error(), plan.id));
  }
  return purge(plan.id);  // a part of it is not there
}

Result<std::vector<TrafficSample>> Filter::purge(std::string_view id) const {
  auto socket = VPS_TRY(sockets_->take());
  auto contents = read_contents(socket, table_);
  if (!contents && contents.error().code() == Code::kNotFound) return std::vector<TrafficSample>{};
  if (!contents) return std::unexpected(about(std::move(contents).error(), std::string(id)));
  Contents mine = of_id(*contents, id);
  auto samples = VPS_TRY(last_readings(socket, table_, mine));
  nft::Batch batch;
  apply(batch, table_, {mine, {}}, {});
  for (const auto& chain : VPS_TRY(nft::dump_chains(socket, family_of(Table::kInet))))
    for (auto direction : {net::Direction::kIn, net::Direction::kOut})
      if (chain.table == table_ && chain.chain.name == firewall_chain_name(direction, id)) drop_chain(batch, table_, chain.chain.name);
  auto done = batch.commit(socket);
  if (!done) return std::unexpected(about(std::move(done).error(), std::string(id)));
  return samples;
}

Result<std::vector<std::string>> Filter::ids() const {
  auto socket = VPS_TRY(sockets_->take());
  std::set<std::string> all;
  for (auto table : {Table::kBridge, Table::kInet})
    for (const auto& port : VPS_TRY(nft::dump_elements(socket, table_name(table, table_), "ports"))) {
      auto owner = parse_element_data(port.user_data);
      if (!owner.id.empty()) all.insert(std::move(owner.id));
    }
  return std::vector<std::string>(all.begin(), all.end());
}

Result<std::vector<TrafficSample>> Filter::traffic() const {
  auto socket = VPS_TRY(sockets_->take());
  std::vector<TrafficSample> samples;
  auto used = VPS_TRY(read_classes(socket, table_));
  for (auto table : {Table::kBridge, Table::kInet})
    for (const auto& set : layout(table).sets) {
      auto traffic = traffic_set(set.name);
      if (!traffic || (used >> traffic->number & 1) == 0) continue;
      for (const auto& each : VPS_TRY(nft::dump_elements(socket, table_name(table, table_), set.name)))
        if (auto sample = sample_of(*traffic, each)) samples.push_back(std::move(*sample));
    }
  return samples;
}

Result<std::vector<DropCounter>> Filter::drops() const {
  auto socket = VPS_TRY(sockets_->take());
  std::map<std::pair<std::string, DropKind>, DropCounter> all;
  auto take = [&](Table table, DropKind kind, bool per_port) -> Result<> {
    for (const auto& each : VPS_TRY(nft::dump_elements(socket, table_name(table, table_), drop_set(kind)))) {
      if (each.packets == 0) continue;
      std::string id = parse_element_data(each.user_data).id, link = per_port ? link_of(each.key) : std::string();
      auto& drop = all[{id + "/" + link, kind}];  // a routed port has drops by MAC in two tables
      drop = {id, link, kind, drop.packets + each.packets, drop.bytes + each.bytes};
    }
    return {};
  };
  for (auto table : kTables)
    for (auto kind : port_kinds(table)) VPS_TRY(take(table, kind, true));
  for (auto kind : kOwnerKinds) VPS_TRY(take(Table::kInet, kind, false));
  std::vector<DropCounter> result;
  for (auto& [key, drop] : all) result.push_back(std::move(drop));
  return result;
}

Result<std::vector<RuleCounter>> Filter::firewall_counters(std::string_view id) const {
  auto socket = VPS_TRY(sockets_->take());
  std::vector<RuleCounter> result;
  for (const auto& each : VPS_TRY(read_rule_counters(socket, table_, id)))
    result.push_back({each.direction, each.number, each.packets, each.bytes});
  return result;
}

bool Filter::bridge_is_filtered(const std::string& proc_root, const std::string& bridge) {
  auto ipv4 = read_file(proc_root + "/sys/net/bridge/bridge-nf-call-iptables"), ipv6 = read_file(proc_root + "/sys/net/bridge/bridge-nf-call-ip6tables");
  if (!ipv4 || !ipv6) return false;  // br_netfilter is not loaded, whatever the bridge says
  auto socket = Socket::open();
  auto link = socket ? find_link(*socket, bridge) : Result<std::optional<Link>>(std::nullopt);
  if (!link || !*link) return true;  // it will be made with both
  return ((*link)->filters_v4 || ipv4->starts_with("1")) && ((*link)->filters_v6 || ipv6->starts_with("1"));
}

}  // namespace vps::netns
