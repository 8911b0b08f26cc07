// Guards: every kind of spoofing is really sent, dropped and counted; what is legal passes.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <poll.h>

#include <set>

#include "tests/system/net_filter_fixture.h"

namespace vps::netns {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class NetFilterGuard : public FilterTest, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    FilterTest::SetUp();
    if (IsSkipped()) return;
    routed_ = GetParam();
    plan_ = plan_of(routed_, 101);
    link_ = routed_ ? "venet0" : "eth0";
    guest_.emplace(start(plan_));
    other_.emplace(start(plan_of(routed_, 102)));
    gateway_mac_ = *FilterTest::link(host_, routed_ ? "v101.0" : "vbr-default")->mac;
  }
  std::string own(int family) const { return routed_ ? (family == 4 ? "198.51.100.101" : "2001:db8:1::101") : (family == 4 ? "10.77.0.101" : "fd77::101"); }
  std::string others(int family) const { return routed_ ? (family == 4 ? "198.51.100.102" : "2001:db8:1::102") : (family == 4 ? "10.77.0.102" : "fd77::102"); }
  // Sends it twice from the VPS; it is dropped as `kind`, both times.
  void dropped(DropKind kind, const std::string& bytes) {
    std::uint64_t before = drops("101", kind);
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(guest_->in([&] { return send_frame(link_, bytes); }));
    EXPECT_TRUE(eventually([&] { return drops("101", kind) >= before + 2; })) << drop_kind_name(kind) << " " << drops("101", kind);
    EXPECT_EQ(drops("101", kind), before + 2) << drop_kind_name(kind);
  }
  std::string sent(unsigned type, const std::string& payload) const { return frame(gateway_mac_, mac(101), type, payload); }

  bool routed_ = false;
  net::VpsPlan plan_;
  std::string link_;
  std::optional<Namespace> guest_, other_;
  MacAddress gateway_mac_;
};

// Of a router that is none: ICMPv6.
const std::string kAdvertisement = octets({134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0});

constexpr unsigned kIp = 0x0800, kIp6 = 0x86dd, kArpType = 0x0806;

TEST_P(NetFilterGuard, DropsEachKindOfSpoofing) {
  std::string data = udp(1000, 9, "hello");
  IpAddress inet4 = ip("198.51.100.1"), inet6 = ip("2001:db8:1::1");
  using enum DropKind;
  dropped(kMac, frame(gateway_mac_, mac(102), kIp, ipv4(ip(own(4)), inet4, 17, data)));
  dropped(kIpv4, sent(kIp, ipv4(ip(others(4)), inet4, 17, data)));
  dropped(kIpv4, sent(kIp, ipv4(ip("0.0.0.0"), inet4, 17, data)));
  dropped(kIpv6, sent(kIp6, ipv6(ip(others(6)), inet6, 17, data)));
  dropped(kIpv6, sent(kIp6, ipv6(link_local(mac(102)), inet6, 17, data)));
  dropped(kIpv6, sent(kIp6, ipv6(ip("::"), inet6, 17, data)));
  dropped(kArp, sent(kArpType, arp(2, mac(101), ip(others(4)), inet4)));
  dropped(kArp, sent(kArpType, arp(1, mac(102), ip(own(4)), inet4)));
  auto advertisement = [&](const IpAddress& target) {
    return ipv6(ip(own(6)), ip("ff02::1"), 58, octets({136, 0, 0, 0, 0x20, 0, 0, 0}) + raw(target) + octets({2, 1}) + raw(mac(101)));
  };
  dropped(kNeighbour, sent(kIp6, advertisement(ip(others(6)))));
  dropped(kNeighbour, sent(kIp6, advertisement(ip("fe80::1"))));
  IpAddress local = link_local(mac(101));
  dropped(kRouter, sent(kIp6, ipv6(local, ip("ff02::1"), 58, kAdvertisement)));
  dropped(kRouter, sent(kIp6, ipv6(local, ip("ff02::1"), 58, octets({137, 0, 0, 0, 0, 0, 0, 0}) + raw(inet6) + raw(inet6))));
  // Behind a hop-by-hop header as well.
  dropped(kRouter, sent(kIp6, ipv6(local, ip("ff02::1"), 0, octets({58, 0, 1, 4, 0, 0, 0, 0, 134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}))));
  for (unsigned from : {67u, 5000u}) dropped(kDhcp, sent(kIp, ipv4(ip(own(4)), ip("255.255.255.255"), 17, udp(from, 68, "offer"))));
  for (unsigned from : {547u, 5000u}) dropped(kDhcp, sent(kIp6, ipv6(local, ip("ff02::1"), 17, udp(from, 546, "advertise"))));
  if (!routed_) {
    dropped(kProtocol, sent(0x88b5, "anything"));
    std::string datagram = ipv4(ip(own(4)), inet4, 17, data);
    dropped(kProtocol, sent(0x8100, number16(7) + number16(kIp) + datagram));
    dropped(kProtocol, sent(0x8100, number16(7) + number16(kArpType) + arp(2, mac(101), ip(others(4)), inet4)));
    dropped(kProtocol, sent(0x8100, number16(7) + number16(kIp6) + ipv6(local, ip("ff02::1"), 58, kAdvertisement)));
    dropped(kProtocol, sent(0x88a8, number16(7) + number16(0x8100) + number16(8) + number16(kIp) + datagram));
    dropped(kProtocol, sent(0x8863, "PPPoE"));
  }
  EXPECT_THAT(drops("102"), IsEmpty());
}

