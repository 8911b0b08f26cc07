// VPSes on networks: what operators do with them, on the scene of network_fixture.h.
#include <fcntl.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>

#include "base/files.h"
#include "tests/support/temp_dir.h"
#include "tests/system/network_fixture.h"

namespace vps::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST_F(NetworkTest, ReachesTheInternetByBothFamilies) {
  make_connected("101");
  auto mine = addresses("101");
  ASSERT_EQ(mine.size(), 2u);
  ping("101", "203.0.113.1");
  ping("101", "2001:db8:2::1");
  auto shown = ctl({"show", "101"}).out;
  EXPECT_NE(shown.find(mine[0]), std::string::npos) << shown;
  EXPECT_NE(shown.find(mine[1]), std::string::npos) << shown;
  auto network = ctl({"network", "show", "default"}).out;
  EXPECT_NE(network.find(mine[0]), std::string::npos) << network;
}

TEST_F(NetworkTest, VpsesReachEachOtherUnlessIsolated) {
  make_connected("101");
  make_connected("102");
  ping("101", addresses("102").at(0));
  ping("101", addresses("102").at(1));
  ctl({"network", "create", "apart", "--isolated", "--nat"});
  for (const char* id : {"201", "202"}) {
    ctl({"create", id, "--template", "busybox", "--set", "network.interfaces=[{name: eth0, network: apart, addresses: [auto]}]"});
    ctl({"start", "--wait", id});
  }
  ping("201", addresses("202").at(0), 1);
  ping("201", "203.0.113.1");
}

TEST_F(NetworkTest, KeepsItsAddressOverRestartsOfItselfAndOfVpsd) {
  make_connected("101");
  const auto mine = addresses("101");
  ctl({"restart", "101"});
  EXPECT_EQ(addresses("101"), mine);
  ping("101", "203.0.113.1");
  ASSERT_TRUE(vpsd_->kill());
  restart_vpsd();
  EXPECT_EQ(addresses("101"), mine);
  EXPECT_EQ(state_of("101"), "running");
  ping("101", "203.0.113.1");
  ctl({"stop", "--force", "101"});
  ctl({"start", "--wait", "101"});
  EXPECT_EQ(addresses("101"), mine);
  ping("101", "2001:db8:2::1");
}

TEST_F(NetworkTest, RefusesWhatCannotBe) {
  auto refused = [&](const Argv& arguments, int code, const std::string& text) {
    auto result = ctl(arguments, code);
    EXPECT_NE(result.err.find(text), std::string::npos) << result.describe();
  };
  ctl({"network", "create", "small", "--subnet", "10.9.0.0/29"});
  refused({"network", "create", "other", "--subnet", "10.9.0.0/24"}, 4, "overlaps 10.9.0.0/29 of network small");
  refused({"network", "create", "other", "--subnet", "198.51.100.0/25"}, 4, "in use on this host");
  refused({"network", "create", "small"}, 4, "exists already");
  refused({"network", "create", "other", "--mode", "macvlan", "--uplink", "eth77"}, 3, "eth77");
  refused({"network", "create", "other", "--subnet", "10.1.1.0/24", "--gateway", "10.2.0.1"}, 2, "in no subnet");
  ASSERT_TRUE(NetworkScene::host({"ip", "link", "add", "vbr-taken", "type", "bridge"}));
  refused({"network", "create", "taken"}, 4, "vbr-taken");
  ASSERT_TRUE(NetworkScene::host({"ip", "link", "delete", "vbr-taken"}));
  refused({"network", "delete", "none"}, 3, "no network none");

  auto on_small = [](const std::string& address) {
    return fmt::format("network.interfaces=[{{name: eth0, network: small, addresses: [{}]}}]", address);
  };
  refused({"create", "1", "-t", "busybox", "--set", on_small("10.9.0.77")}, 2, "in no subnet of network small");
  refused({"create", "1", "-t", "busybox", "--set", on_small("10.9.0.1")}, 2, "gateway");
  refused({"create", "1", "-t", "busybox", "--set", "network.interfaces=[{name: eth0, network: nowhere}]"}, 3, "no network nowhere");
  ctl({"create", "1", "-t", "busybox", "--set", on_small("10.9.0.3")});
  refused({"create", "2", "-t", "busybox", "--set", on_small("10.9.0.3")}, 4, "vps 1's");
  for (int id = 2; id <= 5; ++id) ctl({"create", std::to_string(id), "-t", "busybox", "--set", on_small("auto")});
  refused({"create", "9", "-t", "busybox", "--set", on_small("auto")}, 9, "no free address in network small (10.9.0.0/29)");
  refused({"show", "9"}, 3, "no vps 9");
  refused({"network", "delete", "small"}, 7, "in use by vps 1");
  refused({"network", "set", "small", "subnets=[10.10.0.0/24]"}, 7, "vps 2 has 10.9.0.2");
  refused({"network", "set", "small", "isolated=yes"}, 7, "in use");
  EXPECT_EQ(json({"network", "show", "small"}).items("/addresses").size(), 5u);
}

