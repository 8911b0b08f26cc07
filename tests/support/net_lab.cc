#include "tests/support/net_lab.h"

#include <arpa/inet.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "base/files.h"
#include "netns/dump.h"
#include "netns/link_messages.h"

namespace vps::test {
namespace {

template <class T>
T need(Result<T> result, const char* what) {
  if (!result) {
    std::fprintf(stderr, "net lab: %s: %s\n", what, result.error().to_string().c_str());
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

UniqueFd current() { return need(open_path("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), "open the own namespace"); }

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

SocketAddress socket_address(const IpAddress& address, std::uint16_t port) {
  SocketAddress result;
  if (address.family == Family::kV4) {
    auto* in = reinterpret_cast<sockaddr_in*>(&result.storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    std::memcpy(&in->sin_addr, address.bytes.data(), 4);
    result.size = sizeof *in;
  } else {
    auto* in = reinterpret_cast<sockaddr_in6*>(&result.storage);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port);
    std::memcpy(&in->sin6_addr, address.bytes.data(), 16);
    result.size = sizeof *in;
  }
  return result;
}

IpAddress ip_of(const SocketAddress& address) {
  IpAddress ip;
  if (address.storage.ss_family == AF_INET) {
    std::memcpy(ip.bytes.data(), &reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_addr, 4);
  } else {
    ip.family = Family::kV6;
    std::memcpy(ip.bytes.data(), &reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_addr, 16);
  }
  return ip;
}

UniqueFd bound_socket(const Namespace& ns, const SocketAddress& local, int type = SOCK_DGRAM) {
  UniqueFd fd;
  ns.within([&] { fd.reset(::socket(local.storage.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); });
  int size = 4 << 20;
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&local.storage), local.size) != 0) return UniqueFd();
  return fd;
}

bool readable(int fd, std::chrono::milliseconds patience) {
  pollfd ready{fd, POLLIN, 0};
  return ::poll(&ready, 1, static_cast<int>(patience.count())) == 1 && (ready.revents & POLLIN) != 0;
}

}  // namespace

bool may_make_namespaces() {
  UniqueFd home = current();
  if (::unshare(CLONE_NEWNET) != 0) return false;
  return ::setns(home.get(), CLONE_NEWNET) == 0;
}

Namespace Namespace::make() {
  UniqueFd home = current();
  if (::unshare(CLONE_NEWNET) != 0) std::abort();
  Namespace made(current());
  if (::setns(home.get(), CLONE_NEWNET) != 0) std::abort();
  return made;
}

void Namespace::within(const std::function<void()>& work) const {
  UniqueFd home = current();
  if (::setns(fd_.get(), CLONE_NEWNET) != 0) std::abort();
  work();
  if (::setns(home.get(), CLONE_NEWNET) != 0) std::abort();
}

std::string Namespace::sysctl(const std::string& key) const {
  std::string value = in([&] { return read_file("/proc/sys/net/" + key).value_or("missing"); });
  while (value.ends_with('\n')) value.pop_back();
  return value;
}

void Namespace::set_sysctl(const std::string& key, const std::string& value) const {
  within([&] { need(write_kernel_file_at(AT_FDCWD, "/proc/sys/net/" + key, value), key.c_str()); });
}

void wire(const Namespace& a, const std::string& name_a, const std::vector<std::string>& addresses_a, const Namespace& b,
          const std::string& name_b, const std::vector<std::string>& addresses_b) {
  net::PortPlan plan;
  plan.mode = net::Mode::kRouted;
  plan.host_link = name_a;
  plan.guest_link = name_b;
  auto random = random_hex(5);
  plan.mac = need(parse_mac(std::string("02:") + random.substr(0, 2) + ":" + random.substr(2, 2) + ":" + random.substr(4, 2) + ":" +
                            random.substr(6, 2) + ":" + random.substr(8, 2)),
                  "make a MAC");
  auto set_up = [](const Namespace& ns, const std::string& name, const std::vector<std::string>& addresses) {
    ns.within([&] {
      auto socket = need(netns::Socket::open(), "socket");
      auto link = need(netns::need_link(socket, name), "link");
      need(socket.run(netns::set_up(1, "lo", true)), "lo");
      need(socket.run(netns::set_up(link.index, name, true)), "up");
      for (const auto& text : addresses)
        need(socket.run(netns::add_address(link.index, name, need(parse_prefix(text), "prefix"))), text.c_str());
    });
  };
  // Without duplicate detection: an end that has no link-local address yet does not answer.
  for (const auto* ns : {&a, &b}) ns->set_sysctl("ipv6/conf/default/dad_transmits", "0");
  a.within([&] { need(need(netns::Socket::open(), "socket").run(netns::create_veth(plan, netns::host_mac_of(plan), 0, b.fd())), "veth"); });
  set_up(a, name_a, addresses_a);
  set_up(b, name_b, addresses_b);
}

void add_route(const Namespace& ns, const std::string& destination, const std::string& via, const std::string& link) {
  ns.within([&] {
    auto socket = need(netns::Socket::open(), "socket");
    net::Route route{need(parse_prefix(destination), "prefix"), std::nullopt, false};
    if (!via.empty()) route.via = need(parse_ip(via), "gateway");
    need(socket.run(netns::add_route(need(netns::need_link(socket, link), "link").index, link, route)), destination.c_str());
  });
}

std::optional<IpAddress> exchange(const Namespace& from, const Namespace& to, const std::string& address, std::chrono::milliseconds patience,
                                  const std::string& source) {
  constexpr std::uint16_t kPort = 7777;
  auto target = need(parse_ip(address), "address");
  auto server = bound_socket(to, socket_address(target, kPort));
  auto own = source.empty() ? IpAddress{target.family, {}} : need(parse_ip(source), "source");
  auto client = bound_socket(from, socket_address(own, 0));
  if (!server || !client) return std::nullopt;
  auto where = socket_address(target, kPort);
  auto end = std::chrono::steady_clock::now() + patience;
  char byte = 'x';
  // The first may be lost while a link comes up, or while nobody answers for the address yet.
  for (bool arrived = false; !arrived;) {
    if (std::chrono::steady_clock::now() >= end) return std::nullopt;
    auto slice = std::min(patience, std::chrono::milliseconds(200));
    if (::sendto(client.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&where.storage), where.size) != 1) {
      pollfd nothing{-1, 0, 0};
      (void)::poll(&nothing, 1, 20);  // no route yet
      continue;
    }
    arrived = readable(server.get(), slice);
  }
  SocketAddress seen;
  seen.size = sizeof seen.storage;
  if (::recvfrom(server.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&seen.storage), &seen.size) != 1) return std::nullopt;
  while (std::chrono::steady_clock::now() < end) {
    (void)::sendto(server.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&seen.storage), seen.size);
    if (readable(client.get(), std::min(patience, std::chrono::milliseconds(200)))) return ip_of(seen);
  }
  return std::nullopt;
}

std::optional<std::pair<UniqueFd, UniqueFd>> tcp_pair(const Namespace& from, const Namespace& to, const std::string& address) {
  auto target = need(parse_ip(address), "address");
  auto listener = bound_socket(to, socket_address(target, 0), SOCK_STREAM);
  auto client = bound_socket(from, socket_address({target.family, {}}, 0), SOCK_STREAM);
  if (!listener || !client || ::listen(listener.get(), 1) != 0) return std::nullopt;
  SocketAddress where;
  where.size = sizeof where.storage;
  (void)::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&where.storage), &where.size);
  (void)::connect(client.get(), reinterpret_cast<sockaddr*>(&where.storage), where.size);
  if (!readable(listener.get(), std::chrono::seconds(20))) return std::nullopt;
  UniqueFd server(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!server) return std::nullopt;
  return std::pair(std::move(client), std::move(server));
}

