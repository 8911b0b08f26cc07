#include "daemon/networks/networks.h"

#include <fmt/ranges.h>
#include <net/if.h>

#include <algorithm>

#include "base/files.h"
#include "base/log.h"
#include "daemon/failpoints.h"
#include "specs/net/names.h"

namespace vps::daemon {
namespace {

constexpr const char* kDefault = "default";

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

// A random ULA network, RFC 4193.
Result<Prefix> random_ula() {
  std::string digits = random_hex(7);
  return parse_network(fmt::format("fd{}:{}:{}:{}::/64", digits.substr(0, 2), digits.substr(2, 4), digits.substr(6, 4), digits.substr(10, 4)));
}

bool routes(const net::VpsPlan& plan, const Prefix& prefix) {
  return std::ranges::any_of(plan.ports, [&](const net::PortPlan& port) { return std::ranges::find(port.routed, prefix) != port.routed.end(); });
}

bool host_has_ipv6() { return path_exists("/proc/sys/net/ipv6"); }

// What a VPS that has this address relies on, and which it learns at its start only.
bool same_for(const IpAddress& address, const Network& a, const Network& b) {
  const auto *before = subnet_of(a, address), *after = subnet_of(b, address);
  if (before == nullptr || after == nullptr) return before == after;
  return *before == *after && subnet_gateway(a, *before) == subnet_gateway(b, *after);
}

}  // namespace

Networks::Networks(const Config& config, Ledger& ledger, std::unique_ptr<NetworkHost> host)
    : config_(config),
      ledger_(ledger),
      host_(std::move(host)),
      store_(config.roots.state + "/networks"),
      leases_(config.roots.state + "/ledger.db", config.network_cool_down) {}

Result<> Networks::load() {
  for (const auto& sentence : VPS_TRY(store_.load(config_.roots.state + "/quarantine")))
    ledger_.append("vps.quarantined", "", sentence);
  return {};
}

Result<Network> Networks::get(const std::string& name) {
  auto found = store_.get(name);
  if (found || name != kDefault || !config_.network_default) return found;
  return make_default();
}

Result<Network> Networks::make_default() {
  Network network;
  network.name = kDefault;
  network.nat = true;
  auto made = create(network);
  if (!made && made.error().code() == Code::kExists) return store_.get(kDefault);  // another request was faster
  if (!made) return std::unexpected(std::move(made).error());
  return std::move(made->network);
}

Result<> Networks::choose_subnets(Network& network, const netns::HostView& view) const {
  struct Pool {
    const char* prefix;
    std::uint8_t length;
  };
  constexpr std::array kPools = {Pool{"10.200.0.0/13", 16}, Pool{"172.16.0.0/12", 20}, Pool{"10.0.0.0/8", 20}, Pool{"192.168.0.0/16", 24}};
  std::vector<Prefix> taken;
  for (const auto& [name, other] : store_.all()) taken.insert(taken.end(), other.subnets.begin(), other.subnets.end());
  std::optional<Prefix> v4;
  for (const auto& pool : kPools)
    if (!v4) v4 = view.free_subnet(VPS_TRY(parse_network(pool.prefix)), pool.length, taken);
  if (!v4) return fail(Code::kUnavailable, "every private IPv4 network is in use on this host; name one with --subnet");
  network.subnets.push_back(*v4);
  if (!host_has_ipv6()) return {};
  constexpr int kTries = 16;
  for (int i = 0; i < kTries; ++i) {
    auto ula = VPS_TRY(random_ula());
    if (!view.overlaps(ula).empty()) continue;
    network.subnets.push_back(ula);
    break;
  }
  return {};
}

Result<> Networks::check_overlaps(const Network& network, const netns::HostView& view) const {
  for (const auto& [name, other] : store_.all()) {
    if (name == network.name) continue;
    for (const auto& mine : network.subnets)
      for (const auto& theirs : other.subnets)
        if (mine.overlaps(theirs))
          return fail(Code::kExists, "subnet {} overlaps {} of network {}", format_prefix(mine), format_prefix(theirs), name);
  }
  // Addresses of the other modes are those of the network that the host itself is on.
  if (network.mode != net::Mode::kBridge) return {};
  const std::vector<std::string> own = {net::bridge_name(config_.network_links, network.name)};
  for (const auto& mine : network.subnets)
    if (auto taken = view.overlaps(mine, own); !taken.empty())
      return fail(Code::kExists, "subnet {} is in use on this host: {}", format_prefix(mine), joined(taken));
  return {};
}

// A device that is lent to a VPS is nobody else's, and not on the host while that runs.
Result<> Networks::check_uplinks(const Network& network, const netns::HostView& view) const {
  const auto all = store_.all();
  for (const auto& uplink : network.uplinks) {
    for (const auto& [name, other] : all) {
      const bool lent = network.mode == net::Mode::kHostDevice || other.mode == net::Mode::kHostDevice;
      if (name != network.name && lent && std::ranges::find(other.uplinks, uplink) != other.uplinks.end())
        return fail(Code::kExists, "uplink {}: it is that of network {}, and only one can have it", uplink, name);
    }
    const auto known = all.find(network.name);
    const bool had = known != all.end() && known->second.mode == net::Mode::kHostDevice && known->second.uplinks == network.uplinks;
    if (!had && view.link(uplink) == nullptr) return fail(Code::kNotFound, "uplink {}: there is no such network link", uplink);
  }
  return {};
}

Result<NetworkResult> Networks::create(Network wanted) {
  std::scoped_lock change(change_);
  VPS_TRY(validate_network(wanted));
  if (store_.get(wanted.name)) return fail(Code::kExists, "network {} exists already", wanted.name);
  auto view = VPS_TRY_CTX("look at the host's network", host_->view());
  if (wanted.subnets.empty() && wanted.mode == net::Mode::kBridge) VPS_TRY(choose_subnets(wanted, view));
  VPS_TRY(validate_network(wanted));
  VPS_TRY(check_overlaps(wanted, view));
  VPS_TRY(check_uplinks(wanted, view));
  // On disk first: what a crash leaves in the kernel always belongs to an object that the next vpsd knows.
  VPS_TRY(store_.put(wanted));
  auto made = [&]() -> Result<> {
    VPS_TRY(step("daemon.network.saved"));
    VPS_TRY(ensure(wanted));
    VPS_TRY(step("daemon.network.link"));
    VPS_TRY(put_filter());
    return step("daemon.network.filter");
  }();
  if (!made) {
    // A bridge that is somebody else's is left alone by this as well.
    if (auto undone = host_->remove_network(compile_host_network(wanted, config_.network_links)); !undone && undone.error().code() != Code::kExists)
      log::error("network {}: {}", wanted.name, undone.error().to_string());
    if (auto undone = store_.remove(wanted.name); !undone) log::error("network {}: {}", wanted.name, undone.error().to_string());
    (void)put_filter();
    return std::unexpected(std::move(made).error());
  }
  NetworkResult result{.network = wanted, .warnings = {}};
  if (wanted.mode == net::Mode::kRouted && wanted.uplinks.empty())
    result.warnings.emplace_back("uplinks: none: nobody outside is told where its addresses are");
  ledger_.append("network.created", "", fmt::format("network {} ({})", wanted.name, mode_name(wanted.mode)));
  return result;
}

Result<NetworkResult> Networks::change(const std::string& name, const std::vector<std::string>& assignments,
                                       const std::vector<std::string>& users) {
  std::scoped_lock change(change_);
  const Network before = VPS_TRY(store_.get(name));
  Network wanted = before;
  for (const auto& assignment : assignments) VPS_TRY(set_network_key(wanted, assignment));
  VPS_TRY(validate_network(wanted));
  NetworkResult result{.network = wanted, .warnings = {}};
  if (wanted == before) return result;
  if (!users.empty() && (before.uplinks != wanted.uplinks || before.mtu != wanted.mtu || before.isolated != wanted.isolated))
    return fail(Code::kBusy, "network {} is in use: uplinks, mtu and isolated cannot be changed while vps {} has it", name, joined(users));
  for (const auto& lease : VPS_TRY(leases_.of_network(name)))
    if (!same_for(lease.address.address, before, wanted))
      return fail(Code::kBusy, "network {}: vps {} has {}, whose subnet and gateway must stay", name, lease.vps, format_ip(lease.address.address));
  auto view = VPS_TRY_CTX("look at the host's network", host_->view());
  VPS_TRY(check_overlaps(wanted, view));
  VPS_TRY(check_uplinks(wanted, view));
  if (auto room = check_guarantees(wanted, nullptr); !room) return std::unexpected(Error(Code::kBusy, room.error().message()));
  // Ports leave what holds a total before it goes.
  Network between = wanted;
  if (!between.rate_in) between.rate_in = before.rate_in;
  if (!between.rate_out) between.rate_out = before.rate_out;
  VPS_TRY(store_.put(wanted));
  auto made = [&]() -> Result<> {
    VPS_TRY(ensure(between));
    if (wanted.rate_in != before.rate_in || wanted.rate_out != before.rate_out) VPS_TRY(move_to_totals(wanted));
    if (between != wanted) VPS_TRY(ensure(wanted));
    return put_filter();
  }();
  if (!made) {
    (void)store_.put(before);
    if (auto undone = ensure(before); !undone) log::error("network {}: {}", name, undone.error().to_string());
    if (auto undone = move_to_totals(before); !undone) log::error("network {}: {}", name, undone.error().to_string());
    (void)put_filter();
    return std::unexpected(std::move(made).error());
  }
  ledger_.append("network.changed", "", fmt::format("network {} changed", name));
  return result;
}

Result<> Networks::detach_left_ports(const net::NetworkPlan& network) {
  constexpr std::string_view kPort = ":port:";  // netns/host.h: the alias of our links ends with what they are and whose
  auto view = VPS_TRY(host_->view());
  const auto* bridge = view.link(network.bridge);
  for (const auto& link : view.links) {
    auto at = link.alias.find(kPort);
    if (bridge == nullptr || link.master != bridge->index || at == std::string::npos) continue;
    net::VpsPlan left;
    left.id = link.alias.substr(at + kPort.size());
    auto& port = left.ports.emplace_back();
    port.network = network.name;
    port.bridge = network.bridge;
    port.host_link = link.name;
    VPS_TRY(host_->detach_ports(left));
  }
  return {};
}

Result<> Networks::remove(const std::string& name, const std::vector<std::string>& users) {
  std::scoped_lock change(change_);
  const Network network = VPS_TRY(store_.get(name));
  if (!users.empty()) return fail(Code::kBusy, "network {} is in use by vps {}", name, joined(users));
  const auto plan = compile_host_network(network, config_.network_links);
  auto removed = host_->remove_network(plan);
  // Ports whose VPSes have just ended stand until their namespaces are gone; nobody has them any more.
  if (!removed && removed.error().code() == Code::kBusy) {
    VPS_TRY(detach_left_ports(plan));
    removed = host_->remove_network(plan);
  }
  // A bridge of that name that is somebody else's by now stays; the object goes all the same.
  if (!removed && removed.error().code() != Code::kExists) return removed;
  {
    std::scoped_lock lock(mutex_);
    ensured_.erase(name);
  }
  VPS_TRY(step("daemon.network.unlinked"));
  VPS_TRY(store_.remove(name));
  VPS_TRY(put_filter());
  sweep_host();
  ledger_.append("network.deleted", "", fmt::format("network {} deleted", name));
  return {};
}

Result<std::map<std::string, Network>> Networks::named_by(const Definition& definition) {
  std::map<std::string, Network> networks;
  for (const auto& interface : definition.network.interfaces)
    if (!networks.contains(interface.network)) networks[interface.network] = VPS_TRY(get(interface.network));
  return networks;
}

Result<net::VpsPlan> Networks::compile(const Definition& definition, const std::string& uuid, std::map<std::string, Network> networks,
                                       std::vector<Lease> leases) const {
  NetworkInput input;
  input.definition = &definition;
  input.uuid = uuid;
  input.link_prefix = config_.network_links;
  input.networks = std::move(networks);
  input.leases = std::move(leases);
  return compile_network(input);
}

Result<net::VpsPlan> Networks::plan(const Definition& definition, const std::string& uuid) {
  if (definition.network.interfaces.empty()) return compile(definition, uuid, {}, {});
  auto networks = VPS_TRY(named_by(definition));
  return compile(definition, uuid, std::move(networks), VPS_TRY(leases_.of_vps(definition.id)));
}

Result<net::VpsPlan> Networks::preview(const Definition& definition, const std::string& uuid) {
  if (definition.network.interfaces.empty()) return compile(definition, uuid, {}, {});
  std::map<std::string, Network> networks;
  std::vector<Interface> known;
  for (const auto& interface : definition.network.interfaces) {
    auto network = store_.get(interface.network);
    // Nothing is made for a preview, and so its addresses are not known.
    if (!network && interface.network == kDefault && config_.network_default) {
      network = Network{};
      network->name = kDefault;
    } else {
      known.push_back(interface);
    }
    if (!network) return std::unexpected(std::move(network).error());
    networks[interface.network] = *std::move(network);
  }
  auto leases = VPS_TRY(leases_.preview(definition.id, known, networks, routed_elsewhere(definition.id)));
  return compile(definition, uuid, std::move(networks), std::move(leases));
}

Result<std::optional<net::VpsPlan>> Networks::plan_live(const Definition& definition, const std::string& uuid) {
  auto now = running(definition.id);
  if (!now) return std::optional<net::VpsPlan>();
  std::vector<Lease> leases;
  for (const auto& port : now->ports)
    for (const auto& address : port.addresses) leases.push_back({port.network, definition.id, port.guest_link, address, true});
  return std::optional(VPS_TRY(compile(definition, uuid, store_.all(), std::move(leases))));
}

Result<std::vector<std::string>> Networks::warnings(const Definition& definition) {
  NetworkInput input;
  input.definition = &definition;
  input.networks = store_.all();
  auto warnings = network_warnings(input);
  if (definition.network.firewall.filters())
    for (const auto& name : unfiltered_bridges(definition))
      warnings.push_back(fmt::format("network.firewall is not enforced between VPSes of network {}: {}", name, kUnfiltered));
  for (const auto& forward : definition.network.firewall.forwards)
    if (host_->is_listened_on(forward.protocol, forward.family(), forward.listen, forward.port))
      warnings.push_back(fmt::format("network.firewall.forwards: the host itself listens on {} port {}, which leads to the vps for everybody outside",
                                     forward.protocol == net::Protocol::kUdp ? "udp" : "tcp", forward.port));
  return warnings;
}

std::vector<std::string> Networks::unfiltered_bridges(const Definition& definition) const {
  const auto networks = store_.all();
  std::vector<std::string> names;
  for (const auto& interface : definition.network.interfaces) {
    auto found = networks.find(interface.network);
    if (found == networks.end() || found->second.mode != net::Mode::kBridge || found->second.isolated) continue;
    if (!host_->bridge_is_filtered(net::bridge_name(config_.network_links, interface.network))) names.push_back(interface.network);
  }
  return names;
}

Result<> Networks::filter_bridges(const Definition& definition) {
  if (!definition.network.firewall.filters()) return {};
  for (const auto& name : unfiltered_bridges(definition)) {
    const auto network = VPS_TRY(store_.get(name));
    VPS_TRY(ensure(network));
  }
  return {};
}

Result<> Networks::ensure(const Network& network) {
  auto changes = VPS_TRY(host_->ensure_network(compile_host_network(network, config_.network_links)));
  for (const auto& change : changes) log::info("network {}: {}", network.name, change);
  {
    std::scoped_lock lock(mutex_);
    ensured_.insert(network.name);
  }
  if (network.mode == net::Mode::kBridge) rejoin(network);
  return {};
}

void Networks::rejoin(const Network& network) {
  const auto bridge = net::bridge_name(config_.network_links, network.name);
  std::vector<net::VpsPlan> on_it;
  {
    std::scoped_lock lock(mutex_);
    for (const auto& [id, plan] : running_)
      if (std::ranges::find(plan.ports, bridge, &net::PortPlan::bridge) != plan.ports.end()) on_it.push_back(plan);
  }
  if (on_it.empty()) return;
  std::set<std::string> rejoined;
  if (auto done = host_->rejoin_bridge(bridge, on_it, &rejoined); !done) log::error("network {}: {}", network.name, done.error().to_string());
  if (!rejoined.empty())
    ledger_.append("network.repaired", "", fmt::format("somebody has taken ports off the bridge {}; they are on it again: those of vps {}", bridge, fmt::join(rejoined, ", ")));
}

netns::FilterState Networks::filter_state() const {
  netns::FilterState state;
  for (const auto& [name, network] : store_.all()) state.networks.push_back(compile_host_network(network, config_.network_links));
  std::scoped_lock lock(mutex_);
  state.classes = classes_;
  for (const auto& [id, plan] : running_) state.vpses.push_back(plan);
  return state;
}

Result<> Networks::put_filter() {
  auto state = filter_state();
  if (state.networks.empty() && state.vpses.empty()) {
    VPS_TRY(host_->remove_filter());
    std::scoped_lock lock(mutex_);
    filtered_ = false;
    return {};
  }
  bool there = false;
  {
    std::scoped_lock lock(mutex_);
    there = filtered_;
  }
  auto put = there ? host_->configure_filter(state) : Result<>(fail(Code::kNotFound, "not there yet"));
  // Not made yet, or flushed by somebody.
  if (!put && put.error().code() == Code::kNotFound) {
    auto ensured = host_->ensure_filter(state);
    put = ensured ? Result<>() : Result<>(std::unexpected(std::move(ensured).error()));
  }
  VPS_TRY_CTX("filter", std::move(put));
  std::scoped_lock lock(mutex_);
  filtered_ = true;
  return {};
}

Result<> Networks::attach(const net::VpsPlan& plan) {
  if (plan.ports.empty()) return {};
  std::set<std::string> names;
  for (const auto& port : plan.ports) names.insert(port.network);
  for (const auto& name : names) {
    auto network = VPS_TRY(store_.get(name));
    bool known = false;
    {
      std::scoped_lock lock(mutex_);
      known = ensured_.contains(name);
    }
    // Somebody may have deleted the bridge meanwhile; a look at its name costs next to nothing.
    if (known && network.mode == net::Mode::kBridge) known = ::if_nametoindex(net::bridge_name(config_.network_links, name).c_str()) != 0;
    if (!known) VPS_TRY(ensure(network));
    VPS_TRY(check_guarantees(network, &plan));
  }
  bool filtered = false;
  {
    std::scoped_lock lock(mutex_);
    running_[plan.id] = plan;
    refused_.erase(plan.id);
    filtered = filtered_;
  }
  auto added = filtered ? host_->add(plan) : Result<>(fail(Code::kNotFound, "not there yet"));
  // Not made yet, or flushed by somebody.
  if (!added && added.error().code() == Code::kNotFound) {
    {
      std::scoped_lock lock(mutex_);
      filtered_ = false;
    }
    added = put_filter();
  }
  if (!added) {
    std::scoped_lock lock(mutex_);
    running_.erase(plan.id);
    refused_.insert(plan.id);
    return std::unexpected(std::move(added).error().wrap("filter"));
  }
  return {};
}

Result<> Networks::detach(const std::string& vps, const std::optional<net::VpsPlan>& recorded) {
  std::optional<net::VpsPlan> plan;
  bool filtered = false;
  {
    std::scoped_lock lock(mutex_);
    // Nothing of it is there, and what it asked for may be another's.
    if (refused_.erase(vps) != 0) return {};
    if (auto found = running_.find(vps); found != running_.end()) plan = found->second;
    if (!plan) plan = recorded;
    running_.erase(vps);
    filtered = filtered_;
    // An entry that another one has as well is not to be taken away.
    auto is_anothers = [&](const Prefix& prefix) {
      return std::ranges::any_of(running_, [&](const auto& other) { return routes(other.second, prefix); });
    };
    if (plan)
      for (auto& port : plan->ports) std::erase_if(port.routed, is_anothers);
  }
  if (!plan || plan->ports.empty()) return {};
  VPS_TRY(host_->release_ports(*plan));
  if (!filtered) return {};
  auto samples = host_->remove(*plan);
  if (!samples && samples.error().code() != Code::kNotFound) return std::unexpected(std::move(samples).error().wrap("filter"));
  if (samples && last_readings_) last_readings_(*samples);
  return {};
}

Result<std::vector<netns::LimitReport>> Networks::change_live(const net::VpsPlan& after) {
  std::optional<net::VpsPlan> before = running(after.id);
  if (!before) return fail(Code::kWrongState, "it is not running");
  if (*before == after) return std::vector<netns::LimitReport>{};
  for (const auto& port : after.ports) {
    const auto network = VPS_TRY(store_.get(port.network));
    VPS_TRY(check_guarantees(network, &after));
  }
  VPS_TRY_CTX("filter", host_->change(*before, after));
  {
    std::scoped_lock lock(mutex_);
    running_[after.id] = after;
  }
  auto reports = [&]() -> Result<std::vector<netns::LimitReport>> {
    if (before->firewall.forwards != after.firewall.forwards) VPS_TRY(host_->set_reflection(after));
    return host_->set_rates(after);
  }();
  if (reports) return reports;
  if (auto undone = host_->set_reflection(*before); !undone) log::error("vps {}: {}", after.id, undone.error().to_string());
  if (auto undone = host_->change(after, *before); !undone) log::error("vps {}: {}", after.id, undone.error().to_string());
  if (auto undone = host_->set_rates(*before); !undone) log::error("vps {}: {}", after.id, undone.error().to_string());
  std::scoped_lock lock(mutex_);
  running_[after.id] = *before;
  return reports;
}

Result<std::vector<netns::LimitReport>> Networks::unenforced(const net::VpsPlan& plan) {
  std::vector<netns::LimitReport> reports;
  if (std::ranges::none_of(plan.ports, &net::PortPlan::has_limits)) return reports;
  reports = VPS_TRY(host_->report_rates(plan));
  auto held = [](const netns::LimitReport& report) { return report.enforced; };
  if (!std::ranges::all_of(reports, held)) reports = VPS_TRY(host_->set_rates(plan));
  std::erase_if(reports, held);
  return reports;
}

std::optional<net::VpsPlan> Networks::running(const std::string& vps) const {
  std::scoped_lock lock(mutex_);
  auto found = running_.find(vps);
  if (found == running_.end()) return {};
  return found->second;
}

void Networks::adopt(const net::VpsPlan& plan) {
  if (plan.ports.empty()) return;
  std::scoped_lock lock(mutex_);
  running_[plan.id] = with_totals(plan);
}

bool Networks::in_use() const {
  std::scoped_lock lock(mutex_);
  return filtered_ || !running_.empty();
}

void Networks::set_classes(std::vector<net::TrafficClass> classes) {
  std::scoped_lock lock(mutex_);
  classes_ = std::move(classes);
}

// What no port that runs has: a stop leaves it, since taking it away there would hold the stop up.
void Networks::sweep_host() {
  std::vector<std::string> ids;
  {
    std::scoped_lock lock(mutex_);
    for (const auto& [id, plan] : running_) ids.push_back(id);
  }
  auto swept = host_->sweep(ids);
  if (!swept) log::error("network: {}", swept.error().to_string());
  if (swept)
    for (const auto& line : *swept) log::info("network: {}", line);
}

void Networks::settle(const std::function<bool(const std::string&)>& lives) {
  auto released = leases_.sweep(lives);
  if (!released) log::error("addresses: {}", released.error().to_string());
  if (released && !released->empty()) ledger_.append("network.released", "", fmt::format("addresses of {}, which are gone, are free again", joined(*released)));
  auto networks = store_.all();
  std::map<std::string, net::VpsPlan> running;
  {
    std::scoped_lock lock(mutex_);
    running = running_;
  }
  std::vector<std::string> ids;
  for (const auto& [id, plan] : running) ids.push_back(id);
  if (networks.empty() && ids.empty()) return;
  for (const auto& [name, network] : networks)
    if (auto done = ensure(network); !done) {
      log::error("{}", done.error().to_string());
      ledger_.append("network.failed", "", done.error().to_string());
    }
  sweep_host();
  if (auto held = host_->filtered_ids())
    for (const auto& id : *held) {
      if (std::ranges::find(ids, id) != ids.end()) continue;
      auto samples = host_->purge(id);
      if (samples && last_readings_) last_readings_(*samples);
    }
  auto wrong = host_->ensure_filter(filter_state());
  if (!wrong) {
    log::error("filter: {}", wrong.error().to_string());
    ledger_.append("network.failed", "", "filter: " + wrong.error().to_string());
    return;
  }
  std::scoped_lock lock(mutex_);
  filtered_ = true;
}

void Networks::repair() {
  if (!in_use()) return;
  auto wrong = host_->ensure_filter(filter_state());
  if (!wrong) {
    log::error("filter: {}", wrong.error().to_string());
    ledger_.append("network.failed", "", "filter: " + wrong.error().to_string());
  } else if (!wrong->empty()) {
    ledger_.append("network.repaired", "", fmt::format("somebody has changed our filter; it is as it was again: {}", joined(*wrong)));
  }
}

}  // namespace vps::daemon