TEST_P(NetFilterGuard, DropsWhatHidesBehindOtherHeaders) {
  using enum DropKind;
  IpAddress local = link_local(mac(101)), all = ip("ff02::1");
  auto options = [](int next, int eights) { return octets({next, eights - 1, 1, 4, 0, 0, 0, 0}) + std::string(static_cast<std::size_t>(eights - 1) * 8, '\0'); };
  auto piece = [](int next, unsigned offset, bool more) { return octets({next, 0}) + number16(offset | (more ? 1u : 0u)) + octets({1, 2, 3, 4}); };
  constexpr int kHopByHop = 0, kFragment = 44, kDestination = 60, kIcmp6 = 58, kUdp = 17;
  dropped(kRouter, sent(kIp6, ipv6(local, all, kHopByHop, options(kDestination, 1) + options(kIcmp6, 2) + kAdvertisement)));
  // In one piece, and with the advertisement in the second one: what the first does not show is not let through.
  dropped(kRouter, sent(kIp6, ipv6(local, all, kFragment, piece(kIcmp6, 0, false) + kAdvertisement)));
  dropped(kRouter, sent(kIp6, ipv6(local, all, kFragment, piece(kDestination, 0, true) + options(kIcmp6, 2))));
  dropped(kRouter, sent(kIp6, ipv6(local, all, kFragment, piece(kDestination, 0, true) + options(kUdp, 2))));
  dropped(kRouter, sent(kIp6, ipv6(local, all, kFragment, piece(kDestination, 0, true) + octets({kDestination, 7, 1, 60, 0, 0, 0, 0}))));
  dropped(kDhcp, sent(kIp6, ipv6(local, all, kDestination, options(kUdp, 1) + udp(547, 546, "advertise"))));
  dropped(kDhcp, sent(kIp6, ipv6(local, all, kFragment, piece(kUdp, 0, true) + udp(5000, 546, "advertise!"))));
  // A long datagram in pieces is legal.
  auto before = drops("101");
  std::string datagram = udp(1000, 9, std::string(2000, 'x'));
  std::string first = datagram.substr(0, 1000), rest = datagram.substr(1000);
  for (const auto& each : {piece(kUdp, 0, true) + first, piece(kUdp, 1000, false) + rest})
    EXPECT_TRUE(guest_->in([&] { return send_frame(link_, sent(kIp6, ipv6(ip(own(6)), ip("2001:db8:1::1"), kFragment, each))); }));
  EXPECT_TRUE(exchange(*guest_, host_, routed_ ? "198.51.100.2" : "10.77.0.1"));
  EXPECT_EQ(drops("101"), before);
}

