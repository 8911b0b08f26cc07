// What ports cost and what packets lose on their way, in namespaces of its own: one JSON object of figures on stdout.
//   netbench start COUNT   COUNT ports one after another: per kind, and of a bridge's floor in turn with it, with the CPU time of the first and the last twentieth
//   netbench connections OPEN   what a new connection costs a VPS that has 0, 1000, 10000 ... OPEN, with and without a cap on them
//   netbench path ROUNDS   round trip and throughput by a bare veth, over the bridge, over a routed port, in turn
#include <fmt/ranges.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "netns/attach.h"
#include "netns/dump.h"
#include "netns/filter.h"
#include "netns/inside.h"
#include "netns/link_messages.h"
#include "netns/network.h"
#include "tests/support/frames.h"
#include "tests/support/net_lab.h"
#include "tests/support/temp_dir.h"

namespace vps {
namespace {

using Clock = std::chrono::steady_clock;
using test::Namespace;

double micros(Clock::duration duration) { return std::chrono::duration<double, std::micro>(duration).count(); }

// On a loaded machine it says more than the time that went by.
double cpu_micros() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

double quantile(std::vector<double> values, double q) {
  std::ranges::sort(values);
  return values.empty() ? 0 : values[std::min(values.size() - 1, static_cast<std::size_t>(q * static_cast<double>(values.size())))];
}

template <class T>
T need(Result<T> result) {
  if (!result) {
    fmt::print(stderr, "netbench: {}\n", result.error().to_string());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

Prefix prefix(const std::string& text) { return need(parse_prefix(text)); }
IpAddress ip(const std::string& text) { return need(parse_ip(text)); }

struct Lab {
  test::TempDir dir;
  netns::Host where{.installation = "bench", .run_dir = dir / "net"};
  Namespace host = Namespace::make(), outside = Namespace::make();

  Lab() {
    test::wire(host, "eth0", {"198.18.0.1/16"}, outside, "eth0", {"198.18.0.2/16"});
    net::NetworkPlan bridge;
    bridge.name = "default";
    bridge.bridge = "vbr-default";
    bridge.gateways = {prefix("10.0.0.1/16"), prefix("fd00::1/64")};
    net::NetworkPlan routed;
    routed.name = "public";
    routed.mode = net::Mode::kRouted;
    routed.subnets = {prefix("198.18.0.0/16")};
    routed.uplinks = {"eth0"};
    host.within([&] {
      need(netns::ensure_network(where, bridge));
      need(netns::ensure_network(where, routed));
    });
    test::add_route(outside, "10.0.0.0/16", "198.18.0.1", "eth0");
  }

  net::VpsPlan plan(net::Mode mode, unsigned number) const {
    net::PortPlan port;
    port.mode = mode;
    port.host_link = fmt::format("v{}.0", number);
    port.guest_link = "eth0";
    port.mac = {{2, 0, 0, 0, static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)}};
    if (mode == net::Mode::kBridge) {
      port.bridge = "vbr-default";
      port.addresses = {prefix(fmt::format("10.0.{}.{}/16", 1 + number / 250, 1 + number % 250)), prefix(fmt::format("fd00::{:x}/64", 0x100 + number))};
      port.routes = {{prefix("0.0.0.0/0"), ip("10.0.0.1"), false}, {prefix("::/0"), ip("fd00::1"), false}};
    } else {
      port.uplinks = {"eth0"};
      port.addresses = {prefix(fmt::format("198.18.{}.{}/32", 1 + number / 250, 1 + number % 250))};
      port.routed = port.addresses;
      port.routes = {{prefix("0.0.0.0/0"), ip("169.254.1.1"), true}};
    }
    net::VpsPlan vps;
    vps.id = std::to_string(number);
    vps.ports = {port};
    return vps;
  }
};

struct Cost {
  double us = 0, cpu = 0;
};

// In a process of its own, as a start does it: what it leaves open is gone with it.
template <class F>
Cost alone(F&& work) {
  int ends[2];
  if (::pipe(ends) != 0) need<void>(fail_errno(errno, "pipe"));
  pid_t child = ::fork();
  if (child == 0) {
    double used = cpu_micros();
    auto begin = Clock::now();
    work();
    Cost cost{micros(Clock::now() - begin), cpu_micros() - used};
    ::_exit(::write(ends[1], &cost, sizeof cost) == static_cast<ssize_t>(sizeof cost) ? 0 : 1);
  }
  ::close(ends[1]);
  Cost cost;
  bool measured = ::read(ends[0], &cost, sizeof cost) == static_cast<ssize_t>(sizeof cost);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  if (!measured) need<void>(fail(Code::kFailed, "a port could not be made"));
  return cost;
}

// The least that a bridged port takes: the pair, what is set inside, and nothing that makes it ours.
void bare_port(const net::PortPlan& port, const Namespace& guest) {
  auto outside = need(netns::Socket::open());
  auto inside = need(netns::open_socket_inside(guest.fd()));
  int bridge = static_cast<int>(::if_nametoindex(port.bridge.c_str()));
  need(outside.run(netns::create_veth(port, netns::host_mac_of(port), bridge, guest.fd())));
  int link = need(netns::need_link(inside, port.guest_link)).index;
  std::vector<netns::Message> messages;
  messages.push_back(netns::set_up(1, "lo", true));
  messages.push_back(netns::set_up(link, port.guest_link, true));
  for (const auto& address : port.addresses) messages.push_back(netns::add_address(link, port.guest_link, address));
  for (const auto& route : port.routes) messages.push_back(netns::add_route(link, port.guest_link, route));
  need(inside.run(messages));
}

std::string summary(std::string_view name, const std::vector<Cost>& costs, double release) {
  std::size_t part = std::max<std::size_t>(costs.size() / 20, 1);
  std::vector<double> times, cpu;
  for (const auto& each : costs) {
    times.push_back(each.us);
    cpu.push_back(each.cpu);
  }
  std::vector<double> first(cpu.begin(), cpu.begin() + static_cast<std::ptrdiff_t>(part)), last(cpu.end() - static_cast<std::ptrdiff_t>(part), cpu.end());
  return fmt::format("\"{}\": {{\"us\": {:.0f}, \"p10\": {:.0f}, \"cpu\": {:.0f}, \"first\": {:.0f}, \"last\": {:.0f}, \"release\": {:.0f}}}", name,
                     quantile(times, 0.5), quantile(times, 0.1), quantile(cpu, 0.5), quantile(first, 0.5), quantile(last, 0.5), release);
}

void start(unsigned count) {
  std::vector<std::string> out;
  struct Kind {
    const char* name;
    net::Mode mode;
    bool rates, floor;
  };
  for (auto [name, mode, rates, floor] : {Kind{"bridge", net::Mode::kBridge, false, true}, {"bridge with rates", net::Mode::kBridge, true, false},
                                          {"routed", net::Mode::kRouted, false, false}}) {
    Lab lab;
    std::vector<Namespace> guests;
    std::vector<Cost> ours, bare, guarded;
    auto filter = need(netns::Filter::create("bench"));
    lab.host.within([&] { need(filter.ensure({})); });
    for (unsigned number = 0; number < count; ++number) {
      auto plan = lab.plan(mode, number);
      if (rates) plan.ports[0].rate_in = plan.ports[0].rate_out = BitRate{100'000'000};
      guests.push_back(Namespace::make());
      for (const auto& address : plan.ports[0].addresses) plan.ports[0].allowed.push_back(host_prefix(address.address));
      if (floor)
        lab.host.within([&] {
          double used = cpu_micros();
          auto begin = Clock::now();
          need(filter.add(plan));
          guarded.push_back({micros(Clock::now() - begin), cpu_micros() - used});
        });
      // In turn on one bridge: both meet the same number of ports.
      bool least = floor && number % 2 == 1;
      (least ? bare : ours).push_back(lab.host.in([&] {
        return alone([&] {
          if (least) bare_port(plan.ports[0], guests.back());
          else need(netns::attach_ports(lab.where, plan, guests.back().fd()));
        });
      }));
    }
    // What a stop waits for: nothing of the links, which go with their namespaces.
    auto begin = Clock::now();
    lab.host.within([&] {
      for (unsigned number = 0; number < count; ++number) need(netns::release_ports(lab.where, lab.plan(mode, number)));
    });
    out.push_back(summary(name, ours, micros(Clock::now() - begin) / count));
    if (!guarded.empty()) {
      begin = Clock::now();
      lab.host.within([&] {
        for (unsigned number = 0; number < count; ++number) {
          auto plan = lab.plan(mode, number);
          for (const auto& address : plan.ports[0].addresses) plan.ports[0].allowed.push_back(host_prefix(address.address));
          need(filter.remove(plan));
        }
      });
      out.push_back(summary("filter", guarded, micros(Clock::now() - begin) / count));
    }
    if (!bare.empty()) out.push_back(summary(fmt::format("{}: floor", name), bare, 0));
  }
  fmt::print("{{{}}}\n", fmt::join(out, ", "));
}

void block(int fd) {
  int flags = ::fcntl(fd, F_GETFL);
  (void)::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

// Microseconds of one byte there and back, of `times` in a row.
std::vector<double> round_trips(const Namespace& from, const Namespace& to, const std::string& address, int times) {
  auto pair = test::tcp_pair(from, to, address);
  if (!pair) need<void>(fail(Code::kFailed, "no connection to {}", address));
  block(pair->first.get());
  block(pair->second.get());
  char byte = 'x';
  pid_t server = ::fork();
  if (server == 0) {
    pair->first.reset();
    while (::recv(pair->second.get(), &byte, 1, 0) == 1) (void)::send(pair->second.get(), &byte, 1, MSG_NOSIGNAL);
    ::_exit(0);
  }
  pair->second.reset();
  std::vector<double> samples;
  for (int i = 0; i < times; ++i) {
    auto begin = Clock::now();
    if (::send(pair->first.get(), &byte, 1, MSG_NOSIGNAL) != 1 || ::recv(pair->first.get(), &byte, 1, 0) != 1) break;
    samples.push_back(micros(Clock::now() - begin));
  }
  pair->first.reset();
  ::waitpid(server, nullptr, 0);
  return samples;
}

// Gbit/s of half a second.
double throughput(const Namespace& from, const Namespace& to, const std::string& address) {
  auto pair = test::tcp_pair(from, to, address);
  if (!pair) need<void>(fail(Code::kFailed, "no connection to {}", address));
  block(pair->first.get());
  block(pair->second.get());
  std::string data(256 << 10, 'x');
  pid_t sender = ::fork();
  if (sender == 0) {
    pair->second.reset();
    while (::send(pair->first.get(), data.data(), data.size(), MSG_NOSIGNAL) > 0) continue;
    ::_exit(0);
  }
  pair->first.reset();
  std::uint64_t bytes = 0;
  auto begin = Clock::now(), end = begin + std::chrono::milliseconds(500);
  while (Clock::now() < end) {
    ssize_t got = ::recv(pair->second.get(), data.data(), data.size(), 0);
    if (got <= 0) break;
    bytes += static_cast<std::uint64_t>(got);
  }
  double seconds = micros(Clock::now() - begin) / 1e6;
  pair->second.reset();
  ::waitpid(sender, nullptr, 0);
  return static_cast<double>(bytes) * 8 / 1e9 / seconds;
}

void path(int rounds) {
  Lab lab;
  auto bridged = Namespace::make(), routed = Namespace::make();
  lab.host.within([&] {
    need(netns::attach_ports(lab.where, lab.plan(net::Mode::kBridge, 1), bridged.fd()));
    need(netns::attach_ports(lab.where, lab.plan(net::Mode::kRouted, 2), routed.fd()));
  });
  struct Path {
    const char* name;
    const Namespace* from;
  };
  const Path paths[] = {{"bare veth", &lab.host}, {"bridge", &bridged}, {"routed", &routed}};
  std::map<std::string, std::vector<double>> trips, rates;
  for (int round = 0; round < rounds; ++round)
    for (std::size_t at = 0; at < std::size(paths); ++at) {
      const auto& each = paths[(at + static_cast<std::size_t>(round)) % std::size(paths)];
      auto samples = round_trips(*each.from, lab.outside, "198.18.0.2", 1000);
      trips[each.name].insert(trips[each.name].end(), samples.begin(), samples.end());
      rates[each.name].push_back(throughput(*each.from, lab.outside, "198.18.0.2"));
    }
  std::string out;
  for (const auto& each : paths)
    out += fmt::format("{}\"{}\": {{\"rtt_us\": {:.2f}, \"rtt_p10\": {:.2f}, \"gbit\": {:.2f}, \"gbit_best\": {:.2f}}}", out.empty() ? "" : ", ",
                       each.name, quantile(trips[each.name], 0.5), quantile(trips[each.name], 0.1), quantile(rates[each.name], 0.5),
                       quantile(rates[each.name], 1.0));
  fmt::print("{{{}}}\n", out);
}

// New connections of a VPS that has `open` of them already, with and without a cap: microseconds of each as fast as it goes, and of
// one that comes alone (later than a tick of the kernel's clock after the last).
struct ConnectionCost {
  double fast = 0, alone = 0;
};
ConnectionCost connection_cost(unsigned open, std::uint32_t cap) {
  Lab lab;
  auto guest = Namespace::make();
  auto plan = lab.plan(net::Mode::kBridge, 1);
  plan.ports[0].allowed = {host_prefix(plan.ports[0].addresses[0].address)};
  plan.ports[0].guard.connections = cap;
  auto filter = need(netns::Filter::create("bench"));
  lab.host.within([&] {
    need(filter.ensure({}));
    need(filter.add(plan));
    need(netns::attach_ports(lab.where, plan, guest.fd()));
  });
  if (!test::exchange(guest, lab.outside, "198.18.0.2")) need<void>(fail(Code::kFailed, "no way out"));
  MacAddress gateway = *lab.host.in([] {
    auto socket = need(netns::Socket::open());
    return need(netns::need_link(socket, "vbr-default"));
  }).mac;
  UniqueFd raw = guest.in([] { return UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)); });
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = guest.in([] { return static_cast<int>(::if_nametoindex("eth0")); });
  IpAddress own = plan.ports[0].addresses[0].address, peer = ip("198.18.0.2");
  unsigned number = 0;
  auto connect = [&] {
    ++number;
    auto frame = test::frame(gateway, plan.ports[0].mac, ETH_P_IP, test::ipv4(own, peer, IPPROTO_UDP, test::udp(1024 + number % 50'000, 10'000 + number / 50'000, "x")));
    auto begin = Clock::now();
    (void)::sendto(raw.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
    return micros(Clock::now() - begin);
  };
  while (number < open) (void)connect();
  constexpr int kFast = 4000, kAlone = 100;
  double fast = 0;
  for (int i = 0; i < kFast; ++i) fast += connect();
  std::vector<double> alone;
  for (int i = 0; i < kAlone; ++i) {
    ::usleep(11'000);
    alone.push_back(connect());
  }
  return {fast / kFast, quantile(alone, 0.5)};
}

void connections(unsigned most) {
  std::vector<std::string> out;
  for (unsigned open = 0; open <= most; open = open == 0 ? 1000 : open * 10)
    for (std::uint32_t cap : {0u, 65536u}) {
      auto cost = connection_cost(open, cap);
      out.push_back(fmt::format("\"{} open, {}\": {{\"each_us\": {:.1f}, \"alone_us\": {:.1f}}}", open, cap == 0 ? "no cap" : "cap", cost.fast, cost.alone));
    }
  fmt::print("{{{}}}\n", fmt::join(out, ", "));
}

}  // namespace
}  // namespace vps

int main(int argc, char** argv) {
  std::string what = argc > 1 ? argv[1] : "";
  int number = argc > 2 ? std::atoi(argv[2]) : 0;
  if (argc != 3 || number < 1 || number > (what == "connections" ? 100'000 : 1000) || (what != "start" && what != "path" && what != "connections")) {
    fmt::print(stderr, "usage: netbench start COUNT | netbench path ROUNDS (1 to 1000) | netbench connections OPEN (to 100000)\n");
    return 2;
  }
  if (!vps::test::may_make_namespaces()) {
    fmt::print(stderr, "netbench: needs the right to make network namespaces\n");
    return 6;
  }
  if (what == "connections") vps::connections(static_cast<unsigned>(number));
  else if (what == "start") vps::start(static_cast<unsigned>(number));
  else vps::path(number);
  return 0;
}
