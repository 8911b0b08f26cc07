#include "netns/link_messages.h"

#include <fmt/core.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include "netns/port.h"
#include "netns/rates.h"

namespace vps::netns {
namespace {

// Multicast groups that a bridge keeps before it gives up snooping, and a port of it before it is heard no more (Linux 6.3; the number is
// not in the headers of 6.1).
constexpr std::uint32_t kGroupsOfABridge = 1u << 17, kGroupsOfAPort = 1024;
constexpr std::uint64_t kCentisecondsToAnswer = 100;  // in units of USER_HZ
constexpr std::uint16_t kPortMaxGroups = IFLA_BRPORT_LOCKED + 3;  // IFLA_BRPORT_MCAST_MAX_GROUPS

constexpr std::uint16_t kNew = NLM_F_CREATE | NLM_F_EXCL;

std::uint8_t number_of(Family family) { return family == Family::kV4 ? AF_INET : AF_INET6; }
Family family_of(const IpAddress& address) { return address.family; }

ifinfomsg link_head(int index, std::uint32_t flags = 0, std::uint32_t change = 0) {
  ifinfomsg head{};
  head.ifi_index = index;
  head.ifi_flags = flags;
  head.ifi_change = change;
  return head;
}

Message change_link(int link, std::string what) {
  Message message(RTM_NEWLINK, 0, std::move(what));
  message.header(link_head(link));
  return message;
}

void one_queue(Message& message) { message.u32(IFLA_NUM_TX_QUEUES, 1).u32(IFLA_NUM_RX_QUEUES, 1); }

Message proxy(std::uint16_t type, std::uint16_t flags, std::string what, int link, const IpAddress& address) {
  Message message(type, flags, std::move(what));
  ndmsg head{};
  head.ndm_family = number_of(family_of(address));
  head.ndm_ifindex = link;
  head.ndm_state = NUD_PERMANENT;
  head.ndm_flags = NTF_PROXY;
  message.header(head).address(NDA_DST, address);
  return message;
}

Message address_message(std::uint16_t type, std::uint16_t flags, std::string what, int link, const Prefix& prefix) {
  Message message(type, flags, std::move(what));
  ifaddrmsg head{};
  head.ifa_family = number_of(prefix.family());
  head.ifa_prefixlen = prefix.length;
  head.ifa_index = static_cast<std::uint32_t>(link);
  bool local = prefix.family() == Family::kV6 && prefix.address.bytes[0] == 0xfe && (prefix.address.bytes[1] & 0xc0) == 0x80;
  head.ifa_scope = local ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  message.header(head).address(IFA_LOCAL, prefix.address).address(IFA_ADDRESS, prefix.address);
  return message;
}

}  // namespace

MacAddress host_mac_of(const net::PortPlan& plan) {
  MacAddress mac = plan.host_mac.value_or(plan.mac);
  if (!plan.host_mac) mac.bytes[0] = 0xfe;
  return mac;
}

Message create_bridge(const net::NetworkPlan& plan, const MacAddress& mac) {
  Message message(RTM_NEWLINK, kNew, fmt::format("make the bridge {}", plan.bridge));
  // Without a MAC of its own a bridge takes that of a port, and changes it as ports come and go: every guest's ARP cache would be wrong.
  message.header(link_head(0)).text(IFLA_IFNAME, plan.bridge).mac(IFLA_ADDRESS, mac);
  if (plan.mtu != 0) message.u32(IFLA_MTU, plan.mtu);
  message.nest(IFLA_LINKINFO, [](Message& info) {
    info.text(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, [](Message& data) {
      data.u32(IFLA_BR_FORWARD_DELAY, 0).u32(IFLA_BR_STP_STATE, 0);
      // It relies on its snooping when this is over, counted from when it begins to ask (tune_bridge): by default 10 s.
      data.u64(IFLA_BR_MCAST_QUERY_RESPONSE_INTVL, kCentisecondsToAnswer);
    });
  });
  return message;
}

Message tune_bridge(int link, std::string_view name) {
  auto message = change_link(link, fmt::format("set how the bridge {} works", name));
  message.nest(IFLA_LINKINFO, [](Message& info) {
    info.text(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, [](Message& data) {
      // Reports and solicitations of a guest that comes up reach only who has asked for their group. A bridge relies on what it
      // has snooped where somebody asks who wants what, and that is itself.
      data.u8(IFLA_BR_MCAST_SNOOPING, 1).u32(IFLA_BR_MCAST_HASH_MAX, kGroupsOfABridge).u8(IFLA_BR_MCAST_QUERIER, 1);
      // Frames to 01:80:c2:... go past the filter: nobody takes another's MAC by one.
      br_boolopt_multi options{1u << BR_BOOLOPT_NO_LL_LEARN, 1u << BR_BOOLOPT_NO_LL_LEARN};
      data.put(IFLA_BR_MULTI_BOOLOPT, &options, sizeof options);
      // Firewalls hold between its ports as well, once br_netfilter is loaded. For this bridge alone: the host-wide switches would do it
      // to everybody's. A kernel that is built without takes no notice.
      data.u8(IFLA_BR_NF_CALL_IPTABLES, 1).u8(IFLA_BR_NF_CALL_IP6TABLES, 1);
    });
  });
  return message;
}

Message create_veth(const net::PortPlan& plan, const MacAddress& host_mac, int bridge, int netns_fd) {
  Message message(RTM_NEWLINK, kNew, fmt::format("make the link {}", plan.host_link));
  message.header(plan.has_limits() ? link_head(0) : link_head(0, IFF_UP, IFF_UP)).text(IFLA_IFNAME, plan.host_link).mac(IFLA_ADDRESS, host_mac);
  one_queue(message);
  if (plan.mtu != 0) message.u32(IFLA_MTU, plan.mtu);
  if (bridge != 0) message.u32(IFLA_MASTER, static_cast<std::uint32_t>(bridge));
  message.nest(IFLA_LINKINFO, [&](Message& info) {
    info.text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, [&](Message& data) {
      data.nest(VETH_INFO_PEER, [&](Message& peer) {
        // Not up: the other end does not exist yet, and the kernel refuses with ENOTCONN.
        peer.raw(link_head(0)).text(IFLA_IFNAME, plan.guest_link).mac(IFLA_ADDRESS, plan.mac);
        one_queue(peer);
        if (plan.mtu != 0) peer.u32(IFLA_MTU, plan.mtu);
        peer.u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns_fd));
      });
    });
  });
  return message;
}