TEST_F(NetworkTest, APoolGrowsWhileItIsUsed) {
  const Argv first = {"create", "1", "-t", "busybox", "--network", "small", "--start"}, second = {"create", "2", "-t", "busybox", "--network", "small", "--start"};
  ctl({"network", "create", "small", "--nat", "--subnet", "10.9.0.0/30"});
  ctl(first);
  ctl(second, 9);
  ctl({"network", "set", "small", "subnets=[10.9.0.0/30, 10.10.0.0/29, \"fd09::/64\"]"});
  ctl(second);
  EXPECT_EQ(addresses("2"), (std::vector<std::string>{"10.10.0.2", "fd09::2"}));
  for (const char* id : {"1", "2"}) ping(id, "203.0.113.1");
  ping("2", "2001:db8:2::1");
  ping("1", "10.10.0.2");
  ping("2", "10.9.0.2");
  EXPECT_EQ(json({"network", "show", "small"}).size("/gateways"), 3u);
  ctl({"network", "set", "small", "subnets=[10.10.0.0/29, \"fd09::/64\"]"}, 7);
  ctl({"network", "set", "small", "gateways=[10.10.0.6]"}, 7);
  ctl({"destroy", "--force", "1"});
  ctl({"network", "set", "small", "subnets=[10.10.0.0/29, \"fd09::/64\"]"});
  ctl({"restart", "2"});
  ping("2", "203.0.113.1");
}

// Of VPSes that do not run as well.
TEST_F(NetworkTest, RefusesWhatAnotherHasByItsDefinition) {
  auto with_mac = [](const std::string& mac) {
    return fmt::format("network.interfaces=[{{name: eth0, network: default, addresses: [auto], mac: \"{}\"}}]", mac);
  };
  ctl({"create", "1", "-t", "busybox", "--set", with_mac("02:00:00:00:00:01")});
  auto refused = ctl({"create", "2", "-t", "busybox", "--set", with_mac("02:00:00:00:00:01")}, 4);
  EXPECT_NE(refused.err.find("02:00:00:00:00:01 is vps 1's on network default"), std::string::npos) << refused.describe();
  ctl({"show", "2"}, 3);
  ctl({"create", "2", "-t", "busybox", "--set", with_mac("02:00:00:00:00:02")});
  ctl({"set", "2", "network.interfaces.eth0.mac=02:00:00:00:00:01"}, 4);

  ctl({"firewall", "1", "forward", "tcp", "8080", "80"});
  refused = ctl({"firewall", "2", "forward", "tcp", "8080", "80"}, 4);
  EXPECT_NE(refused.err.find("tcp port 8080 of every address leads to vps 1 already"), std::string::npos) << refused.describe();
  ctl({"firewall", "2", "forward", "udp", "8080", "80"});
  ctl({"start", "--wait", "1", "2"});

  // What the host serves itself may be led away, and that is said.
  UniqueFd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(7777);
  ASSERT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
  ASSERT_EQ(::listen(server.get(), 1), 0);
  EXPECT_NE(ctl({"firewall", "1", "forward", "tcp", "7777", "80"}).err.find("the host itself listens on tcp port 7777"), std::string::npos);
  EXPECT_EQ(ctl({"firewall", "1", "forward", "udp", "7777", "80"}).err.find("udp port 7777"), std::string::npos);
}

