// Everything of ours in nftables: guards, caps, NAT, forwards, firewall, traffic counters. docs/design/network.md, "Filter and
// counters", draws the tables and says in which order a packet meets them.
//
// Tables: `bridge NAME`, `inet NAME` and `arp NAME`, where NAME is that of the installation ("vpsd"), so that several do not meet.
// Nothing else in nftables is ever changed. Per VPS there are only set elements, keyed by the host end's name and by address; a VPS
// with firewall rules has two chains besides. No cost of a packet or of a change grows with the number of VPSes.
//
// What is covered: ports of mode kBridge and kRouted. Those of kMacvlan and kHostDevice have no host end: their packets never
// come by, so nothing is guarded or counted for them (covered() says so), and all calls skip them.
//
// Thread-safety: a Filter may be copied and called from any thread; copies share their netlink sockets, which stay with the network
// namespace of the thread that made the first call. (They are kept open on purpose: closing one makes the kernel wait for what was
// deleted last, some 10 ms in which nobody else can change nftables.) Every change is one transaction in the kernel, all of it or
// nothing. Calls for different VPSes may run at once, from any process; ensure() and configure() must not run beside add(),
// change() or remove() of VPSes that are not, or no longer, in their state.
// Errors: kNotFound: the tables are not there (ensure() was not called, or somebody has flushed them); kExists: an address or
// prefix belongs to another VPS already; kUnavailable: this kernel lacks something, which the text names; kNotAllowed: no CAP_NET_ADMIN.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "netns/traffic.h"
#include "specs/net/plan.h"

namespace vps::netns {

[[nodiscard]] bool covered(net::Mode mode);

// All that the tables should hold.
struct FilterState {
  std::vector<net::NetworkPlan> networks;
  std::vector<net::TrafficClass> classes;
  std::vector<net::VpsPlan> vpses;
};

enum class DropKind : std::uint8_t {
  kMac,               // source MAC of somebody else
  kIpv4, kIpv6,       // source address of somebody else
  kArp,               // ARP in the name of another address or MAC, probe for another's address
  kNeighbour,         // ND in the name of another address or MAC
  kRouter,            // router advertisement, redirect, query for multicast groups; headers that may hide one
  kDhcp,              // answer of a DHCP server, v4 or v6
  kProtocol,          // neither IPv4, IPv6 nor ARP (where `ip` is guarded)
  kConnections,       // cap on tracked connections
  kConnectionRate,    // cap on new connections per second
  kSmtp,              // SMTP policy
};
constexpr std::size_t kDropKinds = 11;
std::string_view drop_kind_name(DropKind kind);  // "mac", "ipv4", "ipv6", "arp", "neighbour", "router", "dhcp", "protocol", ...

struct DropCounter {
  std::string id;
  std::string link;        // host end of the port; "" of kConnections, kConnectionRate and kSmtp, which count per VPS
  DropKind kind = DropKind::kMac;
  std::uint64_t packets = 0, bytes = 0;
  bool operator==(const DropCounter&) const = default;
};

struct RuleCounter {
  net::Direction direction = net::Direction::kIn;
  std::uint32_t number = 0;  // FirewallRule::number; 0: what the default policy has dropped or rejected
  std::uint64_t packets = 0, bytes = 0;
  bool operator==(const RuleCounter&) const = default;
};

// Why forwarded traffic of ours does not pass, though our own tables let it.
struct ForeignBlock {
  std::string family, table, chain;  // "ip", "filter", "FORWARD"
  std::uint64_t rule = 0;            // handle of the rule (`nft -a list chain`); 0: the chain's policy
  std::string text;                  // "policy drop of chain ip filter FORWARD", for people, with what to do
  bool operator==(const ForeignBlock&) const = default;
};

namespace filter {
class Sockets;
}

class Filter {
 public:
  // `table`: 1 to 32 characters [a-z0-9_-], beginning with a letter: kUsage. Makes no kernel call.
  static Result<Filter> create(std::string table);

