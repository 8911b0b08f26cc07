// Networks of this host and the part that VPSes have in them: objects, addresses, what the kernel holds for both. Thread-safe.
//
// The kernel's share of a VPS is in two hands: vpsd keeps what stands in the host (bridges, filter, proxies), the launch worker of
// its supervisor makes the links (runtime/). Both work from one net::VpsPlan, which stands in plan.json; what it takes to undo
// follows from that plan or, where it is lost, from the id.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "daemon/config.h"
#include "daemon/ledger.h"
#include "daemon/networks/lease_book.h"
#include "daemon/networks/neighbours.h"
#include "daemon/networks/network_host.h"
#include "daemon/networks/store.h"
#include "specs/vps/compile_network.h"
#include "specs/vps/definition.h"

namespace vps::daemon {

struct NetworkResult {
  Network network;
  std::vector<std::string> warnings;
};

class Networks {
 public:
  using Samples = std::vector<netns::TrafficSample>;

  Networks(const Config& config, Ledger& ledger, std::unique_ptr<NetworkHost> host);

  // Reads the objects; damaged ones are set aside with an event.
  Result<> load();

  // --- the objects ---
  [[nodiscard]] std::map<std::string, Network> all() const { return store_.all(); }
  // Also one that is called for by name for the first time: `default`, unless the configuration has it off.
  Result<Network> get(const std::string& name);
  // A bridge without subnets gets free ones. kExists: the name, or a subnet that overlaps another network's or the host's.
  Result<NetworkResult> create(Network wanted);
  // `users`: ids of the VPSes whose definitions name it. kBusy: what they rely on would change.
  Result<NetworkResult> change(const std::string& name, const std::vector<std::string>& assignments, const std::vector<std::string>& users);
  Result<> remove(const std::string& name, const std::vector<std::string>& users);

  // --- addresses ---
  // Takes what the definition asks for (lease_book.h). `keep_others`: what it holds beyond that stays its own, as it runs.
  // What a network's probe policy says about an address that answers already is added to `warnings`, or refused (kExists).
  Result<std::vector<Lease>> reserve(const Definition& definition, std::vector<std::string>* warnings, bool keep_others = false);
  Result<> release(const std::string& vps);
  // Before a definition is taken: neighbours.h.
  Result<> check_neighbours(const Definition& definition, const std::string& uuid) const;
  LeaseBook& leases() { return leases_; }

  // --- a VPS's share ---
  // With the addresses that it holds; `preview`: with those that it would get.
  Result<net::VpsPlan> plan(const Definition& definition, const std::string& uuid);
  Result<net::VpsPlan> preview(const Definition& definition, const std::string& uuid);
  // What a definition says that does not hold, or takes something from the host.
  Result<std::vector<std::string>> warnings(const Definition& definition);
  // Networks of `definition` whose VPSes reach each other without their firewalls: see Filter::bridge_is_filtered().
  std::vector<std::string> unfiltered_bridges(const Definition& definition) const;
  // Before a start: where somebody has turned that off for a bridge, and this VPS has a firewall, it is turned on again.
  Result<> filter_bridges(const Definition& definition);
  static constexpr std::string_view kUnfiltered = "the kernel shows packets within a bridge to no firewall (br_netfilter is not loaded, or off for it)";
  // Of a running VPS: what `definition` says, with the addresses that it runs with. nullopt: it has no ports.
  Result<std::optional<net::VpsPlan>> plan_live(const Definition& definition, const std::string& uuid);
  // What stands in the host, before the links are made. Undone by detach().
  Result<> attach(const net::VpsPlan& plan);
  // The plan is that of the run when this vpsd has seen it, else `recorded`, else the id alone. Already gone is success.
  Result<> detach(const std::string& vps, const std::optional<net::VpsPlan>& recorded);
  // From what runs to `after`, live: rates, guards, firewall.
  Result<std::vector<netns::LimitReport>> change_live(const net::VpsPlan& after);
  // What limits the ports of a VPS, by what.
  Result<std::vector<netns::LimitReport>> limits(const net::VpsPlan& plan) { return host_->report_rates(plan); }
  // After a start: the limits of its ports that the kernel does not hold, though it was asked again, each with the reason.
  Result<std::vector<netns::LimitReport>> unenforced(const net::VpsPlan& plan);
  [[nodiscard]] std::optional<net::VpsPlan> running(const std::string& vps) const;