// The next start on the network makes the bridge anew, and so does the next vpsd: what runs is on it again.
TEST_F(NetworkTest, ABridgeThatSomebodyHasDeletedComesBackWithItsPorts) {
  make_connected("101");
  make_connected("102");
  ctl({"firewall", "101", "forward", "tcp", "8080", "80"});
  ASSERT_TRUE(NetworkScene::host({"ip", "link", "delete", "vbr-default"}));
  ping("101", "10.200.0.1", 1);
  make_connected("103");
  for (const char* id : {"101", "102", "103"}) ping(id, "203.0.113.1");
  ping("101", addresses("102").at(0));
  EXPECT_THAT(ctl({"events"}).out, HasSubstr("those of vps 101, 102"));
  ASSERT_TRUE(vpsd_->kill());
  ASSERT_TRUE(NetworkScene::host({"ip", "link", "set", "v102.0", "nomaster"}));
  restart_vpsd();
  ping("102", "203.0.113.1");
  // As its port was: frames of its own forward come back to it.
  EXPECT_THAT(NetworkScene::host({"bridge", "-d", "link", "show", "dev", "v101.0"}).value_or(""), HasSubstr("hairpin on"));
}

TEST_F(NetworkTest, FirewallForwardsAndCountersLive) {
  make_connected("101");
  const auto mine = addresses("101");
  EXPECT_NE(ctl({"firewall", "101", "add", "out", "drop", "-p", "icmp", "--peer", "203.0.113.1", "--comment", "no ping"}).out.find("1 added"), std::string::npos);
  ping("101", "203.0.113.1", 1);
  auto listed = json({"firewall", "101", "list"});
  EXPECT_EQ(listed.string("/rules/0/comment"), "no ping");
  EXPECT_GE(listed.number("/rules/0/packets"), 1);
  // One in front of it wins; what the other has counted stays.
  ctl({"firewall", "101", "add", "out", "accept", "-p", "icmp", "--before", "9"}, 3);
  ctl({"firewall", "101", "add", "out", "accept", "-p", "icmp", "--before", "1"});
  ping("101", "203.0.113.1");
  listed = json({"firewall", "101", "list"});
  EXPECT_EQ(listed.number("/rules/0/number"), 2);
  EXPECT_GE(listed.number("/rules/0/packets"), 1);
  EXPECT_EQ(listed.number("/rules/1/number"), 1);
  EXPECT_GE(listed.number("/rules/1/packets"), 1);
  ctl({"firewall", "101", "delete", "1", "2"});
  ping("101", "203.0.113.1");
  ctl({"firewall", "101", "delete", "1"}, 3);
  ctl({"firewall", "101", "add", "in", "accept", "--port", "80"}, 2);

  // A port of the host leads to a server inside; what is let in is said by the firewall.
  ctl({"exec", "--detach", "101", "--", "sh", "-c", "while true; do echo hello | nc -l -p 80; done"});
  ctl({"firewall", "101", "forward", "tcp", "8080", "80"});
  auto fetch = [&] { return scene_->internet({"busybox", "nc", "-w", "5", "198.51.100.2", "8080"}).out; };
  EXPECT_TRUE(eventually([&] { return fetch() == "hello\n"; }));
  const Argv from_inside = {"exec", "101", "--", "sh", "-c", "nc -w 5 198.51.100.2 8080 </dev/null"};
  EXPECT_TRUE(eventually([&] { return vpsd_->ctl(from_inside).out == "hello\n"; })) << "by its own forward";
  ctl({"firewall", "101", "default", "in", "drop"});
  EXPECT_NE(scene_->internet({"busybox", "nc", "-w", "1", "198.51.100.2", "8080"}).out, "hello\n");
  ctl({"firewall", "101", "add", "in", "accept", "-p", "tcp", "--port", "80"});
  EXPECT_TRUE(eventually([&] { return fetch() == "hello\n"; }));
  // All of it is saved: a restart changes nothing.
  ctl({"restart", "101"});
  EXPECT_EQ(json({"firewall", "101", "list"}).string("/in"), "drop");
  ctl({"set", "101", "network.firewall.in="});
}