  // At the start of vpsd and whenever a watch has fired: makes the tables hold exactly `state`. Says what was wrong, for an event;
  // empty: nothing was, and nothing was written. What is missing or changed is put right in one transaction; connections
  // live on (connection tracking is not touched), counters that still exist keep their values, those that were lost begin a new
  // epoch (traffic.h). Where chains, rules or sets were damaged the tables are made anew, and caps on connections count from nothing.
  Result<std::vector<std::string>> ensure(const FilterState& state) const;
  // The same without writing. Costs a dump; see FilterWatch for when to look.
  Result<std::vector<std::string>> check(const FilterState& state) const;
  // The tables and all in them; already gone is success.
  Result<> remove_tables() const;

  // What networks and classes there are, when they change: own subnets, NAT, classes.
  Result<> configure(std::span<const net::NetworkPlan> networks, std::span<const net::TrafficClass> classes) const;

  // Guards, caps, counters, firewall and forwards of a VPS: before its links are up, the links need not exist. Repeating it is success.
  Result<> add(const net::VpsPlan& plan) const;
  // From one plan to another, live: only what differs is touched. Counters stay; those of firewall rules stay by their number.
  // `before` is what add() or change() was called with last.
  Result<> change(const net::VpsPlan& before, const net::VpsPlan& after) const;
  // Takes it all away when the VPS's links are gone; the last readings of its counters come back, for the bill. Already gone is
  // success, and so is part of it.
  Result<std::vector<TrafficSample>> remove(const net::VpsPlan& plan) const;
  // The same without a plan, for recovery: everything that carries the id (reads all elements).
  Result<std::vector<TrafficSample>> purge(std::string_view id) const;
  Result<std::vector<std::string>> ids() const;  // that the tables hold something of, sorted

  // The counters of all VPSes, in a few dumps. See TrafficMeter for how to add up.
  Result<std::vector<TrafficSample>> traffic() const;
  Result<std::vector<DropCounter>> drops() const;             // only what is not zero
  Result<std::vector<RuleCounter>> firewall_counters(std::string_view id) const;

  // Names what others' rules do to a new connection from `link` to `uplink` and back (`link`: a network's bridge or a routed port;
  // `uplink` empty: any). For `doctor`. Rules in nftables, those of iptables-nft
  // included, and of legacy iptables, where `rule` is the place in the chain.
  static Result<std::vector<ForeignBlock>> foreign_blocks(std::string_view link, std::string_view uplink);
  // Whether packets between two ports of this bridge meet the connection caps and the firewall: br_netfilter is loaded, and on for the
  // bridge (as ensure_network has it) or for all of them (net.bridge.bridge-nf-call-{ip,ip6}tables). Without it these packets are
  // guarded and counted, but stateful rules do not see them. `proc_root`: "/proc".
  static bool bridge_is_filtered(const std::string& proc_root, const std::string& bridge);

  [[nodiscard]] const std::string& table() const { return table_; }

 private:
  explicit Filter(std::string table);
  std::string table_;
  std::shared_ptr<filter::Sockets> sockets_;
};

// Tells when somebody else has touched our tables: poll fd() for reading, then drain(). Bound to the namespace of the thread that
// opens it; used by one thread.
class FilterWatch {
 public:
  static Result<FilterWatch> open(std::string table);
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Reads what is there without waiting. True: tables named so were changed by another program, or so much happened at once that
  // notices were lost: call Filter::ensure(). Changes by programs called `vpsd` and `vps-supervise` and by this process do not count.
  Result<bool> drain();

 private:
  FilterWatch(std::string table, UniqueFd fd) : table_(std::move(table)), fd_(std::move(fd)) {}
  std::string table_;
  UniqueFd fd_;
  bool touched_ = false;  // by the transaction whose end has not been read yet
};

}  // namespace vps::netns