std::string macvlan_birth_name(const net::PortPlan& plan) {
  std::string name = "mv";
  for (auto byte : plan.mac.bytes) name += fmt::format("{:02x}", byte);
  return name;
}

Message create_macvlan(const net::PortPlan& plan, int parent, int netns_fd) {
  Message message(RTM_NEWLINK, kNew, fmt::format("make the macvlan {} on {}", plan.guest_link, plan.uplinks.front()));
  message.header(link_head(0)).text(IFLA_IFNAME, macvlan_birth_name(plan)).mac(IFLA_ADDRESS, plan.mac);
  one_queue(message);
  if (plan.mtu != 0) message.u32(IFLA_MTU, plan.mtu);
  message.u32(IFLA_LINK, static_cast<std::uint32_t>(parent)).u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns_fd));
  message.nest(IFLA_LINKINFO, [&](Message& info) {
    info.text(IFLA_INFO_KIND, "macvlan").nest(IFLA_INFO_DATA, [&](Message& data) {
      data.u32(IFLA_MACVLAN_MODE, plan.isolated ? MACVLAN_MODE_PRIVATE : MACVLAN_MODE_BRIDGE);
    });
  });
  return message;
}

Message finish_host_end(const net::PortPlan& plan, std::string_view alias, bool ipv6, bool reflects) {
  Message message(RTM_NEWLINK, 0, fmt::format("set up the link {}", plan.host_link));
  bool routed = plan.mode == net::Mode::kRouted;
  message.header(link_head(0)).text(IFLA_IFNAME, plan.host_link).put(IFLA_IFALIAS, alias.data(), alias.size());
  if (!routed)
    message.nest(IFLA_LINKINFO, [&](Message& info) {
      info.text(IFLA_INFO_SLAVE_KIND, "bridge").nest(IFLA_INFO_SLAVE_DATA, [&](Message& data) {
        data.u8(IFLA_BRPORT_ISOLATED, plan.isolated ? 1 : 0).u32(kPortMaxGroups, kGroupsOfAPort);
        if (reflects) data.u8(IFLA_BRPORT_MODE, 1);
        // Who says that it routes multicast would get everybody's.
        if (plan.guard.router) data.u8(IFLA_BRPORT_MULTICAST_ROUTER, MDB_RTR_TYPE_DISABLED);
      });
    });
  message.nest(IFLA_AF_SPEC, [&](Message& families) {
    if (routed)
      families.nest(AF_INET, [&](Message& inet) {
        inet.nest(IFLA_INET_CONF, [](Message& conf) {
          conf.u32(IPV4_DEVCONF_PROXY_ARP, 1).u32(IPV4_DEVCONF_RP_FILTER, 1).u32(IPV4_DEVCONF_ACCEPT_REDIRECTS, 0);
        });
      });
    // No address of its own: a bridge's port needs none, and a routed link gets the gateway's.
    if (ipv6) families.nest(AF_INET6, [](Message& inet) { inet.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE); });
  });
  return message;
}

