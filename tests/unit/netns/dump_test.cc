// What dumps say, from bytes; questions about a host's routes; records and frames.
#include "netns/dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "netns/announce.h"
#include "netns/devices.h"
#include "netns/host_view.h"
#include "netns/packet_programs.h"
#include "netns/tc_messages.h"

namespace vps::netns {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

IpAddress ip(const char* text) { return *parse_ip(text); }
Prefix prefix(const char* text) { return *parse_prefix(text); }

template <class Parse>
auto parsed(Message message, Parse parse) {
  std::string_view data = message.finish(1);
  return parse(*next_message(data));
}

TEST(Dumps, LinksWithMasterParentAndFlags) {
  Message message(RTM_NEWLINK, 0, "");
  ifinfomsg head{};
  head.ifi_index = 9;
  head.ifi_flags = IFF_UP;
  message.header(head).text(IFLA_IFNAME, "v101.0").text(IFLA_IFALIAS, "vpsd:a:port:101").u32(IFLA_MASTER, 4).u32(IFLA_LINK, 2);
  message.u32(IFLA_LINK_NETNSID, 0).u32(IFLA_MTU, 1500).mac(IFLA_PERM_ADDRESS, {{2, 1, 1, 1, 1, 1}});
  message.nest(IFLA_LINKINFO, [](Message& info) {
    info.text(IFLA_INFO_KIND, "veth").text(IFLA_INFO_SLAVE_KIND, "bridge").nest(IFLA_INFO_SLAVE_DATA, [](Message& data) {
      data.u8(IFLA_BRPORT_ISOLATED, 1);
    });
  });
  auto link = parsed(message, parse_link);
  ASSERT_TRUE(link);
  EXPECT_EQ(*link, (Link{.index = 9, .name = "v101.0", .kind = "veth", .alias = "vpsd:a:port:101", .mac = {}, .permanent_mac = MacAddress{{2, 1, 1, 1, 1, 1}},
                         .flags = IFF_UP, .mtu = 1500, .master = 4, .parent = 2, .elsewhere = true, .isolated = true, .operstate = 0}));
}

TEST(Dumps, BridgesSayWhoseHooksTheyCall) {
  auto bridge = [](const char* kind, std::uint8_t v4, std::uint8_t v6) {
    Message message(RTM_NEWLINK, 0, "");
    message.header(ifinfomsg{}).text(IFLA_IFNAME, "vbr-a").nest(IFLA_LINKINFO, [&](Message& info) {
      info.text(IFLA_INFO_KIND, kind).nest(IFLA_INFO_DATA, [&](Message& data) { data.u8(IFLA_BR_NF_CALL_IPTABLES, v4).u8(IFLA_BR_NF_CALL_IP6TABLES, v6); });
    });
    auto link = parsed(message, parse_link);
    return link ? std::pair(link->filters_v4, link->filters_v6) : std::pair(!v4, !v6);
  };
  EXPECT_EQ(bridge("bridge", 1, 0), std::pair(true, false));
  EXPECT_EQ(bridge("bridge", 0, 1), std::pair(false, true));
  EXPECT_EQ(bridge("veth", 1, 1), std::pair(false, false)) << "the same numbers are something else there";
}

TEST(Dumps, BridgesAnswerForTheirPortsOnceMore) {
  Message message(RTM_NEWLINK, 0, "");
  ifinfomsg head{};
  head.ifi_family = AF_BRIDGE;
  message.header(head).text(IFLA_IFNAME, "v101.0");
  EXPECT_FALSE(parsed(message, parse_link));
}

TEST(Dumps, RoutesWithOneHopAndWithSeveral) {
  rtmsg head{};
  head.rtm_family = AF_INET;
  head.rtm_dst_len = 8;
  head.rtm_table = RT_TABLE_MAIN;
  head.rtm_type = RTN_UNICAST;
  Message one(RTM_NEWROUTE, 0, "");
  one.header(head).address(RTA_DST, ip("10.0.0.0")).address(RTA_GATEWAY, ip("192.0.2.1")).u32(RTA_OIF, 3).u32(RTA_PRIORITY, 100);
  auto route = parsed(one, parse_route);
  ASSERT_TRUE(route);
  EXPECT_EQ(route->destination, prefix("10.0.0.0/8"));
  EXPECT_THAT(route->hops, ElementsAre(RouteEntry::Hop{3, ip("192.0.2.1"), false}));
  EXPECT_EQ(route->metric, 100u);

  head.rtm_dst_len = 0;
  Message several(RTM_NEWROUTE, 0, "");
  several.header(head).nest(RTA_MULTIPATH, [](Message& hops) {
    hops.raw(rtnexthop{16, 0, 0, 3}).address(RTA_GATEWAY, ip("192.0.2.1"));
    hops.raw(rtnexthop{8, RTNH_F_ONLINK, 0, 5});
  });
  route = parsed(several, parse_route);
  ASSERT_TRUE(route);
  EXPECT_EQ(route->destination, prefix("0.0.0.0/0"));
  EXPECT_THAT(route->hops, ElementsAre(RouteEntry::Hop{3, ip("192.0.2.1"), false}, RouteEntry::Hop{5, std::nullopt, true}));

  head.rtm_dst_len = 33;
  Message bad(RTM_NEWROUTE, 0, "");
  bad.header(head).address(RTA_DST, ip("10.0.0.0"));
  EXPECT_FALSE(parsed(bad, parse_route));
}

TEST(Dumps, AddressesAndNeighbours) {
  ifaddrmsg head{};
  head.ifa_family = AF_INET6;
  head.ifa_prefixlen = 64;
  head.ifa_index = 4;
  Message address(RTM_NEWADDR, 0, "");
  address.header(head).address(IFA_ADDRESS, ip("fd00::2")).u32(IFA_FLAGS, IFA_F_PERMANENT | IFA_F_NODAD);
  auto got = parsed(address, parse_address);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->prefix, prefix("fd00::2/64"));
  EXPECT_EQ(got->flags, unsigned{IFA_F_PERMANENT | IFA_F_NODAD});

