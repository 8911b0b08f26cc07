#include "netns/dump.h"

#include <fmt/core.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cerrno>

namespace vps::netns {
namespace {

std::optional<Family> family_of(std::uint8_t family) {
  if (family == AF_INET) return Family::kV4;
  if (family == AF_INET6) return Family::kV6;
  return std::nullopt;
}
std::uint8_t number_of(Family family) { return family == Family::kV4 ? AF_INET : AF_INET6; }

bool fits(const Prefix& prefix, Family family) { return prefix.address.family == family && prefix.length <= address_bits(family); }

std::optional<IpAddress> via(const Attributes& attributes) {
  if (auto gateway = attributes.address(RTA_GATEWAY)) return gateway;
  // RTA_VIA: a gateway of the other family, behind the number of its family.
  auto data = attributes.find(RTA_VIA);
  if (!data || data->size() <= sizeof(std::uint16_t)) return std::nullopt;
  std::string_view bytes = data->substr(sizeof(std::uint16_t));
  if (bytes.size() != 4 && bytes.size() != 16) return std::nullopt;
  IpAddress address;
  address.family = bytes.size() == 4 ? Family::kV4 : Family::kV6;
  std::memcpy(address.bytes.data(), bytes.data(), bytes.size());
  return address;
}

std::vector<RouteEntry::Hop> hops(const Attributes& attributes, std::uint32_t flags) {
  if (auto link = attributes.u32(RTA_OIF))
    return {{static_cast<int>(*link), via(attributes), (flags & RTNH_F_ONLINK) != 0}};
  std::vector<RouteEntry::Hop> found;
  std::string_view rest = attributes.find(RTA_MULTIPATH).value_or(std::string_view{});
  rtnexthop head;
  while (rest.size() >= sizeof head) {
    std::memcpy(&head, rest.data(), sizeof head);
    if (head.rtnh_len < sizeof head || head.rtnh_len > rest.size()) break;
    found.push_back({head.rtnh_ifindex, via(Attributes(rest.substr(sizeof head, head.rtnh_len - sizeof head))),
                     (head.rtnh_flags & RTNH_F_ONLINK) != 0});
    rest.remove_prefix(std::min(rest.size(), aligned(head.rtnh_len)));
  }
  return found;
}

template <class T, class Parse>
Result<std::vector<T>> dump_all(Socket& socket, const Message& request, Parse parse) {
  auto replies = VPS_TRY(socket.dump(request));
  std::vector<T> found;
  for_each_message(replies, [&](const MessageView& message) {
    if (auto each = parse(message)) found.push_back(std::move(*each));
  });
  return found;
}

Result<std::vector<Neighbour>> dump_neighbours(Socket& socket, Family family, std::uint8_t flags) {
  Message request(RTM_GETNEIGH, 0, "list neighbours");
  ndmsg head{};
  head.ndm_family = number_of(family);
  head.ndm_flags = flags;
  request.header(head);
  return dump_all<Neighbour>(socket, request, parse_neighbour);
}

}  // namespace

bool Link::up() const { return (flags & IFF_UP) != 0; }

std::optional<Link> parse_link(const MessageView& message) {
  if (message.type != RTM_NEWLINK) return std::nullopt;
  auto head = message.header<ifinfomsg>();
  // Bridges answer for their ports once more, with AF_BRIDGE: that is no other link.
  if (!head || head->ifi_family != AF_UNSPEC) return std::nullopt;
  Attributes attributes(message, sizeof *head);
  Link link;
  link.index = head->ifi_index;
  link.flags = head->ifi_flags;
  link.name = attributes.text(IFLA_IFNAME);
  link.alias = attributes.text(IFLA_IFALIAS);
  link.mac = attributes.mac(IFLA_ADDRESS);
  link.permanent_mac = attributes.mac(IFLA_PERM_ADDRESS);
  link.mtu = attributes.u32(IFLA_MTU).value_or(0);
  link.master = static_cast<int>(attributes.u32(IFLA_MASTER).value_or(0));
  link.parent = static_cast<int>(attributes.u32(IFLA_LINK).value_or(0));
  link.elsewhere = attributes.find(IFLA_LINK_NETNSID).has_value();
  link.operstate = attributes.u8(IFLA_OPERSTATE).value_or(0);
  Attributes info = attributes.nested(IFLA_LINKINFO);
  link.kind = info.text(IFLA_INFO_KIND);
  link.isolated = info.text(IFLA_INFO_SLAVE_KIND) == "bridge" &&
                  info.nested(IFLA_INFO_SLAVE_DATA).u8(IFLA_BRPORT_ISOLATED).value_or(0) != 0;
  if (link.kind == "bridge") {
    Attributes data = info.nested(IFLA_INFO_DATA);
    link.filters_v4 = data.u8(IFLA_BR_NF_CALL_IPTABLES).value_or(0) != 0;
    link.filters_v6 = data.u8(IFLA_BR_NF_CALL_IP6TABLES).value_or(0) != 0;
  }
  if (link.name.empty()) return std::nullopt;
  return link;
}

std::optional<Address> parse_address(const MessageView& message) {
  if (message.type != RTM_NEWADDR) return std::nullopt;
  auto head = message.header<ifaddrmsg>();
  if (!head) return std::nullopt;
  auto family = family_of(head->ifa_family);
  if (!family) return std::nullopt;
  Attributes attributes(message, sizeof *head);
  // Of a point-to-point address IFA_ADDRESS is the other side.
  auto own = attributes.address(IFA_LOCAL);
  if (!own) own = attributes.address(IFA_ADDRESS);
  Address address;
  if (!own || !fits({*own, head->ifa_prefixlen}, *family)) return std::nullopt;
  address.link = static_cast<int>(head->ifa_index);
  address.prefix = {*own, head->ifa_prefixlen};
  address.scope = head->ifa_scope;
  address.flags = attributes.u32(IFA_FLAGS).value_or(head->ifa_flags);
  address.label = attributes.text(IFA_LABEL);
  if (auto data = attributes.find(IFA_CACHEINFO); data && data->size() >= sizeof(ifa_cacheinfo)) {
    ifa_cacheinfo info;
    std::memcpy(&info, data->data(), sizeof info);
    address.valid = info.ifa_valid;
    address.preferred = info.ifa_prefered;
  }
  return address;
}

std::optional<RouteEntry> parse_route(const MessageView& message) {
  if (message.type != RTM_NEWROUTE) return std::nullopt;
  auto head = message.header<rtmsg>();
  if (!head) return std::nullopt;
  auto family = family_of(head->rtm_family);
  if (!family) return std::nullopt;
  Attributes attributes(message, sizeof *head);
  RouteEntry route;
  route.destination = {attributes.address(RTA_DST).value_or(IpAddress{*family, {}}), head->rtm_dst_len};
  if (!fits(route.destination, *family)) return std::nullopt;
  route.table = attributes.u32(RTA_TABLE).value_or(head->rtm_table);
  route.metric = attributes.u32(RTA_PRIORITY).value_or(0);
  route.protocol = head->rtm_protocol;
  route.scope = head->rtm_scope;
  route.type = head->rtm_type;
  route.source = attributes.address(RTA_PREFSRC);
  route.hops = hops(attributes, head->rtm_flags);
  return route;
}

std::optional<Neighbour> parse_neighbour(const MessageView& message) {
  if (message.type != RTM_NEWNEIGH) return std::nullopt;
  auto head = message.header<ndmsg>();
  if (!head) return std::nullopt;
  auto family = family_of(head->ndm_family);
  Attributes attributes(message, sizeof *head);
  auto address = attributes.address(NDA_DST);
  if (!family || !address || address->family != *family) return std::nullopt;
  return Neighbour{head->ndm_ifindex, *address, attributes.mac(NDA_LLADDR), head->ndm_state, head->ndm_flags,
                   attributes.u8(NDA_PROTOCOL).value_or(0)};
}

Result<std::vector<Link>> links(Socket& socket) {
  Message request(RTM_GETLINK, 0, "list network links");
  request.header(ifinfomsg{}).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return dump_all<Link>(socket, request, parse_link);
}

Result<std::optional<Link>> find_link(Socket& socket, std::string_view name) {
  if (name.empty() || name.size() >= IFNAMSIZ) return std::optional<Link>();
  Message request(RTM_GETLINK, 0, fmt::format("look up the network link {}", name));
  request.header(ifinfomsg{}).text(IFLA_IFNAME, name).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  auto replies = socket.ask(std::move(request));
  std::optional<Link> found;
  if (!replies) {
    if (replies.error().err() == ENODEV) return found;
    return std::unexpected(std::move(replies).error());
  }
  for_each_message(*replies, [&](const MessageView& message) { found = parse_link(message); });
  return found;
}

Result<Link> need_link(Socket& socket, std::string_view name) {
  auto found = VPS_TRY(find_link(socket, name));
  if (!found) return fail(Code::kNotFound, "there is no network link {} on this host", name);
  return std::move(*found);
}

Result<std::vector<Address>> addresses(Socket& socket) {
  Message request(RTM_GETADDR, 0, "list network addresses");
  request.header(ifaddrmsg{});
  return dump_all<Address>(socket, request, parse_address);
}

Result<std::vector<RouteEntry>> routes(Socket& socket, Family family) {
  Message request(RTM_GETROUTE, 0, "list routes");
  rtmsg head{};
  head.rtm_family = number_of(family);
  request.header(head);
  return dump_all<RouteEntry>(socket, request, parse_route);
}

Result<std::vector<Neighbour>> neighbours(Socket& socket, Family family) { return dump_neighbours(socket, family, 0); }
Result<std::optional<Neighbour>> find_neighbour(Socket& socket, int link, const IpAddress& address) {
  Message request(RTM_GETNEIGH, 0, fmt::format("look up the neighbour {}", format_ip(address)));
  ndmsg head{};
  head.ndm_family = number_of(address.family);
  head.ndm_ifindex = link;
  request.header(head).address(NDA_DST, address);
  auto replies = socket.ask(std::move(request));
  std::optional<Neighbour> found;
  if (!replies) {
    if (replies.error().err() == ENOENT) return found;
    return std::unexpected(std::move(replies).error());
  }
  for_each_message(*replies, [&](const MessageView& message) { found = parse_neighbour(message); });
  return found;
}

Result<std::vector<Neighbour>> proxies(Socket& socket, Family family) {
  auto found = dump_neighbours(socket, family, NTF_PROXY);
  if (found) std::erase_if(*found, [](const Neighbour& each) { return (each.flags & NTF_PROXY) == 0; });
  return found;
}

}  // namespace vps::netns
