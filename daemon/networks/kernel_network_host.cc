#include "daemon/networks/network_host.h"
#include "netns/announce.h"
#include "netns/listeners.h"
#include "netns/network.h"

namespace vps::daemon {
namespace {

class KernelNetworkHost final : public NetworkHost {
 public:
  explicit KernelNetworkHost(const Config& config) : host_(netns_host(config)), filter_(netns::Filter::create(config.network_table)) {}

  Result<netns::HostView> view() override { return netns::view_host(); }
  Result<std::vector<std::string>> ensure_network(const net::NetworkPlan& plan) override {
    return VPS_TRY(netns::ensure_network(host_, plan)).changed;
  }
  Result<> remove_network(const net::NetworkPlan& plan) override { return netns::remove_network(host_, plan); }

  Result<std::vector<std::string>> ensure_filter(const netns::FilterState& state) override { return VPS_TRY(filter()).ensure(state); }
  Result<> remove_filter() override { return VPS_TRY(filter()).remove_tables(); }
  Result<> configure_filter(const netns::FilterState& state) override {
    return VPS_TRY(filter()).configure(state.networks, state.classes);
  }
  Result<> add(const net::VpsPlan& plan) override { return VPS_TRY(filter()).add(plan); }
  Result<> change(const net::VpsPlan& before, const net::VpsPlan& after) override { return VPS_TRY(filter()).change(before, after); }
  Result<std::vector<netns::TrafficSample>> remove(const net::VpsPlan& plan) override { return VPS_TRY(filter()).remove(plan); }
  Result<std::vector<netns::TrafficSample>> purge(const std::string& id) override { return VPS_TRY(filter()).purge(id); }
  Result<std::vector<std::string>> filtered_ids() override { return VPS_TRY(filter()).ids(); }
  Result<std::vector<netns::TrafficSample>> traffic() override { return VPS_TRY(filter()).traffic(); }
  Result<std::vector<netns::DropCounter>> drops() override { return VPS_TRY(filter()).drops(); }
  Result<std::vector<netns::RuleCounter>> rule_counters(const std::string& id) override { return VPS_TRY(filter()).firewall_counters(id); }

  Result<std::vector<std::string>> claimed(const std::string& link, const std::vector<IpAddress>& addresses) override {
    constexpr std::chrono::milliseconds kWait{500};
    std::vector<std::string> said;
    for (const auto& claim : VPS_TRY(netns::probe(link, addresses, kWait)))
      said.push_back(fmt::format("{} is in use already: {} on {} answers for it", format_ip(claim.address), format_mac(claim.mac), link));
    return said;
  }
  Result<std::unique_ptr<netns::FilterWatch>> watch() override {
    auto ours = VPS_TRY(filter());
    return std::make_unique<netns::FilterWatch>(VPS_TRY(netns::FilterWatch::open(ours.table())));
  }

  Result<std::vector<netns::ForeignBlock>> foreign_blocks(const std::string& link, const std::string& uplink) override {
    return netns::Filter::foreign_blocks(link, uplink);
  }
  [[nodiscard]] bool is_listened_on(net::Protocol protocol, Family family, const std::optional<IpAddress>& address, std::uint16_t port) const override {
    return netns::is_listened_on(host_, protocol, family, address, port);
  }
  [[nodiscard]] bool bridge_is_filtered(const std::string& bridge) const override { return netns::Filter::bridge_is_filtered("/proc", bridge); }

  Result<> release_ports(const net::VpsPlan& plan) override { return netns::release_ports(host_, plan); }
  Result<> detach_ports(const net::VpsPlan& plan) override { return netns::detach_ports(host_, plan); }
  Result<> rejoin_bridge(const std::string& bridge, const std::vector<net::VpsPlan>& running, std::set<std::string>* rejoined) override {
    return netns::rejoin_bridge(host_, bridge, running, rejoined);
  }
  Result<> set_reflection(const net::VpsPlan& plan) override { return netns::set_reflection(host_, plan); }
  Result<std::vector<netns::LimitReport>> set_rates(const net::VpsPlan& plan) override { return netns::set_rates(host_, plan); }
  Result<std::vector<netns::LimitReport>> report_rates(const net::VpsPlan& plan) override { return netns::report_rates(host_, plan); }
  Result<std::vector<std::string>> sweep(const std::vector<std::string>& running) override {
    auto said = VPS_TRY(netns::sweep_orphans(host_));
    for (auto& line : VPS_TRY(netns::recover_devices(host_, running))) said.push_back(std::move(line));
    return said;
  }

 private:
  Result<netns::Filter> filter() const { return filter_; }

  const netns::Host host_;
  const Result<netns::Filter> filter_;
};

}  // namespace

netns::Host netns_host(const Config& config) {
  netns::Host host;
  host.installation = config.network_links;
  host.run_dir = config.roots.run + "/net";
  return host;
}

std::unique_ptr<NetworkHost> make_kernel_network_host(const Config& config) { return std::make_unique<KernelNetworkHost>(config); }

}  // namespace vps::daemon