  // --- at start of vpsd, and when somebody has touched our tables ---
  // What the VPSes say that they hold, before any address is given out: a ledger that was damaged and set aside knows nothing of it.
  void restore_leases(std::vector<LeaseBook::Claim> claims);
  void adopt(const net::VpsPlan& plan);
  // Everything that the kernel is to hold is there again; what belongs to nobody (`lives`: known ids) goes.
  void settle(const std::function<bool(const std::string& vps)>& lives);
  // Puts our tables right; says so in an event when something was wrong.
  void repair();
  [[nodiscard]] bool in_use() const;  // the kernel holds something of ours

  NetworkHost& host() { return *host_; }
  // What all VPSes say, as saved and as in force. Called without a lock.
  void on_definitions(std::function<std::vector<DefinedVps>()> handler) { definitions_ = std::move(handler); }
  void on_last_readings(std::function<void(const Samples&)> handler) { last_readings_ = std::move(handler); }
  void set_classes(std::vector<net::TrafficClass> classes);

 private:
  Result<std::map<std::string, Network>> named_by(const Definition& definition);
  Result<Network> make_default();
  Result<> probe(const std::vector<Lease>& fresh, const std::map<std::string, Network>& networks, std::vector<std::string>* warnings);
  // kExists: what this VPS has, or what its definition routes to it, leads to another one already.
  Result<> check_routed(const Definition& definition, const std::vector<Lease>& mine, const std::map<std::string, Network>& networks);
  // Asks what all VPSes say when it is asked for the first time, which most starts do not.
  [[nodiscard]] LeaseBook::Elsewhere routed_elsewhere(const std::string& vps) const;
  Result<> check_overlaps(const Network& network, const netns::HostView& view) const;
  Result<> check_uplinks(const Network& network, const netns::HostView& view) const;
  Result<> choose_subnets(Network& network, const netns::HostView& view) const;
  Result<> ensure(const Network& network);
  void rejoin(const Network& network);  // what runs on its bridge
  Result<> put_filter();
  // kUnavailable: the guarantees of what runs on a network, and of `joining`, are more than its total.
  Result<> check_guarantees(const Network& network, const net::VpsPlan* joining) const;
  Result<> move_to_totals(const Network& network);
  void sweep_host();
  Result<> detach_left_ports(const net::NetworkPlan& network);
  Result<> enter_claims();
  [[nodiscard]] netns::FilterState filter_state() const;
  [[nodiscard]] net::VpsPlan with_totals(net::VpsPlan plan) const;
  Result<net::VpsPlan> compile(const Definition& definition, const std::string& uuid, std::map<std::string, Network> networks,
                               std::vector<Lease> leases) const;

  const Config& config_;
  Ledger& ledger_;
  std::unique_ptr<NetworkHost> host_;
  NetworkStore store_;
  LeaseBook leases_;
  std::function<void(const Samples&)> last_readings_;
  std::function<std::vector<DefinedVps>()> definitions_;

  std::mutex change_;  // one change of the objects at a time
  mutable std::mutex mutex_;
  std::map<std::string, net::VpsPlan> running_;
  std::set<std::string> refused_;  // whose attach() has failed: nothing of theirs is to be taken away
  std::set<std::string> ensured_;  // networks that the kernel is known to hold
  std::vector<net::TrafficClass> classes_;
  std::optional<std::vector<LeaseBook::Claim>> claims_;  // not entered yet: the book cannot be written
  bool filtered_ = false;          // our tables are there, as far as we know
};

}  // namespace vps::daemon