  ndmsg neighbour{};
  neighbour.ndm_family = AF_INET;
  neighbour.ndm_flags = NTF_PROXY;
  Message proxy(RTM_NEWNEIGH, 0, "");
  proxy.header(neighbour).address(NDA_DST, ip("10.0.0.2")).u8(NDA_PROTOCOL, 118);
  EXPECT_EQ(parsed(proxy, parse_neighbour)->protocol, 118);
  neighbour.ndm_family = AF_INET6;
  Message mixed(RTM_NEWNEIGH, 0, "");
  mixed.header(neighbour).address(NDA_DST, ip("10.0.0.2"));
  EXPECT_FALSE(parsed(mixed, parse_neighbour));
}

HostView host() {
  HostView view;
  for (auto [index, name] : {std::pair{1, "lo"}, {2, "eth0"}, {3, "eth1"}, {4, "vbr-default"}}) {
    Link link;
    link.index = index;
    link.name = name;
    if (index == 1) link.flags = IFF_LOOPBACK;
    view.links.push_back(link);
  }
  auto route = [&](const char* destination, int link, std::uint32_t metric = 0) {
    RouteEntry entry;
    entry.destination = prefix(destination);
    entry.hops = {{link, {}, false}};
    entry.metric = metric;
    entry.table = RT_TABLE_MAIN;
    entry.type = RTN_UNICAST;
    view.routes.push_back(entry);
  };
  route("0.0.0.0/0", 3, 200);
  route("0.0.0.0/0", 2, 100);
  route("10.0.0.0/16", 2);
  route("10.1.0.0/24", 4);
  route("::/0", 3);
  Address address;
  address.link = 2;
  address.prefix = prefix("172.16.5.9/24");
  view.addresses = {address};
  return view;
}

TEST(HostViews, UplinksAreWhereDefaultRoutesLead) {
  EXPECT_THAT(host().uplinks(Family::kV4), ElementsAre("eth0", "eth1"));
  EXPECT_THAT(host().uplinks(Family::kV6), ElementsAre("eth1"));
  EXPECT_THAT(host().uplinks(), ElementsAre("eth1", "eth0"));
  EXPECT_THAT(HostView{}.uplinks(), IsEmpty());
}

TEST(HostViews, OverlapsAreNamedWithTheirLink) {
  EXPECT_THAT(host().overlaps(prefix("10.0.0.0/8")), ElementsAre("10.0.0.0/16 on eth0", "10.1.0.0/24 on vbr-default"));
  const std::string own[] = {"vbr-default"};
  EXPECT_THAT(host().overlaps(prefix("10.1.0.0/24"), own), IsEmpty());
  EXPECT_THAT(host().overlaps(prefix("172.16.5.0/25")), ElementsAre("172.16.5.0/24 on eth0"));
  EXPECT_THAT(host().overlaps(prefix("192.168.0.0/16")), IsEmpty());
  EXPECT_THAT(host().overlaps(prefix("fd00::/8")), IsEmpty()) << "default routes do not count";
}