// The kernel shows packets within a bridge to a firewall only where br_netfilter is and the bridge asks for it, which ours do; where it
// is not so, that is said.
TEST_F(NetworkTest, FirewallsHoldWithinABridgeOrItIsSaid) {
  make_connected("1");
  make_connected("2");
  ctl({"firewall", "1", "default", "in", "drop"});
  const auto target = addresses("1").at(0);
  auto doctor = [&] { return vpsd_->ctl({"doctor"}).out; };
  bool loaded = true;
  for (const char* family : {"iptables", "ip6tables"})
    loaded = loaded && write_kernel_file_at(AT_FDCWD, fmt::format("/proc/sys/net/bridge/bridge-nf-call-{}", family), "0");
  std::string advice = "modprobe br_netfilter";
  std::function<void()> turn_off;
  if (loaded) {
    ping("2", target, 1);
    EXPECT_THAT(doctor(), Not(HasSubstr("not enforced between its VPSes")));
    const auto names = link_names().value_or(std::vector<std::string>{});
    const auto bridge = std::ranges::find_if(names, [](const std::string& name) { return name.find("br-default") != std::string::npos; });
    ASSERT_NE(bridge, names.end());
    turn_off = [bridge = *bridge] {
      ASSERT_TRUE(NetworkScene::host({"ip", "link", "set", bridge, "type", "bridge", "nf_call_iptables", "0", "nf_call_ip6tables", "0"}));
    };
    turn_off();
    advice = "nf_call_iptables 1";
  }
  ping("2", target);
  EXPECT_THAT(doctor(), AllOf(HasSubstr("not enforced between its VPSes"), HasSubstr(advice)));
  const auto said = HasSubstr("network.firewall is not enforced between VPSes of network default");
  const auto restarted = ctl({"restart", "1"});
  if (!loaded) {
    EXPECT_THAT(restarted.err, said);
    return;
  }
  EXPECT_THAT(restarted.err, Not(said));
  ping("2", target, 1);
  turn_off();
  ping("2", target);
  ASSERT_TRUE(vpsd_->kill());
  restart_vpsd();
  ping("2", target, 1);
  EXPECT_THAT(doctor(), Not(HasSubstr("not enforced between its VPSes")));
}

TEST_F(NetworkTest, TrafficIsCountedOverRestartsAndFlushes) {
  make_connected("101");
  auto sent = [&] {
    std::int64_t bytes = 0;
    for (const auto& row : json({"usage", "101", "--by", "total"}).items("/traffic"))
      if (row.string("/direction") == "out" && row.string("/family") == "ipv4") bytes += row.number("/bytes");
    return bytes;
  };
  ping("101", "203.0.113.1");
  const auto first = sent();
  EXPECT_GE(first, 5 * 84) << "five pings of 84 bytes";
  ctl({"restart", "101"});
  EXPECT_GE(sent(), first);
  ping("101", "203.0.113.1");
  const auto second = sent();
  EXPECT_GE(second, first + 5 * 84);
  ASSERT_TRUE(vpsd_->kill());
  restart_vpsd();
  EXPECT_GE(sent(), second);
  // Somebody flushes everything: it is as it was again, and said.
  ASSERT_TRUE(NetworkScene::host({"nft", "flush", "ruleset"}));
  wait_event("network.repaired", "");
  ping("101", "203.0.113.1");
  EXPECT_GE(sent(), second + 5 * 84);
  auto csv = ctl({"-o", "csv", "usage", "101"}).out;
  EXPECT_EQ(csv.substr(0, csv.find('\n')), "from,direction,family,class,packets,bytes");
  auto stats = json({"stats", "101", "--interval", "0"});
  EXPECT_GE(stats.number("/0/network/txBytes"), second);
}

TEST_F(NetworkTest, RatesAndGuardsChangeLive) {
  make_connected("101");
  auto changed = json({"set", "101", "rateIn=5M", "rateOut=6M", "network.interfaces.eth0.guards.arp=off", "smtp=deny"});
  for (const auto& change : changed.items("/changes")) EXPECT_EQ(change.string("/effect"), "live") << change.dump();
  bool found = false;
  for (const auto& limit : json({"show", "101"}).items("/limits"))
    if (limit.string("/limit") == "network.eth0.rateIn") {
      found = true;
      EXPECT_EQ(limit.string("/value"), "5M");
      EXPECT_EQ(limit.string("/state"), "enforced");
    }
  EXPECT_TRUE(found);
  ping("101", "203.0.113.1");
  auto later = json({"set", "101", "network.interfaces.eth0.mtu=1400"});
  EXPECT_EQ(later.string("/restartRequired/0"), "network.interfaces.eth0.mtu");
  // A neighbour's address: dropped at the port and counted.
  ctl({"exec", "101", "--", "ip", "address", "add", "203.0.113.99/32", "dev", "lo"});
  (void)vpsd_->ctl({"exec", "101", "--", "ping", "-c", "2", "-W", "1", "-I", "203.0.113.99", "203.0.113.1"});
  bool dropped = false;
  for (const auto& drop : json({"show", "101"}).items("/usage/dropped")) dropped = dropped || (drop.string("/kind") == "ipv4" && drop.number("/packets") >= 2);
  EXPECT_TRUE(dropped) << json({"show", "101"}).dump();
}

