// NAT, forwards, firewall, caps, counters, and what others do to our tables.
#include <linux/if_ether.h>
#include <poll.h>

#include <set>

#include "tests/system/net_filter_fixture.h"

namespace vps::netns {
namespace {

using namespace test;
using net::Direction;
using testing::AnyOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class NetFilter : public FilterTest {
 protected:
  void configure_nat() {
    state_.networks[0].nat = true;
    auto done = on_host([&] { return filter_.configure(state_.networks, state_.classes); });
    ASSERT_TRUE(done) << done.error().to_string();
  }
  // What somebody else does: the switches of the host, which are per namespace, and those of a bridge.
  bool host_filters_bridges(const char* value) {
    for (const char* key : {"bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables"}) {
      if (::access((std::string("/proc/sys/net/") + key).c_str(), F_OK) != 0) return false;
      host_.set_sysctl(key, value);
    }
    return true;
  }
  void bridge_filters(const std::string& value) {
    auto done = on_host([&] { return run({"ip", "link", "set", "vbr-default", "type", "bridge", "nf_call_iptables", value, "nf_call_ip6tables", value}); });
    ASSERT_TRUE(done && done->code == 0) << (done ? done->describe() : done.error().to_string());
  }
};

TEST_F(NetFilter, MasqueradesWhatLeavesAndNothingElse) {
  configure_nat();
  auto one = start(plan_of(false, 101)), two = start(plan_of(false, 102)), routed = start(plan_of(true, 103));
  EXPECT_EQ(exchange(one, internet_, "198.51.100.1"), ip("198.51.100.2"));
  EXPECT_EQ(exchange(one, internet_, "2001:db8:1::1"), ip("2001:db8:1::2"));
  EXPECT_EQ(exchange(one, two, "10.77.0.102"), ip("10.77.0.101"));
  EXPECT_EQ(exchange(one, routed, "198.51.100.103"), ip("10.77.0.101"));
  EXPECT_EQ(exchange(routed, internet_, "198.51.100.1"), ip("198.51.100.103"));
  EXPECT_THAT(check(), IsEmpty());
}

TEST_F(NetFilter, ForwardsPortsFromOutsideFromInsideAndFromTheHost) {
  configure_nat();
  auto plan = plan_of(false, 101);
  plan.firewall.forwards = {{1, ip("198.51.100.2"), net::Protocol::kUdp, 8080, 80, ip("10.77.0.101")},
                            {2, ip("2001:db8:1::2"), net::Protocol::kUdp, 8080, 80, ip("fd77::101")},
                            {3, std::nullopt, net::Protocol::kUdp, 9000, 90, ip("10.77.0.101")}};
  auto one = start(plan), two = start(plan_of(false, 102));
  EXPECT_EQ(round_trip(internet_, "198.51.100.2", 8080, one, "10.77.0.101", 80), "198.51.100.1");
  EXPECT_EQ(round_trip(internet_, "2001:db8:1::2", 8080, one, "fd77::101", 80), "2001:db8:1::1");
  EXPECT_EQ(round_trip(internet_, "198.51.100.2", 9000, one, "10.77.0.101", 90), "198.51.100.1");
  EXPECT_EQ(round_trip(two, "198.51.100.2", 8080, one, "10.77.0.101", 80), "10.77.0.1");
  EXPECT_EQ(round_trip(two, "2001:db8:1::2", 8080, one, "fd77::101", 80), "fd77::1");
  EXPECT_EQ(round_trip(two, "10.77.0.1", 9000, one, "10.77.0.101", 90), "10.77.0.1");
  EXPECT_NE(round_trip(host_, "198.51.100.2", 8080, one, "10.77.0.101", 80), "lost");
  // Itself, too: by way of the host, or of the bridge where that shows its packets to the firewall.
  (void)host_filters_bridges("0");
  for (const char* on : {"1", "0"}) {
    bridge_filters(on);
    EXPECT_EQ(round_trip(one, "198.51.100.2", 8080, one, "10.77.0.101", 80), "10.77.0.1") << on;
    EXPECT_EQ(round_trip(one, "2001:db8:1::2", 8080, one, "fd77::101", 80), "fd77::1") << on;
    EXPECT_EQ(round_trip(one, "10.77.0.1", 9000, one, "10.77.0.101", 90), "10.77.0.1") << on;
    EXPECT_EQ(round_trip(two, "198.51.100.2", 8080, one, "10.77.0.101", 80), "10.77.0.1") << on;
  }
  bridge_filters("1");
  auto without = plan;
  without.firewall.forwards.clear();
  change(without);
  EXPECT_TRUE(on_host([&] { return set_reflection(where_, without); }));
  EXPECT_THAT(check(), IsEmpty());
  auto server = bound(one, "10.77.0.101", 80), client = bound(internet_, "0.0.0.0", 0);
  EXPECT_TRUE(send(client, "198.51.100.2", 8080));
  EXPECT_FALSE(readable(server));
}

// What a VPS with a forward sends to everybody comes not back to it, or it would take its own probe for another's address.
TEST_F(NetFilter, ReflectsOnlyWhatIsForTheVpsItself) {
  auto plan = plan_of(false, 101);
  plan.firewall.forwards = {{1, std::nullopt, net::Protocol::kUdp, 9000, 90, ip("10.77.0.101")}};
  auto one = start(plan), two = start(plan_of(false, 102));
  ASSERT_EQ(round_trip(one, "10.77.0.102", 7, two, "10.77.0.102", 7), "10.77.0.101");
  auto heard_by = [](const Namespace& guest) {
    return guest.in([] { return UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL))); });
  };
  auto own = heard_by(one), others = heard_by(two);
  const MacAddress all{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, group{{0x33, 0x33, 0, 0, 0, 1}}, nobody{{2, 0, 0, 0, 0x77, 0x77}};
  const std::string payload = udp(1000, 9, "reflected?");
  const auto send_to = [&](const MacAddress& to) {
    return frame(to, mac(101), ETH_P_IP, ipv4(ip("10.77.0.101"), ip("10.77.0.255"), IPPROTO_UDP, payload));
  };
  for (const auto& to : {all, group, nobody, mac(101)}) ASSERT_TRUE(one.in([&] { return send_frame("eth0", send_to(to)); }));
  // Destinations of what carries the payload and was not sent from here.
  auto heard = [&](const UniqueFd& fd) {
    std::vector<std::string> found;
    std::string buffer(2048, '\0');
    while (readable(fd)) {
      sockaddr_ll from{};
      socklen_t size = sizeof from;
      const auto got = ::recvfrom(fd.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (got > 6 && from.sll_pkttype != PACKET_OUTGOING && buffer.substr(0, static_cast<std::size_t>(got)).find("reflected?") != std::string::npos)
        found.push_back(buffer.substr(0, 6));
    }
    return found;
  };
  EXPECT_THAT(heard(others), testing::UnorderedElementsAre(raw(all), raw(group), raw(nobody)));
  EXPECT_THAT(heard(own), ElementsAre(raw(mac(101)))) << "the way of a forward to itself";
  EXPECT_NE(nft("list ruleset"), "");
}

TEST_F(NetFilter, FirewallIsStatefulCountsAndChangesLive) {
  auto plan = plan_of(false, 101);
  plan.firewall.default_in = net::Verdict::kDrop;
  net::FirewallRule rule;
  rule.number = 7;
  rule.protocol = net::Protocol::kUdp;
  rule.ports = {{53, 53}, {8000, 8010}};
  rule.peers = {prefix("198.51.100.0/24"), prefix("2001:db8::/32")};
  rule.log = true;
  plan.firewall.rules = {rule};
  auto one = start(plan);
  EXPECT_EQ(round_trip(internet_, "10.77.0.101", 8005, one, "10.77.0.101", 8005), "198.51.100.1");
  EXPECT_EQ(round_trip(internet_, "fd77::101", 53, one, "fd77::101", 53), "2001:db8:1::1");
  EXPECT_TRUE(exchange(one, internet_, "198.51.100.1"));   // answers come in
  EXPECT_TRUE(exchange(one, internet_, "2001:db8:1::1"));
  EXPECT_FALSE(exchange(internet_, one, "10.77.0.101", std::chrono::milliseconds(600)));
  EXPECT_FALSE(exchange(internet_, one, "fd77::101", std::chrono::milliseconds(600)));
  auto numbers = [&] {
    std::map<std::pair<Direction, std::uint32_t>, std::uint64_t> found;
    auto counters = on_host([&] { return filter_.firewall_counters("101"); });
    EXPECT_TRUE(counters);
    for (const auto& each : *counters) found[{each.direction, each.number}] = each.packets;
    return found;
  };
  auto before = numbers();
  EXPECT_GE((before[{Direction::kIn, 7}]), 2u);
  EXPECT_GE((before[{Direction::kIn, 0}]), 2u);

  // Another rule in front, the default rejects now; what rule 7 has counted stays, the connection that is open stays.
  auto flow = bound(one, "10.77.0.101", 4000), peer = bound(internet_, "198.51.100.1", 4001);
  ASSERT_TRUE(send(flow, "198.51.100.1", 4001) && readable(peer, 5000));
  net::FirewallRule out;
  out.number = 8;
  out.direction = Direction::kOut;
  out.verdict = net::Verdict::kReject;
  out.protocol = net::Protocol::kTcp;
  out.ports = {{443, 443}};
  plan.firewall.rules.insert(plan.firewall.rules.begin(), out);
  plan.firewall.default_in = net::Verdict::kReject;
  change(plan);
  EXPECT_EQ((numbers()[{Direction::kIn, 7}]), (before[{Direction::kIn, 7}]));
  EXPECT_TRUE(send(peer, "10.77.0.101", 4000) && readable(flow, 5000));
  auto tcp = bound(one, "0.0.0.0", 0, SOCK_STREAM);
  auto refused = socket_address("198.51.100.1", 443);
  (void)::connect(tcp.get(), reinterpret_cast<sockaddr*>(&refused.first), refused.second);
  pollfd poll{tcp.get(), POLLOUT, 0};
  EXPECT_EQ(::poll(&poll, 1, 10'000), 1);
  int error = 0;
  socklen_t size = sizeof error;
  EXPECT_EQ(::getsockopt(tcp.get(), SOL_SOCKET, SO_ERROR, &error, &size), 0);
  EXPECT_EQ(error, ECONNREFUSED);
  EXPECT_EQ((numbers()[{Direction::kOut, 8}]), 1u);
  EXPECT_THAT(check(), IsEmpty());
  plan.firewall = {};
  change(plan);
  EXPECT_TRUE(exchange(internet_, one, "10.77.0.101"));
  EXPECT_THAT(check(), IsEmpty());
  EXPECT_THAT(nft("list table inet vpsdtest"), Not(HasSubstr("in-101")));
}

// By the switches of our own bridge: those of the host, which are everybody's, are off.
TEST_F(NetFilter, FirewallsHoldWithinABridgeWhoseHostFiltersNone) {
  if (!host_filters_bridges("0")) GTEST_SKIP() << "the kernel has no br_netfilter loaded";
  auto plan = plan_of(false, 101);
  plan.firewall.default_in = net::Verdict::kDrop;
  net::FirewallRule rule;
  rule.number = 7;
  rule.protocol = net::Protocol::kUdp;
  rule.ports = {{53, 53}};
  plan.firewall.rules = {rule};
  auto one = start(plan), two = start(plan_of(false, 102));
  auto filtered = [&] { return on_host([] { return Filter::bridge_is_filtered("/proc", "vbr-default"); }); };
  constexpr auto kPatience = std::chrono::milliseconds(600);
  auto hold = [&] {
    EXPECT_TRUE(filtered());
    EXPECT_EQ(round_trip(two, "10.77.0.101", 53, one, "10.77.0.101", 53), "10.77.0.102");
    EXPECT_EQ(round_trip(two, "fd77::101", 53, one, "fd77::101", 53), "fd77::102");
    EXPECT_TRUE(exchange(one, two, "10.77.0.102"));  // answers come in
    EXPECT_TRUE(exchange(one, two, "fd77::102"));
    EXPECT_FALSE(exchange(two, one, "10.77.0.101", kPatience));
    EXPECT_FALSE(exchange(two, one, "fd77::101", kPatience));
  };
  hold();
  // Somebody turns it off: known, and as it was after the next look.
  bridge_filters("0");
  EXPECT_FALSE(filtered());
  EXPECT_TRUE(exchange(two, one, "10.77.0.101"));
  EXPECT_TRUE(exchange(two, one, "fd77::101"));
  network(bridge_network());
  hold();
  // One of both families is not enough.
  auto half = on_host([] { return run({"ip", "link", "set", "vbr-default", "type", "bridge", "nf_call_ip6tables", "0"}); });
  ASSERT_TRUE(half && half->code == 0);
  EXPECT_FALSE(filtered());
}

TEST_F(NetFilter, CapsConnectionsInAllAndPerSecond) {
  auto plan = plan_of(false, 101);
  plan.ports[0].guard.connections = 5;
  auto one = start(plan);
  auto server = bound(internet_, "198.51.100.1", 6000);
  ASSERT_TRUE(exchange(one, host_, "10.77.0.1"));  // neighbours are known, one connection is open
  auto connect_many = [&](int count) {
    std::vector<UniqueFd> clients;
    for (int i = 0; i < count; ++i) {
      clients.push_back(bound(one, "0.0.0.0", 0));
      EXPECT_TRUE(send(clients.back(), "198.51.100.1", 6000));
    }
    return drain(server);
  };
  EXPECT_EQ(connect_many(20), 4u);
  EXPECT_EQ(drops("101", DropKind::kConnections), 16u);

  plan.ports[0].guard.connections = 0;
  plan.ports[0].guard.connections_per_second = 10;
  change(plan);
  EXPECT_THAT(check(), IsEmpty());
  std::size_t passed = connect_many(50);
  EXPECT_GE(passed, 10u);
  EXPECT_LT(passed, 50u);
  EXPECT_EQ(drops("101", DropKind::kConnectionRate), 50 - passed);
  // A flow that nobody answers is one connection, however many packets it has.
  auto flow = bound(one, "0.0.0.0", 0);
  ASSERT_TRUE(eventually([&] { return send(flow, "198.51.100.1", 6000) && readable(server, 300); }));
  (void)drain(server);
  auto before = drops("101", DropKind::kConnectionRate);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(send(flow, "198.51.100.1", 6000));
  EXPECT_EQ(drain(server), 100u);
  EXPECT_EQ(drops("101", DropKind::kConnectionRate), before);
}

TEST_F(NetFilter, ALargeCapIsCountedInPartsAndHolds) {
  auto plan = plan_of(false, 101);
  plan.ports[0].guard.connections = 2000;
  auto one = start(plan);
  MacAddress gateway = *link(host_, "vbr-default")->mac;
  auto server = bound(internet_, "198.51.100.1", 6000), flow = bound(one, "10.77.0.101", 7000);
  ASSERT_TRUE(eventually([&] { return send(flow, "198.51.100.1", 6000) && readable(server); }));
  (void)drain(server);
  auto open_from = [&](unsigned first, unsigned count) {
    UniqueFd raw = one.in([] { return UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)); });
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = link(one, "eth0")->index;
    for (unsigned i = 0; i < count; ++i) {  // every other port, as a kernel takes them for its own connections
      auto bytes = frame(gateway, mac(101), 0x0800, ipv4(ip("10.77.0.101"), ip("198.51.100.1"), 17, udp(first + 2 * i, 6000, "x")));
      ASSERT_EQ(::sendto(raw.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to), static_cast<ssize_t>(bytes.size()));
    }
  };
  open_from(20'000, 1000);
  EXPECT_EQ(drops("101", DropKind::kConnections), 0u);
  open_from(30'000, 2000);
  auto refused = drops("101", DropKind::kConnections);
  EXPECT_GE(refused, 1000u);  // of 3001 and what the kernel has sent by itself
  EXPECT_LE(refused, 1010u);
  // What is open goes on.
  (void)drain(server);
  EXPECT_TRUE(send(flow, "198.51.100.1", 6000) && readable(server, 10'000));
  EXPECT_EQ(drops("101", DropKind::kConnections), refused);
  EXPECT_THAT(check(), IsEmpty());
  EXPECT_THAT(nft("list ruleset"), HasSubstr("ct original proto-src"));
}

TEST_F(NetFilter, SmtpIsDeniedOrLimitedOutsideAndFreeInside) {
  auto plan = plan_of(false, 101);
  plan.ports[0].guard.smtp = net::SmtpPolicy::kDeny;
  auto one = start(plan), two = start(plan_of(false, 102));
  // A network of ours that the internet's address is in would be inside.
  state_.networks.pop_back();
  ASSERT_TRUE(on_host([&] { return filter_.configure(state_.networks, state_.classes); }));
  const std::pair<std::string, std::string> kFamilies[] = {{"198.51.100.1", "10.77.0.102"}, {"2001:db8:1::1", "fd77::102"}};
  const std::uint16_t kMail[] = {25, 465, 587}, kOther = 2525;
  std::vector<UniqueFd> servers, clients;
  for (const auto& [outside, inside] : kFamilies)
    for (std::uint16_t port : {kMail[0], kMail[1], kMail[2], kOther})
      for (auto [ns, address] : {std::pair{&internet_, &outside}, {&two, &inside}}) {
        servers.push_back(bound(*ns, *address, port, SOCK_STREAM));
        ASSERT_EQ(::listen(servers.back().get(), 64), 0);
      }
  auto connects = [&](const std::string& address, std::uint16_t port, int milliseconds) {
    clients.push_back(bound(one, address.find(':') == address.npos ? "0.0.0.0" : "::", 0, SOCK_STREAM));
    auto to = socket_address(address, port);
    (void)::connect(clients.back().get(), reinterpret_cast<sockaddr*>(&to.first), to.second);
    pollfd poll{clients.back().get(), POLLOUT, 0};
    return ::poll(&poll, 1, milliseconds) == 1;
  };
  for (const auto& [outside, inside] : kFamilies) {
    EXPECT_TRUE(connects(outside, kOther, 10'000)) << outside;
    for (std::uint16_t port : kMail) {
      EXPECT_TRUE(connects(inside, port, 10'000)) << inside << " " << port;
      auto before = drops("101", DropKind::kSmtp);
      EXPECT_FALSE(connects(outside, port, 300)) << outside << " " << port;
      EXPECT_GE(drops("101", DropKind::kSmtp), before + 1) << outside << " " << port;
    }
  }
  clients.clear();  // who waits sends again, and would be the first that the limit lets through
  plan.ports[0].guard.smtp = net::SmtpPolicy::kLimit;
  plan.ports[0].guard.smtp_per_minute = 6;
  change(plan);
  EXPECT_THAT(check(), IsEmpty());
  // One limit for all of them.
  int good = 0;
  for (const auto& [outside, inside] : kFamilies)
    for (std::uint16_t port : kMail) good += connects(outside, port, 10'000);
  EXPECT_EQ(good, 6);
  auto before = drops("101", DropKind::kSmtp);
  for (int i = 0; i < 4; ++i) good += connects(kFamilies[static_cast<std::size_t>(i % 2)].first, kMail[i % 3], 100);
  EXPECT_LT(good, 10);
  EXPECT_GT(drops("101", DropKind::kSmtp), before);
  plan.ports[0].guard.smtp = net::SmtpPolicy::kAllow;
  change(plan);
  EXPECT_TRUE(connects("198.51.100.1", 25, 10'000));
}

TEST_F(NetFilter, NamesTheForeignRuleThatBlocks) {
  auto blocks = [&] { return *on_host([&] { return Filter::foreign_blocks("vbr-default", "eth0"); }); };
  auto names = [&] {
    std::vector<std::string> all;
    for (const auto& each : blocks()) all.push_back(fmt::format("{} {} {} {}", each.family, each.table, each.chain, each.rule == 0 ? "policy" : "rule"));
    return all;
  };
  auto one = start(plan_of(false, 101));
  EXPECT_THAT(names(), IsEmpty());
  // As docker does it, with another bridge let through.
  nft("add table ip filter; add chain ip filter DOCKER-USER; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; };"
      "add rule ip filter FORWARD jump DOCKER-USER; add rule ip filter FORWARD iifname docker0 accept;"
      "add rule ip filter FORWARD oifname \"docker*\" ct state established accept");
  EXPECT_FALSE(exchange(one, internet_, "198.51.100.1", std::chrono::milliseconds(600)));
  EXPECT_THAT(names(), ElementsAre("ip filter FORWARD policy"));
  EXPECT_THAT(blocks().at(0).text, HasSubstr("DOCKER-USER -i vbr-default"));
  nft("add rule ip filter DOCKER-USER iifname vbr-default accept; add rule ip filter DOCKER-USER oifname \"vbr-*\" accept");
  EXPECT_THAT(names(), IsEmpty());
  EXPECT_TRUE(exchange(one, internet_, "198.51.100.1"));
  nft("delete table ip filter");
  nft("add table inet firewalld; add chain inet firewalld f { type filter hook forward priority 10; };"
      "add chain inet firewalld zone; add rule inet firewalld f ct state established accept; add rule inet firewalld f goto zone;"
      "add rule inet firewalld zone oifname eth1 accept; add rule inet firewalld zone reject with icmpx admin-prohibited");
  EXPECT_FALSE(exchange(one, internet_, "198.51.100.1", std::chrono::milliseconds(600)));
  EXPECT_THAT(names(), ElementsAre("inet firewalld zone rule"));
  EXPECT_THAT(check(), IsEmpty());
}

TEST_F(NetFilter, NamesTheRuleOfLegacyIptablesThatBlocks) {
  auto tables = [&](const std::string& tool, std::vector<std::string> words) {
    words.insert(words.begin(), tool);
    auto done = host_.in([&] { return run(words); });
    return done && done->code == 0;
  };
  if (!tables("iptables-legacy", {"-S"}) || !tables("ip6tables-legacy", {"-S"})) GTEST_SKIP() << "no iptables-legacy, or a kernel without it";
  auto names = [&] {
    std::vector<std::string> all;
    auto blocks = on_host([&] { return Filter::foreign_blocks("vbr-default", "eth0"); });
    EXPECT_TRUE(blocks) << blocks.error().to_string();
    for (const auto& each : *blocks) all.push_back(fmt::format("{} {} {}", each.family, each.chain, each.rule == 0 ? "policy" : std::to_string(each.rule)));
    return all;
  };
  auto one = start(plan_of(false, 101));
  const auto kSoon = std::chrono::milliseconds(600);
  struct Tool {
    std::string name, family, peer;
  };
  for (const auto& [tool, family, peer] : {Tool{"iptables-legacy", "ip", "198.51.100.1"}, Tool{"ip6tables-legacy", "ip6", "2001:db8:1::1"}}) {
    EXPECT_THAT(names(), IsEmpty()) << "an empty table stops nothing";
    EXPECT_TRUE(exchange(one, internet_, peer));
    ASSERT_TRUE(tables(tool, {"-P", "FORWARD", "DROP"}) && tables(tool, {"-A", "FORWARD", "-i", "docker0", "-j", "ACCEPT"}) &&
                tables(tool, {"-A", "FORWARD", "-p", "tcp", "-j", "ACCEPT"}));
    EXPECT_THAT(names(), ElementsAre(family + " FORWARD policy"));
    EXPECT_FALSE(exchange(one, internet_, peer, kSoon));
    // Let through by a chain of its own, one way by a wildcard.
    ASSERT_TRUE(tables(tool, {"-N", "ours"}) && tables(tool, {"-A", "FORWARD", "-j", "ours"}) &&
                tables(tool, {"-A", "ours", "-i", "vbr-default", "-j", "ACCEPT"}) && tables(tool, {"-A", "ours", "!", "-i", "docker+", "-o", "vbr-+", "-j", "ACCEPT"}));
    EXPECT_THAT(names(), IsEmpty());
    EXPECT_TRUE(exchange(one, internet_, peer));
    // Policy accept again, and a rule in a chain that rejects.
    ASSERT_TRUE(tables(tool, {"-P", "FORWARD", "ACCEPT"}) && tables(tool, {"-I", "ours", "1", "-o", "vbr-default", "-p", "tcp", "-j", "DROP"}) &&
                tables(tool, {"-I", "ours", "2", "-i", "vbr-default", "-j", "REJECT"}));
    EXPECT_THAT(names(), ElementsAre(family + " ours 2"));
    EXPECT_FALSE(exchange(one, internet_, peer, kSoon));
    ASSERT_TRUE(tables(tool, {"-I", "ours", "1", "-j", "RETURN"}));
    EXPECT_THAT(names(), IsEmpty());
    ASSERT_TRUE(tables(tool, {"-F"}) && tables(tool, {"-X"}));
  }
  auto before = internet_.in([] { return Filter::foreign_blocks("vbr-default", "eth0"); });
  ASSERT_TRUE(before);
  EXPECT_THAT(*before, IsEmpty()) << "a namespace of which nobody has asked for a table has none";
}

}  // namespace
}  // namespace vps::netns