TEST(HostViews, TheFirstFreeSubnetIsFound) {
  EXPECT_EQ(host().free_subnet(prefix("10.0.0.0/8"), 16), prefix("10.2.0.0/16"));
  const Prefix taken[] = {prefix("10.2.0.0/15")};
  EXPECT_EQ(host().free_subnet(prefix("10.0.0.0/8"), 16, taken), prefix("10.4.0.0/16"));
  EXPECT_FALSE(host().free_subnet(prefix("10.0.0.0/16"), 24));
  EXPECT_FALSE(host().free_subnet(prefix("10.0.0.0/16"), 8)) << "larger than the pool";
  EXPECT_EQ(host().free_subnet(prefix("fd00::/48"), 64), prefix("fd00::/64"));
}

TEST(LentDevices, AreWrittenDownWhole) {
  LentDevice device{.vps = "101", .name = "lan0", .guest_name = "eth0", .alias = "rack 7, port 3", .permanent = MacAddress{{2, 0, 0, 0, 0, 1}},
                    .mac = MacAddress{{2, 0, 0, 0, 0, 2}}, .mtu = 9000, .up = true, .addresses = {prefix("192.0.2.1/24"), prefix("fd00::1/64")}};
  auto again = parse_lent(format_lent(device));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, device);
  EXPECT_FALSE(parse_lent(""));
  EXPECT_FALSE(parse_lent("vps 101\nname lan0\nmac nonsense\n"));
}

TEST(Frames, AreWhatTheStandardsSay) {
  MacAddress mac{{2, 0, 0, 0, 0, 1}};
  auto arp = gratuitous_arp(mac, ip("10.0.0.2"));
  EXPECT_EQ(arp.size(), 42u);
  EXPECT_EQ(arp.substr(0, 6), std::string(6, '\xff'));
  EXPECT_EQ(claims(arp, ip("10.0.0.2")), mac);
  EXPECT_FALSE(claims(arp, ip("10.0.0.3")));
  EXPECT_FALSE(claims(arp_probe(mac, ip("10.0.0.2")), ip("10.0.0.2"))) << "a question is no claim";
  auto advertisement = unsolicited_advertisement(mac, ip("fd00::2"), false);
  EXPECT_EQ(claims(advertisement, ip("fd00::2")), mac);
  EXPECT_FALSE(claims(duplicate_solicitation(mac, ip("fd00::2")), ip("fd00::2")));
  // The one's complement sum over pseudo header and message is all ones (RFC 1071).
  std::uint32_t sum = 58 + 32;
  for (std::size_t at = 14 + 8; at + 1 < advertisement.size(); at += 2)
    sum += static_cast<std::uint32_t>(static_cast<std::uint8_t>(advertisement[at]) << 8 | static_cast<std::uint8_t>(advertisement[at + 1]));
  while ((sum >> 16) != 0) sum = (sum & 0xffff) + (sum >> 16);
  EXPECT_EQ(sum, 0xffffu);
  for (std::size_t size = 0; size < advertisement.size(); ++size) (void)claims(std::string_view(advertisement).substr(0, size), ip("fd00::2"));
}

TEST(Shaping, BurstsFollowTheRateWithinBounds) {
  EXPECT_EQ(burst_of({10'000'000}, {}), 80u << 10);
  EXPECT_EQ(burst_of({80'000'000}, {}), 200'000u);
  EXPECT_EQ(burst_of({UINT64_MAX}, {}), 4u << 20);
}

TEST(Shaping, SlowRatesTakePacketsApartWhereTheLinkAllowsIt) {
  EXPECT_TRUE(takes_apart({9'999'999}, {1500}));
  EXPECT_TRUE(takes_apart({8}, {9000}));
  EXPECT_FALSE(takes_apart({10'000'000}, {1500}));
  EXPECT_FALSE(takes_apart({8}, {65535})) << "its own packets are larger than the parts";
  EXPECT_EQ(burst_of({8}, {1500}), 16u << 10);
  EXPECT_EQ(burst_of({8}, {65535}), 80u << 10);
}

TEST(Shaping, EveryLinkHasAClassOfItsOwnKind) {
  for (int link : {1, 65533, 65534, 65535, 65536, 131068, 131070, INT32_MAX}) {
    EXPECT_NE(class_of(link), 0) << link;
    EXPECT_NE(class_of(link), kTotalClass) << link;
  }
  EXPECT_EQ(class_of(5), class_of(5 + 65534)) << "which is why a taken class is looked for";
  EXPECT_NE(class_of(5), class_of(6));
}

TEST(Shaping, WhereAFilterSendsPacketsIsRead) {
  auto message = add_redirect(7, "v101.0", kIngressParent, 12);
  std::string bytes = message.finish(1);
  bytes[4] = static_cast<char>(RTM_NEWTFILTER);
  std::string_view data = bytes;
  auto filter = parse_filter(*next_message(data));
  ASSERT_TRUE(filter);
  EXPECT_EQ(*filter, (IngressFilter{kIngressParent, kRedirectFilter, "u32", 12}));
}

}  // namespace
}  // namespace vps::netns