TEST_F(NetworkTest, GuaranteesOfANetworksTotal) {
  auto limit_of = [&](const std::string& id, const std::string& name) {
    for (const auto& limit : json({"show", id}).items("/limits"))
      if (limit.string("/limit") == "network.eth0." + name) return limit;
    return json({"show", id});
  };
  ctl({"network", "create", "sold", "--nat", "--subnet", "10.9.0.0/24"});
  make_on("101", "sold", "addresses: [auto], guaranteeOut: 4M, guaranteeIn: 4M");
  ctl({"start", "--wait", "101"});
  EXPECT_NE(limit_of("101", "guaranteeOut").string("/state"), "enforced");
  EXPECT_NE(limit_of("101", "guaranteeOut").string("/reason").find("no total rate"), std::string::npos) << limit_of("101", "guaranteeOut").dump();
  ctl({"network", "set", "sold", "rateIn=10M", "rateOut=10M"});
  for (const char* name : {"guaranteeIn", "guaranteeOut"}) EXPECT_EQ(limit_of("101", name).string("/state"), "enforced") << limit_of("101", name).dump();
  EXPECT_NE(ctl({"network", "show", "sold"}).out.find("rate out    10M"), std::string::npos);
  ping("101", "203.0.113.1");
  // Nobody is promised what is not there.
  make_on("102", "sold", "addresses: [auto], guaranteeOut: 8M");
  auto refused = ctl({"start", "102"}, 9);
  EXPECT_NE(refused.err.find("the guarantees of what runs are 12M, its rateOut is 10M"), std::string::npos) << refused.err;
  ctl({"set", "102", "network.interfaces.eth0.guaranteeOut=6M"});
  ctl({"start", "--wait", "102"});
  EXPECT_NE(vpsd_->ctl({"set", "102", "network.interfaces.eth0.guaranteeOut=7M"}).code, 0);
  ctl({"network", "set", "sold", "rateOut=9M"}, 7);
  ASSERT_TRUE(vpsd_->kill());
  restart_vpsd();
  EXPECT_EQ(limit_of("102", "guaranteeOut").string("/state"), "enforced");
  ctl({"network", "set", "sold", "rateOut=", "rateIn="});
  EXPECT_NE(limit_of("101", "guaranteeOut").string("/state"), "enforced");
  ping("101", "203.0.113.1");
  ping("102", "203.0.113.1");
}

TEST_F(NetworkTest, RoutedAddressesAreReachedFromOutside) {
  ctl({"network", "create", "public", "--mode", "routed", "--subnet", "198.51.100.64/28", "--subnet", "2001:db8:1:0:64::/80", "--uplink", "up0"});
  ctl({"create", "101", "-t", "busybox", "--set", "network.interfaces=[{name: venet0, network: public, addresses: [auto]}]"});
  ctl({"start", "--wait", "101"});
  const auto mine = addresses("101");
  ASSERT_EQ(mine.size(), 2u);
  ping("101", "203.0.113.1");
  ping("101", "2001:db8:2::1");
  auto from_outside = scene_->internet({"busybox", "ping", "-c", "5", "-A", "-W", "5", mine[0]});
  EXPECT_EQ(from_outside.code, 0) << from_outside.describe();
  auto again = scene_->internet({"busybox", "ping6", "-c", "5", "-A", "-W", "5", mine[1]});
  EXPECT_EQ(again.code, 0) << again.describe();
  // Somebody outside has an address that we are about to give out.
  ASSERT_EQ(scene_->internet({"ip", "address", "add", "198.51.100.70/24", "dev", "up1"}).code, 0);
  ctl({"network", "set", "public", "probe=refuse"});
  auto refused = ctl({"create", "102", "-t", "busybox", "--set", "network.interfaces=[{name: venet0, network: public, addresses: [198.51.100.70]}]"}, 4);
  EXPECT_NE(refused.err.find("198.51.100.70 is in use already"), std::string::npos) << refused.err;
}

