// What the kernel holds: links, addresses, routes, neighbours as plain structures. The parsers are pure and take anything.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "netns/socket.h"

namespace vps::netns {

struct Link {
  int index = 0;
  std::string name;
  std::string kind;                       // "veth", "bridge", "macvlan" ...; "" for a physical device
  std::string alias;
  std::optional<MacAddress> mac, permanent_mac;
  std::uint32_t flags = 0;                // IFF_UP, IFF_LOOPBACK ...
  std::uint32_t mtu = 0;
  int master = 0;                         // index of the bridge that it is a port of
  int parent = 0;                         // IFLA_LINK: of a macvlan its device, of a veth its other end (in its namespace)
  bool elsewhere = false;                 // `parent` is an index of another namespace
  bool isolated = false;                  // bridge port flag
  bool filters_v4 = false, filters_v6 = false;  // of a bridge: what it passes on meets the host's IPv4, IPv6 hooks (with br_netfilter)
  std::uint8_t operstate = 0;             // IF_OPER_*
  [[nodiscard]] bool up() const;
  bool operator==(const Link&) const = default;
};

struct Address {
  int link = 0;
  Prefix prefix;
  std::uint8_t scope = 0;                 // RT_SCOPE_*
  std::uint32_t flags = 0;                // IFA_F_*
  std::string label;
  std::uint32_t valid = 0xffffffff, preferred = 0xffffffff;  // seconds; all ones: for ever
  bool operator==(const Address&) const = default;
};

struct RouteEntry {
  Prefix destination;
  struct Hop {
    int link = 0;
    std::optional<IpAddress> via;
    bool on_link = false;
    bool operator==(const Hop&) const = default;
  };
  std::vector<Hop> hops;
  std::uint32_t table = 0, metric = 0;
  std::uint8_t protocol = 0, scope = 0, type = 0;  // RTPROT_*, RT_SCOPE_*, RTN_*
  std::optional<IpAddress> source;                 // preferred source address
  bool operator==(const RouteEntry&) const = default;
};

struct Neighbour {
  int link = 0;
  IpAddress address;
  std::optional<MacAddress> mac;
  std::uint16_t state = 0;                // NUD_*
  std::uint8_t flags = 0;                 // NTF_*
  std::uint8_t protocol = 0;
  bool operator==(const Neighbour&) const = default;
};

std::optional<Link> parse_link(const MessageView& message);
std::optional<Address> parse_address(const MessageView& message);
std::optional<RouteEntry> parse_route(const MessageView& message);
std::optional<Neighbour> parse_neighbour(const MessageView& message);

Result<std::vector<Link>> links(Socket& socket);
Result<std::optional<Link>> find_link(Socket& socket, std::string_view name);
Result<Link> need_link(Socket& socket, std::string_view name);  // kNotFound: "there is no network link eth7"
Result<std::vector<Address>> addresses(Socket& socket);
Result<std::vector<RouteEntry>> routes(Socket& socket, Family family);
Result<std::vector<Neighbour>> neighbours(Socket& socket, Family family);
Result<std::optional<Neighbour>> find_neighbour(Socket& socket, int link, const IpAddress& address);
Result<std::vector<Neighbour>> proxies(Socket& socket, Family family);  // what the host answers for (NTF_PROXY)

}  // namespace vps::netns
