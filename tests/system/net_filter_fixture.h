// A host with networks, VPSes and their filter, for system tests.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "netns/filter.h"
#include "tests/support/command.h"
#include "tests/support/frames.h"
#include "tests/support/net_fixture.h"

namespace vps::test {

class FilterTest : public NetTest {
 protected:
  void SetUp() override {
    NetTest::SetUp();
    if (IsSkipped()) return;
    add_route(internet_, "10.77.0.0/24", "198.51.100.2", "eth0");
    add_route(internet_, "fd77::/64", "2001:db8:1::2", "eth0");
    for (auto plan : {bridge_network(), routed_network()}) {
      network(plan);
      state_.networks.push_back(plan);
    }
    state_.classes = {{prefix("198.51.100.1/32"), 3}, {prefix("2001:db8:1::1/128"), 4}};
    ensure();
  }

  template <class F>
  auto on_host(F&& call) {
    return host_.in([&] { return call(); });
  }
  std::vector<std::string> ensure() {
    auto done = host_.in([&] { return filter_.ensure(state_); });
    EXPECT_TRUE(done) << done.error().to_string();
    return done.value_or(std::vector<std::string>{});
  }
  std::vector<std::string> check() {
    auto done = host_.in([&] { return filter_.check(state_); });
    EXPECT_TRUE(done) << done.error().to_string();
    return done.value_or(std::vector<std::string>{"failed"});
  }
  static net::VpsPlan plan_of(bool routed, unsigned number) {
    net::PortPlan port = routed ? routed_port(number) : bridge_port(number);
    for (const auto& address : port.addresses) port.allowed.push_back(host_prefix(address.address));
    port.allowed.push_back(host_prefix(link_local(port.mac)));
    return vps(std::to_string(number), port);
  }
  // Filter first, then the port: as a start does it.
  Namespace start(const net::VpsPlan& plan) {
    auto guest = Namespace::make();
    add(plan);
    attach(plan, guest);
    return guest;
  }
  void add(const net::VpsPlan& plan) {
    auto added = host_.in([&] { return filter_.add(plan); });
    EXPECT_TRUE(added) << added.error().to_string();
    state_.vpses.push_back(plan);
  }
  void change(const net::VpsPlan& after) {
    auto at = std::ranges::find(state_.vpses, after.id, &net::VpsPlan::id);
    auto changed = host_.in([&] { return filter_.change(*at, after); });
    EXPECT_TRUE(changed) << changed.error().to_string();
    *at = after;
  }
  std::map<netns::DropKind, std::uint64_t> drops(const std::string& id) {
    std::map<netns::DropKind, std::uint64_t> found;
    auto all = host_.in([&] { return filter_.drops(); });
    EXPECT_TRUE(all) << all.error().to_string();
    for (const auto& each : all.value_or(std::vector<netns::DropCounter>{}))
      if (each.id == id) found[each.kind] += each.packets;
    return found;
  }
  std::uint64_t drops(const std::string& id, netns::DropKind kind) { return drops(id)[kind]; }
  std::string nft(const std::string& command) {
    auto result = host_.in([&] { return run({"nft", command}); });
    EXPECT_TRUE(result && result->code == 0) << (result ? result->describe() : result.error().to_string());
    return result ? result->out : std::string();
  }

  // A UDP or TCP socket of a namespace, bound; port 0: any.
  static UniqueFd bound(const Namespace& ns, const std::string& address, std::uint16_t port, int type = SOCK_DGRAM) {
    UniqueFd fd = ns.in([&] { return UniqueFd(::socket(address.find(':') == address.npos ? AF_INET : AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); });
    int on = 1;
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    auto where = socket_address(address, port);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&where.first), where.second), 0) << address << " " << port;
    return fd;
  }
  static std::pair<sockaddr_storage, socklen_t> socket_address(const std::string& address, std::uint16_t port) {
    std::pair<sockaddr_storage, socklen_t> result{};
    IpAddress parsed = ip(address);
    if (parsed.family == Family::kV4) {
      auto* v4 = reinterpret_cast<sockaddr_in*>(&result.first);
      v4->sin_family = AF_INET;
      v4->sin_port = htons(port);
      std::memcpy(&v4->sin_addr, parsed.bytes.data(), 4);
      result.second = sizeof *v4;
    } else {
      auto* v6 = reinterpret_cast<sockaddr_in6*>(&result.first);
      v6->sin6_family = AF_INET6;
      v6->sin6_port = htons(port);
      std::memcpy(&v6->sin6_addr, parsed.bytes.data(), 16);
      result.second = sizeof *v6;
    }
    return result;
  }
  static bool send(const UniqueFd& fd, const std::string& address, std::uint16_t port, const std::string& data = "x") {
    auto to = socket_address(address, port);
    return ::sendto(fd.get(), data.data(), data.size(), 0, reinterpret_cast<sockaddr*>(&to.first), to.second) == static_cast<ssize_t>(data.size());
  }
  static bool readable(const UniqueFd& fd, int milliseconds = 300) {
    pollfd poll{fd.get(), POLLIN, 0};
    return ::poll(&poll, 1, milliseconds) == 1;
  }
  static std::size_t drain(const UniqueFd& fd) {
    std::size_t count = 0;
    char byte[64];
    while (readable(fd))
      while (::recv(fd.get(), byte, sizeof byte, 0) >= 0) ++count;
    return count;
  }
  // From `from` to address:port, to what listens at `listen` in `to`, and back. Who `to` sees.
  static std::string round_trip(const Namespace& from, const std::string& address, std::uint16_t port, const Namespace& to,
                                const std::string& listen, std::uint16_t listen_port) {
    auto server = bound(to, listen, listen_port);
    auto client = bound(from, address.find(':') == address.npos ? "0.0.0.0" : "::", 0);
    char byte[8];
    for (int attempt = 0; attempt < 30; ++attempt) {  // the first may meet a neighbour that is still being looked for
      if (!send(client, address, port) || !readable(server, 200)) continue;
      sockaddr_storage seen{};
      socklen_t size = sizeof seen;
      (void)::recvfrom(server.get(), byte, sizeof byte, 0, reinterpret_cast<sockaddr*>(&seen), &size);
      (void)::sendto(server.get(), "y", 1, 0, reinterpret_cast<sockaddr*>(&seen), size);
      if (!readable(client, 200)) continue;
      IpAddress who;
      if (seen.ss_family == AF_INET) std::memcpy(who.bytes.data(), &reinterpret_cast<sockaddr_in&>(seen).sin_addr, 4);
      else {
        who.family = Family::kV6;
        std::memcpy(who.bytes.data(), &reinterpret_cast<sockaddr_in6&>(seen).sin6_addr, 16);
      }
      return format_ip(who);
    }
    return "lost";
  }
  // Bytes and packets of a class; out of one reading.
  std::pair<std::uint64_t, std::uint64_t> counted(const std::string& id, net::Direction direction, Family family, std::uint8_t number) {
    auto samples = host_.in([&] { return filter_.traffic(); });
    EXPECT_TRUE(samples) << samples.error().to_string();
    std::pair<std::uint64_t, std::uint64_t> sum{};
    for (const auto& each : samples.value_or(std::vector<netns::TrafficSample>{}))
      if (each.id == id && each.direction == direction && each.family == family && each.traffic_class == number) {
        sum.first += each.bytes;
        sum.second += each.packets;
      }
    return sum;
  }

  netns::FilterState state_;
  netns::Filter filter_ = *netns::Filter::create("vpsdtest");
};

}  // namespace vps::test