TEST_P(NetFilterGuard, DropsNeighboursLinkAddressesAndProbesOfOthers) {
  using enum DropKind;
  IpAddress all = ip("ff02::1"), mine = ip(own(6)), theirs = ip(others(6)), nobody = ip("::");
  auto nd = [&](const IpAddress& from, int type, const std::string& body) { return sent(kIp6, ipv6(from, all, 58, octets({type, 0, 0, 0}) + body)); };
  std::string zero(4, '\0'), nonce = octets({14, 1, 1, 2, 3, 4, 5, 6});
  auto address = [](int option, unsigned number) { return octets({option, 1}) + raw(mac(number)); };
  constexpr int kRouterSolicit = 133, kSolicit = 135, kAdvertise = 136, kSource = 1, kTarget = 2;
  dropped(kNeighbour, nd(mine, kSolicit, zero + raw(theirs) + address(kSource, 102)));
  dropped(kNeighbour, nd(mine, kSolicit, zero + raw(theirs) + nonce + address(kSource, 102)));
  dropped(kNeighbour, nd(mine, kSolicit, zero + raw(theirs) + octets({14, 2}) + std::string(14, '\0') + address(kSource, 102)));
  dropped(kNeighbour, nd(mine, kSolicit, zero + raw(theirs) + nonce + nonce + address(kSource, 102)));
  dropped(kNeighbour, nd(mine, kAdvertise, octets({0x20, 0, 0, 0}) + raw(mine) + address(kTarget, 102)));
  dropped(kNeighbour, nd(mine, kRouterSolicit, zero + address(kSource, 102)));
  // Duplicate detection for an address of another, who would not take it then.
  dropped(kNeighbour, nd(nobody, kSolicit, zero + raw(theirs)));
  dropped(kArp, sent(kArpType, arp(1, mac(101), ip("0.0.0.0"), ip(others(4)))));
  // Who asks for groups gets the bridge's multicast.
  dropped(kRouter, sent(kIp6, ipv6(link_local(mac(101)), all, 58, octets({130, 0, 0, 0, 0, 1, 0, 0}) + raw(nobody))));
  dropped(kRouter, sent(kIp, ipv4(ip(own(4)), ip("224.0.0.1"), 2, octets({0x11, 100, 0, 0, 0, 0, 0, 0}))));
  auto before = drops("101");
  for (const auto& legal : {nd(mine, kSolicit, zero + raw(theirs) + address(kSource, 101)), nd(mine, kSolicit, zero + raw(theirs) + nonce + address(kSource, 101)),
                            nd(mine, kSolicit, zero + raw(theirs)), nd(nobody, kSolicit, zero + raw(mine) + nonce),
                            nd(mine, kAdvertise, octets({0x20, 0, 0, 0}) + raw(mine) + address(kTarget, 101)),
                            nd(link_local(mac(101)), kRouterSolicit, zero + address(kSource, 101)), nd(nobody, kRouterSolicit, zero)})
    EXPECT_TRUE(guest_->in([&] { return send_frame(link_, legal); }));
  EXPECT_TRUE(exchange(*guest_, host_, routed_ ? "198.51.100.2" : "10.77.0.1"));
  EXPECT_EQ(drops("101"), before);
  EXPECT_THAT(check(), IsEmpty());
  EXPECT_THAT(nft("list ruleset"), testing::HasSubstr("frag frag-off"));
}

// Frames for bridges alone (01:80:c2:...) meet no filter: nobody's MAC is learnt from them.
TEST_P(NetFilterGuard, ABridgeLearnsNothingFromFramesThatPassTheFilter) {
  if (routed_) GTEST_SKIP() << "no bridge";
  ASSERT_TRUE(exchange(*other_, host_, "10.77.0.1"));
  MacAddress nearest{{0x01, 0x80, 0xc2, 0, 0, 0x0e}};
  EXPECT_TRUE(guest_->in([&] { return send_frame(link_, frame(nearest, mac(102), 0x88cc, std::string(50, 'x'))); }));
  EXPECT_TRUE(exchange(*guest_, host_, "10.77.0.1"));
  auto table = host_.in([&] { return run({"bridge", "fdb", "show", "br", "vbr-default"}); });
  ASSERT_TRUE(table);
  EXPECT_THAT(table->out, testing::HasSubstr(format_mac(mac(102)) + " dev v102.0"));
}

