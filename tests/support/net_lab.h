// Network namespaces that play the host, its uplink, the internet and the VPSes, all in the test's one thread: nothing of the
// machine's own network is touched, and everything goes when the last descriptor is closed.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ip.h"
#include "netns/socket.h"

namespace vps::test {

class Namespace {
 public:
  static Namespace make();  // aborts the program where it cannot (no root)
  [[nodiscard]] int fd() const { return fd_.get(); }
  void close() { fd_.reset(); }
  // Runs `work` in it and comes back.
  void within(const std::function<void()>& work) const;
  template <class F>
  auto in(F&& work) const {
    std::optional<decltype(work())> value;
    within([&] { value.emplace(work()); });
    return std::move(*value);
  }
  // Settings below /proc/sys/net: "ipv4/ip_forward".
  [[nodiscard]] std::string sysctl(const std::string& key) const;
  void set_sysctl(const std::string& key, const std::string& value) const;

 private:
  explicit Namespace(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

bool may_make_namespaces();  // root with CAP_SYS_ADMIN and CAP_NET_ADMIN

// A veth pair from `a` to `b`, both ends up and with these addresses (text with a length; IPv6 without duplicate detection).
void wire(const Namespace& a, const std::string& name_a, const std::vector<std::string>& addresses_a, const Namespace& b,
          const std::string& name_b, const std::vector<std::string>& addresses_b);
void add_route(const Namespace& ns, const std::string& destination, const std::string& via, const std::string& link);

// Sends a datagram from `from` to `address`, which `to` has, and one back. The address that the first came from, as `to` sees it;
// nullopt when either is lost within the time. `source`: to send from.
std::optional<IpAddress> exchange(const Namespace& from, const Namespace& to, const std::string& address,
                                  std::chrono::milliseconds patience = std::chrono::seconds(10), const std::string& source = {});

// A connection from `from` to `address`, which `to` has: the client's end, the server's end; both non-blocking.
std::optional<std::pair<UniqueFd, UniqueFd>> tcp_pair(const Namespace& from, const Namespace& to, const std::string& address);
// Sends `count` small datagrams as fast as it goes; how many have arrived.
std::size_t flood(const Namespace& from, const Namespace& to, const std::string& address, std::size_t count);
// What arrives a second while `senders` threads send without pause, each datagram one of `segments` that are given to the kernel at
// once (UDP_SEGMENT). The time before the first `measured` begins is not counted.
double packets_per_second(const Namespace& from, const Namespace& to, const std::string& address, int segments, int senders,
                          std::chrono::milliseconds measured);

}  // namespace vps::test