Message join_bridge(int link, std::string_view name, int bridge) {
  return std::move(change_link(link, fmt::format("put {} on its bridge", name)).u32(IFLA_MASTER, static_cast<std::uint32_t>(bridge)));
}

Message set_reflection(int link, std::string_view name, bool on) {
  auto message = change_link(link, fmt::format("set the hairpin mode of {}", name));
  message.nest(IFLA_LINKINFO, [&](Message& info) {
    info.text(IFLA_INFO_SLAVE_KIND, "bridge").nest(IFLA_INFO_SLAVE_DATA, [&](Message& data) { data.u8(IFLA_BRPORT_MODE, on ? 1 : 0); });
  });
  return message;
}

Message set_alias(int link, std::string_view name, std::string_view alias) {
  return std::move(change_link(link, fmt::format("mark the link {}", name)).put(IFLA_IFALIAS, alias.data(), alias.size()));
}

Message set_up(int link, std::string_view name, bool up) {
  Message message(RTM_NEWLINK, 0, fmt::format("bring the link {} {}", name, up ? "up" : "down"));
  message.header(link_head(link, up ? IFF_UP : 0, IFF_UP));
  if (link == 0) message.text(IFLA_IFNAME, name);
  return message;
}

Message set_mtu(int link, std::string_view name, std::uint32_t mtu) {
  return std::move(change_link(link, fmt::format("set the mtu of {} to {}", name, mtu)).u32(IFLA_MTU, mtu));
}

Message set_mac(int link, std::string_view name, const MacAddress& mac) {
  return std::move(change_link(link, fmt::format("set the MAC of {} to {}", name, format_mac(mac))).mac(IFLA_ADDRESS, mac));
}

Message rename_link(int link, std::string_view name, std::string_view to) {
  return std::move(change_link(link, fmt::format("rename the link {} to {}", name, to)).text(IFLA_IFNAME, to));
}

Message move_link(int link, std::string_view name, int netns_fd, std::string_view to) {
  return std::move(change_link(link, fmt::format("move the link {} to another namespace", name))
                       .text(IFLA_IFNAME, to)
                       .u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns_fd)));
}

Message delete_link(int link, std::string_view name) {
  Message message(RTM_DELLINK, 0, fmt::format("delete the link {}", name));
  message.header(link_head(link));
  return message;
}