// A bridge takes reports of IGMPv3 and MLDv2 to all ports; they are for the one that may be a router.
TEST_P(NetFilterGuard, ReportsOfGroupsReachRoutersOnly) {
  if (routed_) GTEST_SKIP() << "no bridge";
  auto plan = plan_of(false, 103);
  plan.ports[0].guard.router = false;
  auto router = start(plan);
  const std::string report4 = raw(MacAddress{{1, 0, 0x5e, 0, 0, 0x16}}) + raw(mac(101)), report6 = raw(MacAddress{{0x33, 0x33, 0, 0, 0, 0x16}}) + raw(mac(101));
  auto hearing = [](const Namespace& ns) {
    return ns.in([] { return UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL))); });
  };
  auto heard = [](const UniqueFd& fd) {
    std::set<std::string> found;
    char data[2048];
    for (ssize_t size = 0; (size = ::recv(fd.get(), data, sizeof data, 0)) > 0;)
      if (size > 12) found.insert(std::string(data, 12));
    return found;
  };
  // Whatever the bridge has asked for.
  guest_->set_sysctl("ipv6/conf/eth0/force_mld_version", "2");
  auto at_router = hearing(router), at_other = hearing(*other_);
  auto member = bound(*guest_, "::", 5001);
  ipv6_mreq group{{}, static_cast<unsigned>(FilterTest::link(*guest_, "eth0")->index)};
  inet_pton(AF_INET6, "ff05::1234", &group.ipv6mr_multiaddr);
  ASSERT_EQ(::setsockopt(member.get(), IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof group), 0);
  std::string igmp = ipv4(ip(own(4)), ip("224.0.0.22"), IPPROTO_IGMP, octets({0x22, 0, 0xdd, 0xff, 0, 0, 0, 0}));
  EXPECT_TRUE(guest_->in([&] { return send_frame(link_, report4 + number16(kIp) + igmp); }));
  std::set<std::string> router_heard;
  EXPECT_TRUE(eventually([&] {
    router_heard.merge(heard(at_router));
    return router_heard.contains(report4) && router_heard.contains(report6);
  }));
  ASSERT_TRUE(exchange(*guest_, *other_, others(4)));
  auto other_heard = heard(at_other);
  EXPECT_THAT(other_heard, testing::Contains(raw(mac(102)) + raw(mac(101))));
  EXPECT_FALSE(other_heard.contains(report4));
  EXPECT_FALSE(other_heard.contains(report6));
}

TEST_P(NetFilterGuard, LegalTrafficPassesAndDropsNothing) {
  EXPECT_EQ(exchange(*guest_, internet_, "198.51.100.1"), ip(own(4)));
  EXPECT_EQ(exchange(*guest_, internet_, "2001:db8:1::1"), ip(own(6)));
  EXPECT_EQ(exchange(*guest_, *other_, others(4)), ip(own(4)));
  EXPECT_EQ(exchange(*guest_, *other_, others(6)), ip(own(6)));
  EXPECT_TRUE(exchange(internet_, *guest_, own(4)));
  EXPECT_TRUE(exchange(internet_, *guest_, own(6)));
  // What a client without an address sends: ARP probe, DHCP discover, duplicate address detection.
  auto arrives = [&](const std::string& bytes) { EXPECT_TRUE(guest_->in([&] { return send_frame(link_, bytes); })); };
  arrives(sent(kArpType, arp(1, mac(101), ip("0.0.0.0"), ip(own(4)))));
  arrives(sent(kIp, ipv4(ip("0.0.0.0"), ip("255.255.255.255"), 17, udp(68, 67, "discover"))));
  arrives(sent(kIp6, ipv6(ip("::"), ip("ff02::1:ff00:101"), 58, octets({135, 0, 0, 0, 0, 0, 0, 0}) + raw(ip(own(6))))));
  EXPECT_TRUE(exchange(*guest_, host_, routed_ ? "198.51.100.2" : "10.77.0.1"));  // behind them on the same wire
  EXPECT_THAT(drops("101"), IsEmpty());
  EXPECT_THAT(drops("102"), IsEmpty());
  EXPECT_THAT(check(), IsEmpty());
}