std::size_t flood(const Namespace& from, const Namespace& to, const std::string& address, std::size_t count) {
  auto where = socket_address(need(parse_ip(address), "address"), 7778);
  auto server = bound_socket(to, where);
  auto client = bound_socket(from, socket_address({need(parse_ip(address), "address").family, {}}, 0));
  if (!server || !client) return 0;
  char byte = 'x';
  for (std::size_t sent = 0; sent < count; ++sent)
    (void)::sendto(client.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&where.storage), where.size);
  std::size_t arrived = 0;
  while (readable(server.get(), std::chrono::milliseconds(300)))
    while (::recv(server.get(), &byte, 1, 0) == 1) ++arrived;
  return arrived;
}

double packets_per_second(const Namespace& from, const Namespace& to, const std::string& address, int segments, int senders,
                          std::chrono::milliseconds measured) {
  using Clock = std::chrono::steady_clock;
  constexpr int kPayload = 100;
  auto where = socket_address(need(parse_ip(address), "address"), 7779);
  auto server = bound_socket(to, where);
  if (!server) return 0;
  const int room = 8 << 20;
  (void)::setsockopt(server.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  std::vector<std::jthread> threads;
  for (int i = 0; i < senders; ++i) {
    auto client = bound_socket(from, socket_address({need(parse_ip(address), "address").family, {}}, 0));
    if (!client) return 0;
    if (segments > 1) {
      const int size = kPayload;
      if (::setsockopt(client.get(), SOL_UDP, UDP_SEGMENT, &size, sizeof size) != 0) return 0;
    }
    threads.emplace_back([&where, client = std::move(client), block = std::string(static_cast<std::size_t>(kPayload * segments), 'x')](std::stop_token stop) {
      while (!stop.stop_requested())
        (void)::sendto(client.get(), block.data(), block.size(), 0, reinterpret_cast<const sockaddr*>(&where.storage), where.size);
    });
  }
  const auto begin = Clock::now() + std::chrono::milliseconds(500), end = begin + measured;
  std::size_t arrived = 0;
  char byte = 0;
  for (auto now = Clock::now(); now < end; now = Clock::now()) {
    if (!readable(server.get(), std::chrono::milliseconds(10))) continue;
    const bool counts = Clock::now() >= begin;
    for (int i = 0; i < 64 && ::recv(server.get(), &byte, 1, MSG_DONTWAIT) == 1; ++i) arrived += counts ? 1 : 0;
  }
  return static_cast<double>(arrived) / std::chrono::duration<double>(measured).count();
}

}  // namespace vps::test