Message add_address(int link, std::string_view name, const Prefix& prefix) {
  auto message = address_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE,
                                 fmt::format("add the address {} to {}", format_prefix(prefix), name), link, prefix);
  if (prefix.family() == Family::kV6) {
    message.u32(IFA_FLAGS, IFA_F_NODAD);
  } else if (prefix.length < 31) {
    IpAddress broadcast = prefix.last();
    message.address(IFA_BROADCAST, broadcast);
  }
  return message;
}

Message remove_address(int link, std::string_view name, const Prefix& prefix) {
  return address_message(RTM_DELADDR, 0, fmt::format("remove the address {} from {}", format_prefix(prefix), name), link, prefix);
}

Message add_host_route(int link, std::string_view name, const Prefix& destination, const std::optional<IpAddress>& via) {
  Message message(RTM_NEWROUTE, kNew, fmt::format("route {} to {}", format_prefix(destination), name));
  rtmsg head{};
  head.rtm_family = number_of(destination.family());
  head.rtm_dst_len = destination.length;
  head.rtm_table = RT_TABLE_MAIN;
  head.rtm_protocol = kOurProtocol;
  head.rtm_scope = destination.family() == Family::kV4 && !via ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  head.rtm_type = RTN_UNICAST;
  head.rtm_flags = via ? RTNH_F_ONLINK : 0;
  message.header(head).address(RTA_DST, destination.first()).u32(RTA_OIF, static_cast<std::uint32_t>(link));
  if (via) message.address(RTA_GATEWAY, *via);
  return message;
}

Message add_route(int link, std::string_view name, const net::Route& route) {
  auto text = route.via ? fmt::format("add the route {} via {} on {}", format_prefix(route.destination), format_ip(*route.via), name)
                        : fmt::format("add the route {} on {}", format_prefix(route.destination), name);
  Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, std::move(text));
  rtmsg head{};
  head.rtm_family = number_of(route.destination.family());
  head.rtm_dst_len = route.destination.length;
  head.rtm_table = RT_TABLE_MAIN;
  head.rtm_protocol = RTPROT_BOOT;
  head.rtm_scope = route.via || route.destination.family() == Family::kV6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  head.rtm_type = RTN_UNICAST;
  head.rtm_flags = route.on_link ? RTNH_F_ONLINK : 0;
  message.header(head);
  if (route.destination.length != 0) message.address(RTA_DST, route.destination.first());
  message.u32(RTA_OIF, static_cast<std::uint32_t>(link));
  if (route.via) message.address(RTA_GATEWAY, *route.via);
  return message;
}

Message add_proxy(int link, std::string_view name, const IpAddress& address) {
  auto message = proxy(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, fmt::format("answer for {} on {}", format_ip(address), name), link, address);
  message.u8(NDA_PROTOCOL, kOurProtocol);
  return message;
}

Message remove_proxy(int link, std::string_view name, const IpAddress& address) {
  return proxy(RTM_DELNEIGH, 0, fmt::format("no longer answer for {} on {}", format_ip(address), name), link, address);
}

Message set_neighbour(int link, std::string_view name, const IpAddress& address, const MacAddress& mac, std::uint16_t state) {
  Message message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, fmt::format("enter the neighbour {} on {}", format_ip(address), name));
  ndmsg head{};
  head.ndm_family = number_of(address.family);
  head.ndm_ifindex = link;
  head.ndm_state = state;
  message.header(head).address(NDA_DST, address).mac(NDA_LLADDR, mac);
  return message;
}

Message set_proxy_delay(int link, std::string_view name, Family family, std::uint64_t milliseconds) {
  Message message(RTM_SETNEIGHTBL, NLM_F_REPLACE, fmt::format("set the proxy delay of {}", name));
  ndtmsg head{};
  head.ndtm_family = number_of(family);
  message.header(head)
      .text(NDTA_NAME, family == Family::kV4 ? "arp_cache" : "ndisc_cache")
      .nest(NDTA_PARMS, [&](Message& parameters) {
        parameters.u32(NDTPA_IFINDEX, static_cast<std::uint32_t>(link)).u64(NDTPA_PROXY_DELAY, milliseconds);
      });
  return message;
}

}  // namespace vps::netns