TEST_P(NetFilterGuard, ExtraPrefixesAreItsOwnAndNoMore) {
  auto wider = plan_;
  wider.ports[0].allowed.push_back(prefix("192.0.2.8/29"));
  wider.ports[0].allowed.push_back(prefix("2001:db8:77::/62"));
  wider.ports[0].allowed.push_back(prefix("203.0.113.0/24"));
  change(wider);
  EXPECT_THAT(check(), IsEmpty());
  auto passes = [&](const std::string& source) {
    auto before = drops("101");
    IpAddress from = ip(source);
    bool v4 = from.family == Family::kV4;
    std::string data = udp(1000, 9, "hello");
    EXPECT_TRUE(guest_->in([&] {
      return send_frame(link_, v4 ? sent(kIp, ipv4(from, ip("198.51.100.1"), 17, data)) : sent(kIp6, ipv6(from, ip("2001:db8:1::1"), 17, data)));
    }));
    // What comes behind on the same wire has arrived, so this one has been judged.
    EXPECT_TRUE(exchange(*guest_, host_, routed_ ? "198.51.100.2" : "10.77.0.1"));
    return drops("101") == before;
  };
  for (const char* good : {"192.0.2.8", "192.0.2.15", "203.0.113.0", "203.0.113.255", "2001:db8:77::", "2001:db8:77:3:ffff::1"})
    EXPECT_TRUE(passes(good)) << good;
  for (const char* bad : {"192.0.2.7", "192.0.2.16", "203.0.114.0", "203.0.112.255", "2001:db8:77:4::", "2001:db8:76:ffff::1"})
    EXPECT_FALSE(passes(bad)) << bad;
  // Narrower, wider, and with a neighbour, from the same beginning.
  for (const std::vector<std::string>& prefixes : {std::vector<std::string>{"192.0.2.8/30", "2001:db8:77::/64"},
                                                   {"192.0.2.8/31", "192.0.2.10/31", "2001:db8:77::/63"},
                                                   {"192.0.2.0/24", "2001:db8:77::/48"}}) {
    auto other = plan_;
    for (const auto& each : prefixes) other.ports[0].allowed.push_back(prefix(each));
    change(other);
    EXPECT_THAT(check(), IsEmpty()) << prefixes[0];
    EXPECT_TRUE(passes("192.0.2.8"));
    EXPECT_TRUE(passes("2001:db8:77::"));
  }
  change(plan_);
  EXPECT_FALSE(passes("192.0.2.8"));
  EXPECT_THAT(check(), IsEmpty());
}

TEST_P(NetFilterGuard, EachGuardCanBeTurnedOff) {
  auto open = plan_;
  open.ports[0].guard.mac = open.ports[0].guard.ip = open.ports[0].guard.arp = open.ports[0].guard.router = false;
  change(open);
  for (const auto& bytes : {frame(gateway_mac_, mac(105), kIp, ipv4(ip("192.0.2.1"), ip("198.51.100.1"), 17, udp(67, 9, "x"))),
                            sent(kArpType, arp(2, mac(102), ip(others(4)), ip("198.51.100.1"))), sent(kIp6, ipv6(ip("2001:db8:9::1"), ip("ff02::1"), 17, "")),
                            sent(0x88b5, "anything")})
    EXPECT_TRUE(guest_->in([&] { return send_frame(link_, bytes); }));
  EXPECT_TRUE(exchange(*guest_, host_, routed_ ? "198.51.100.2" : "10.77.0.1"));
  EXPECT_THAT(drops("101"), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Modes, NetFilterGuard, testing::Values(false, true), [](const auto& each) { return each.param ? "Routed" : "Bridge"; });

}  // namespace
}  // namespace vps::netns
