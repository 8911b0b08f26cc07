// What the kernel of the host is to hold for a network and for a VPS's ports: pure data, computed by vpsd, carried out by netns/.
// Every name in it follows from the id of the VPS or the name of the network (names.h), so that clean-up needs nothing else.
// Values, freely copyable between threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/units.h"

namespace vps::net {

constexpr std::uint32_t kLeastIpv6Mtu = 1280;  // RFC 8200, section 5; a link of less has no IPv6 in the kernel

enum class Mode { kBridge, kRouted, kMacvlan, kHostDevice };

// The part of a network that exists once on the host: its bridge, its gateway addresses, NAT, proxies.
struct NetworkPlan {
  std::string name;
  Mode mode = Mode::kBridge;
  std::string bridge;                 // kBridge: name of the bridge link
  std::vector<Prefix> gateways;       // kBridge: on the bridge, with the subnet's length
  std::vector<Prefix> subnets;        // what belongs to the network: masquerading excludes traffic between them
  bool nat = false;                   // masquerade what leaves the subnets towards other links
  bool isolated = false;              // ports do not reach each other
  std::vector<std::string> uplinks;   // kRouted: where ARP and ND are answered for the VPSes; kMacvlan: the parent (one)
  std::uint32_t mtu = 0;              // 0: the kernel's default, of a macvlan its parent's
  std::optional<BitRate> rate_in, rate_out;  // kBridge, kRouted: of all its VPSes together, towards them and from them
  bool operator==(const NetworkPlan&) const = default;
};

enum class SmtpPolicy { kAllow, kLimit, kDeny };

// What the host end of a port lets through. On by default; each switch can be turned off by name in the definition.
struct GuardPlan {
  bool mac = true;                    // only the port's own source MAC
  bool ip = true;                     // only `PortPlan::allowed` as source, IPv4 and IPv6
  bool arp = true;                    // only its own addresses in ARP and as ND target of its advertisements
  bool router = true;                 // no router advertisements, no DHCP server answers from it
  std::uint32_t connections = 65536;          // tracked at once, of one VPS; 0: no cap
  std::uint32_t connections_per_second = 0;   // new ones; 0: no cap
  SmtpPolicy smtp = SmtpPolicy::kAllow;       // to ports 25, 465 and 587 outside
  std::uint32_t smtp_per_minute = 0;          // kLimit
  bool operator==(const GuardPlan&) const = default;
};

struct Route {
  Prefix destination;
  std::optional<IpAddress> via;       // nullopt: on link
  bool on_link = false;               // the gateway is reachable though no address of the link covers it
  bool operator==(const Route&) const = default;
};

// One interface of one VPS.
struct PortPlan {
  Mode mode = Mode::kBridge;
  std::string network;                // name of the network, for messages
  std::string host_link;              // host end of the veth; kHostDevice: the host's device; kMacvlan: empty
  std::string guest_link;             // "eth0", "venet0"
  MacAddress mac;                     // of the guest's end
  std::optional<MacAddress> host_mac; // of the host's end; nullopt: the kernel chooses
  std::uint32_t mtu = 0;
  std::string bridge;                 // kBridge
  bool isolated = false;              // kBridge: the port's `isolated` flag
  std::vector<std::string> uplinks;   // kRouted: proxy ARP and ND there; kMacvlan: the parent
  std::vector<Prefix> addresses;      // on the guest's link; kRouted: /32 and /128
  std::vector<Prefix> routed;         // kRouted: host routes that lead to the port (its addresses, extra prefixes)
  std::vector<Prefix> allowed;        // source addresses that may come from it: its own, extra prefixes, its link-local one
  std::vector<Route> routes;          // inside, the default route among them
  std::optional<BitRate> rate_in, rate_out;        // towards the VPS, from the VPS
  std::optional<BitRate> guarantee_in, guarantee_out;
  std::optional<BitRate> total_in, total_out;      // of its network: what the guarantees are shares of
  std::optional<std::uint64_t> packets_per_second; // from the VPS
  GuardPlan guard;
  [[nodiscard]] bool has_limits() const {
    return rate_in || rate_out || guarantee_in || guarantee_out || packets_per_second || total_in || total_out;
  }
  bool operator==(const PortPlan&) const = default;
};

enum class Direction { kIn, kOut };   // seen from the VPS: in is what it receives
enum class Protocol { kAny, kTcp, kUdp, kIcmp, kIcmp6 };
enum class Verdict { kAccept, kDrop, kReject };

// One rule of a VPS's own firewall, checked in order behind "established and related are accepted".
struct FirewallRule {
  std::uint32_t number = 0;           // as `firewall list` shows it; never reused within a VPS
  Direction direction = Direction::kIn;
  Verdict verdict = Verdict::kAccept;
  Protocol protocol = Protocol::kAny;
  struct PortRange {
    std::uint16_t first = 0, last = 0;
    bool operator==(const PortRange&) const = default;
  };
  std::vector<PortRange> ports;       // destination ports; empty: any
  std::vector<Prefix> peers;          // the other side: sources of kIn, destinations of kOut; empty: anybody
  bool log = false;
  std::string comment;
  bool operator==(const FirewallRule&) const = default;
};

// host_address:port -> guest:port, with hairpin (also from the VPS's own network through the host's address).
struct PortForward {
  std::uint32_t number = 0;
  std::optional<IpAddress> listen;    // nullopt: every address of the host
  Protocol protocol = Protocol::kTcp;
  std::uint16_t port = 0, guest_port = 0;
  IpAddress guest;
  bool operator==(const PortForward&) const = default;
};

struct FirewallPlan {
  Verdict default_in = Verdict::kAccept, default_out = Verdict::kAccept;
  std::vector<FirewallRule> rules;
  std::vector<PortForward> forwards;
  [[nodiscard]] bool empty() const { return *this == FirewallPlan{}; }
  bool operator==(const FirewallPlan&) const = default;
};

struct VpsPlan {
  std::string id;
  std::vector<PortPlan> ports;
  FirewallPlan firewall;
  bool announce = true;               // gratuitous ARP and unsolicited NA when the port comes up
  bool operator==(const VpsPlan&) const = default;
};

// Which of 16 classes a peer's address belongs to: the longest prefix wins, what matches nothing is class 1, and class 0 are our
// own networks (/etc/vps/traffic-classes.yaml).
struct TrafficClass {
  Prefix prefix;
  std::uint8_t number = 0;            // 0 to 15
  bool operator==(const TrafficClass&) const = default;
};
constexpr std::uint8_t kTrafficClasses = 16;

struct TrafficCounter {
  std::string id;                     // of the VPS
  Direction direction = Direction::kIn;
  Family family = Family::kV4;
  std::uint8_t traffic_class = 0;
  std::uint64_t bytes = 0, packets = 0;
  bool operator==(const TrafficCounter&) const = default;
};

}  // namespace vps::net
