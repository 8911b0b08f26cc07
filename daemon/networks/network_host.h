// What vpsd asks of the kernel for networks: netns/ behind one interface, so that tests without a kernel can answer instead.
// Nothing is touched before the first call of ensure_network or add: a vpsd without networks leaves the host's alone. Thread-safe.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "daemon/config.h"
#include "netns/filter.h"
#include "netns/host_view.h"
#include "netns/port.h"
#include "specs/net/plan.h"

namespace vps::daemon {

class NetworkHost {
 public:
  virtual ~NetworkHost() = default;

  virtual Result<netns::HostView> view() = 0;
  virtual Result<std::vector<std::string>> ensure_network(const net::NetworkPlan& plan) = 0;  // what was changed
  virtual Result<> remove_network(const net::NetworkPlan& plan) = 0;

  virtual Result<std::vector<std::string>> ensure_filter(const netns::FilterState& state) = 0;  // what was wrong
  virtual Result<> remove_filter() = 0;
  virtual Result<> configure_filter(const netns::FilterState& state) = 0;
  virtual Result<> add(const net::VpsPlan& plan) = 0;
  virtual Result<> change(const net::VpsPlan& before, const net::VpsPlan& after) = 0;
  virtual Result<std::vector<netns::TrafficSample>> remove(const net::VpsPlan& plan) = 0;
  virtual Result<std::vector<netns::TrafficSample>> purge(const std::string& id) = 0;
  virtual Result<std::vector<std::string>> filtered_ids() = 0;
  virtual Result<std::vector<netns::TrafficSample>> traffic() = 0;
  virtual Result<std::vector<netns::DropCounter>> drops() = 0;
  virtual Result<std::vector<netns::RuleCounter>> rule_counters(const std::string& id) = 0;

  // Who has one of these addresses already, on a link of the host: a sentence each. Waits a moment for answers.
  virtual Result<std::vector<std::string>> claimed(const std::string& link, const std::vector<IpAddress>& addresses) = 0;
  // Tells when somebody else changes our tables; null: nothing can.
  virtual Result<std::unique_ptr<netns::FilterWatch>> watch() = 0;
  // Rules of others that keep packets from `link` from passing.
  virtual Result<std::vector<netns::ForeignBlock>> foreign_blocks(const std::string& link, const std::string& uplink) = 0;

  // netns/listeners.h
  [[nodiscard]] virtual bool is_listened_on(net::Protocol protocol, Family family, const std::optional<IpAddress>& address, std::uint16_t port) const = 0;
  // netns/filter.h
  [[nodiscard]] virtual bool bridge_is_filtered(const std::string& bridge) const = 0;

  virtual Result<> release_ports(const net::VpsPlan& plan) = 0;
  virtual Result<> detach_ports(const net::VpsPlan& plan) = 0;
  virtual Result<> rejoin_bridge(const std::string& bridge, const std::vector<net::VpsPlan>& running, std::set<std::string>* rejoined) = 0;
  virtual Result<> set_reflection(const net::VpsPlan& plan) = 0;
  virtual Result<std::vector<netns::LimitReport>> set_rates(const net::VpsPlan& plan) = 0;
  virtual Result<std::vector<netns::LimitReport>> report_rates(const net::VpsPlan& plan) = 0;
  virtual Result<std::vector<std::string>> sweep(const std::vector<std::string>& running) = 0;  // what was removed or restored
};

std::unique_ptr<NetworkHost> make_kernel_network_host(const Config& config);
netns::Host netns_host(const Config& config);

}  // namespace vps::daemon