TEST_F(NetworkTest, GuestFilesAndPasswordAndKey) {
  TempDir keys;
  ASSERT_TRUE(write_file_atomic(keys / "key.pub", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHJ me@example\n"));
  ctl({"create", "101", "-t", "busybox", "--ip", "auto", "--hostname", "web.example.org", "--ssh-key", keys / "key.pub", "--set", "network.nameservers=[9.9.9.9]"});
  ctl({"passwd", "101"}, 0, {.input = "first secret\n"});
  ctl({"start", "--wait", "101"});
  EXPECT_EQ(ctl({"exec", "101", "--", "cat", "/root/.ssh/authorized_keys"}).out, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHJ me@example\n");
  EXPECT_EQ(ctl({"exec", "101", "--", "stat", "-c", "%a %u", "/root/.ssh", "/root/.ssh/authorized_keys"}).out, "700 0\n600 0\n");
  EXPECT_NE(ctl({"exec", "101", "--", "cat", "/etc/resolv.conf"}).out.find("nameserver 9.9.9.9\n"), std::string::npos);
  EXPECT_NE(ctl({"exec", "101", "--", "cat", "/etc/hosts"}).out.find("127.0.1.1\tweb.example.org web\n"), std::string::npos);
  auto shadow = ctl({"exec", "101", "--", "grep", "^root:", "/etc/shadow"}).out;
  EXPECT_EQ(shadow.substr(0, 8), "root:$6$");
  ctl({"exec", "101", "--", "chown", "0:42", "/etc/shadow"});  // Debian's group of this file
  ctl({"passwd", "101"}, 0, {.input = "second secret\n"});
  auto after = ctl({"exec", "101", "--", "grep", "^root:", "/etc/shadow"}).out;
  EXPECT_EQ(after.substr(0, 8), "root:$6$");
  EXPECT_NE(after, shadow);
  EXPECT_EQ(ctl({"exec", "101", "--", "stat", "-c", "%u:%g", "/etc/shadow"}).out, "0:42\n");
  ctl({"passwd", "101", "--user", "nobody-here"}, 3, {.input = "x\n"});
  ctl({"passwd", "101"}, 2, {.input = "\n"});
}

// The host's name servers change while VPSes run: replaced by rename, led elsewhere by a link, while vpsd is away.
// Subnets that touch each other are neighbouring intervals of one set, whatever order they come and go in.
TEST_F(NetworkTest, AdjacentSubnetsComeAndGoInAnyOrder) {
  auto make = [&](int number) {
    const std::string name = fmt::format("n{}", number);
    ctl({"network", "create", name, "--subnet", fmt::format("10.9.{}.0/24", number), "--subnet", fmt::format("fd09:0:0:{}::/64", number), "--nat"});
  };
  auto drop = [&](int number) { ctl({"network", "delete", fmt::format("n{}", number)}); };
  auto flush = [&] {
    const auto last = Json::parse_lines(ctl({"-o", "json", "events", "--since", "0"}).out)->back().number("/seq");
    ASSERT_TRUE(NetworkScene::host({"nft", "flush", "ruleset"}));
    EXPECT_TRUE(eventually([&] { return ctl({"-o", "json", "events", "--since", std::to_string(last)}).out.find("network.repaired") != std::string::npos; }));
  };
  for (int number : {1, 0, 3, 2}) make(number);  // 2 closes a gap
  drop(1);
  make(1);
  flush();
  drop(2);
  ASSERT_TRUE(vpsd_->kill());
  restart_vpsd();
  make(4);
  make(2);
  drop(3);
  flush();
  make_on("101", "n2");
  ctl({"start", "--wait", "101"});
  ping("101", "203.0.113.1");
  for (int number : {5, 6, 7}) make(number);
  ASSERT_TRUE(vpsd_->kill());
  ASSERT_TRUE(NetworkScene::host({"nft", "flush", "ruleset"}));
  restart_vpsd();
  for (int number : {6, 0, 4}) drop(number);
  ping("101", "203.0.113.1");
  EXPECT_EQ(ctl({"events"}).out.find("network.failed"), std::string::npos) << ctl({"events"}).out;
}

TEST_F(NetworkTest, InheritedNameServersFollowTheHost) {
  TempDir host;
  const std::string file = host / "resolv.conf";
  auto host_has = [](const std::string& path, const std::string& server) {
    ASSERT_TRUE(write_file_atomic(path, "# the host's\nnameserver 127.0.0.53\nnameserver " + server + "\n"));
  };
  host_has(file, "192.0.2.53");
  auto config = read_file(vpsd_->root() + "/etc/vpsd.yaml");
  ASSERT_TRUE(config);
  ASSERT_TRUE(vpsd_->stop());
  ASSERT_TRUE(write_file_atomic(vpsd_->root() + "/etc/vpsd.yaml", *config + "network: {resolvConf: " + file + "}\n"));
  restart_vpsd();
  make_connected("101");
  make_connected("102", {"--set", "network.nameservers=[9.9.9.9]"});
  make_connected("103");
  auto server_of = [&](const std::string& id) {
    auto text = ctl({"exec", id, "--", "cat", "/etc/resolv.conf"}).out;
    auto at = text.rfind("nameserver ");
    return at == std::string::npos ? text : text.substr(at + 11, text.find('\n', at) - at - 11);
  };
  EXPECT_EQ(server_of("101"), "192.0.2.53");
  ctl({"exec", "103", "--", "sh", "-c", "echo nameserver 192.0.2.99 > /etc/resolv.conf"});
  host_has(file, "192.0.2.54");
  EXPECT_TRUE(eventually([&] { return server_of("101") == "192.0.2.54"; })) << server_of("101");
  EXPECT_EQ(server_of("102"), "9.9.9.9");
  EXPECT_EQ(server_of("103"), "192.0.2.99") << "its tenant has written it";
  EXPECT_NE(wait_event("network.resolvers", "").string("/message").find("vps 101 has"), std::string::npos);
  EXPECT_EQ(ctl({"exec", "101", "--", "stat", "-c", "%u %a", "/etc/resolv.conf"}).out, "0 644\n");
  // A link, and what it leads to.
  ASSERT_TRUE(make_dirs(host / "run"));
  host_has(host / "run/real", "192.0.2.55");
  ASSERT_EQ(::symlink("run/real", (host / "link").c_str()), 0);
  ASSERT_EQ(::rename((host / "link").c_str(), file.c_str()), 0);
  EXPECT_TRUE(eventually([&] { return server_of("101") == "192.0.2.55"; })) << server_of("101");
  host_has(host / "run/real", "192.0.2.56");
  EXPECT_TRUE(eventually([&] { return server_of("101") == "192.0.2.56"; })) << server_of("101");
  // The tenant puts a link in its place: never followed.
  ctl({"exec", "101", "--", "sh", "-c", "cp /etc/resolv.conf /tmp/mine; ln -sf /tmp/mine /etc/resolv.conf"});
  host_has(host / "run/real", "192.0.2.57");
  ctl({"exec", "103", "--", "true"});
  ASSERT_TRUE(vpsd_->kill());
  host_has(host / "run/real", "192.0.2.58");
  restart_vpsd();
  ctl({"restart", "103"});
  EXPECT_EQ(server_of("103"), "192.0.2.58") << "a start writes it anew";
  ASSERT_TRUE(vpsd_->kill());
  host_has(host / "run/real", "192.0.2.59");
  restart_vpsd();
  EXPECT_TRUE(eventually([&] { return server_of("103") == "192.0.2.59"; })) << server_of("103");
}

class DebianNetworkTest : public NetworkTest {
 protected:
  explicit DebianNetworkTest(const std::string& name = "debian-12") : NetworkTest({name}) {}
  // `before`: how ssh is started and which way it is to authenticate.
  static CommandResult ssh(Argv before, const std::string& address, const std::string& command) {
    before.insert(before.end(), {"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "root@" + address, command});
    return run(before).value_or(CommandResult{});
  }
};

// A whole Debian: its own networking service, started later, changes nothing, and ssh lets in the key that was given at create.
TEST_F(DebianNetworkTest, SshWithTheKeyOfCreate) {
  TempDir keys;
  ASSERT_EQ(run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / "key"})->code, 0);
  ctl({"create", "101", "--template", "debian-12", "--ip", "auto", "--hostname", "web", "--ssh-key", keys / "key.pub"});
  ctl({"start", "--wait", "--timeout", "120", "101"}, 0, {.timeout = std::chrono::seconds(150)});
  const auto mine = addresses("101");
  ASSERT_EQ(mine.size(), 2u);
  auto by_key = [&](const std::string& address, const std::string& command) {
    return ssh({"ssh", "-i", keys / "key", "-o", "BatchMode=yes"}, address, command);
  };
  EXPECT_TRUE(eventually([&] { return by_key(mine[0], "true").code == 0; }, std::chrono::seconds(30))) << by_key(mine[0], "true").describe();
  EXPECT_EQ(by_key(mine[0], "hostname").out, "web\n");
  EXPECT_EQ(by_key(mine[1], "cat /etc/hostname").out, "web\n");
  ctl({"exec", "101", "--", "systemctl", "start", "systemd-networkd"});
  ctl({"exec", "101", "--", "systemctl", "restart", "systemd-networkd"});
  ctl({"exec", "101", "--", "ping", "-c", "3", "-W", "5", "203.0.113.1"});
  ctl({"exec", "101", "--", "ping", "-c", "3", "-W", "5", "2001:db8:2::1"});
  EXPECT_EQ(by_key(mine[0], "hostname").out, "web\n");
}

class DebianWebTest : public DebianNetworkTest {
 protected:
  DebianWebTest() : DebianNetworkTest("debian-web") {}
};

// What a customer does with it: a web server from Debian's own package, read over the bridge and through a forward from outside;
// root comes in with the password of `passwd`.
TEST_F(DebianWebTest, NginxIsFetchedAndThePasswordLetsIn) {
  TempDir files;
  ctl({"create", "101", "--template", "debian-web", "--ip", "auto", "--hostname", "shop"});
  ctl({"passwd", "101"}, 0, {.input = "correct horse\n"});
  ctl({"start", "--wait", "--timeout", "120", "101"}, 0, {.timeout = std::chrono::seconds(150)});
  const auto mine = addresses("101");
  ASSERT_EQ(mine.size(), 2u);
  EXPECT_EQ(ctl({"exec", "101", "--", "systemctl", "is-active", "nginx", "ssh"}).out, "active\nactive\n");
  ctl({"exec", "101", "--", "sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x > /var/www/html/big; echo shop > /var/www/html/index.html"});
  auto get = [](const std::string& url) -> Argv {
    return {"python3", "-c", "import sys, urllib.request as r; sys.stdout.buffer.write(r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=5).read())", url};
  };
  auto fetch = [&](const std::string& url) { return run(get(url)).value_or(CommandResult{}); };
  EXPECT_EQ(fetch("http://" + mine[0] + "/").out, "shop\n") << fetch("http://" + mine[0] + "/").describe();
  EXPECT_EQ(fetch("http://[" + mine[1] + "]/").out, "shop\n");
  EXPECT_EQ(fetch("http://" + mine[0] + "/big").out.size(), 300000u);
  ctl({"firewall", "101", "forward", "tcp", "8080", "80"});
  EXPECT_EQ(scene_->internet(get("http://198.51.100.2:8080/")).out, "shop\n");

  ctl({"exec", "101", "--", "sh", "-c", "echo PermitRootLogin yes > /etc/ssh/sshd_config.d/root.conf && systemctl reload ssh"});
  ASSERT_TRUE(write_file_atomic(files / "right", "#!/bin/sh\necho correct horse\n", 0700));
  ASSERT_TRUE(write_file_atomic(files / "wrong", "#!/bin/sh\necho battery staple\n", 0700));
  auto by_password = [&](const std::string& program, const std::string& command) {
    return ssh({"env", "SSH_ASKPASS_REQUIRE=force", "SSH_ASKPASS=" + (files / program), "ssh", "-o", "PreferredAuthentications=password", "-o",
                "NumberOfPasswordPrompts=1"}, mine[0], command);
  };
  EXPECT_TRUE(eventually([&] { return by_password("right", "hostname").out == "shop\n"; })) << by_password("right", "hostname").describe();
  EXPECT_NE(by_password("wrong", "hostname").code, 0);
}

TEST_F(NetworkTest, AnInterruptedStartLeavesNoLinkAndNoLease) {
  for (const char* point : {"daemon.create.addresses", "daemon.start.network", "launch.network"}) {
    SCOPED_TRACE(point);
    for (const char* how : {"error:EIO", "kill"}) {
      SCOPED_TRACE(how);
      const bool daemon = std::string_view(point).starts_with("daemon");
      ASSERT_TRUE(vpsd_->stop());
      restart_vpsd({{"VPS_FAILPOINTS", fmt::format("{}={}", point, how)}});
      (void)vpsd_->ctl({"create", "101", "--template", "busybox", "--ip", "auto", "--start"});
      if (daemon && std::string_view(how) == "kill") ASSERT_TRUE(vpsd_->wait_exit());
      else ASSERT_TRUE(vpsd_->stop());
      restart_vpsd();
      (void)vpsd_->ctl({"destroy", "--force", "101"});
      EXPECT_EQ(json({"network", "show", "default"}).items("/addresses").size(), 0u);
      const std::vector<std::string> wanted = {"up0", "vbr-default"};
      EXPECT_TRUE(eventually([&] { return link_names().value_or(std::vector<std::string>{}) == wanted; }))
          << ::testing::PrintToString(link_names().value_or(std::vector<std::string>{}));
    }
  }
  make_connected("101");
  ping("101", "203.0.113.1");
}

}  // namespace
}  // namespace vps::test
