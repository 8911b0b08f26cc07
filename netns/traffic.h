// Traffic classes and the adding up of counters: pure, no kernel.
//
// What is counted: IP packets at the host end of a port, in `bytes` with their IP header and without the Ethernet frame around it.
// kOut is what the VPS sent and the guards let pass (before NAT, caps and firewall); kIn is what was handed to the port (after
// NAT and firewall, before the rate limit of the port). Traffic between two VPSes of one host counts for both; so does traffic
// with the host itself. ARP does not count. The class is that of the other side's address: the destination of what goes out, the
// source of what comes in. Segmentation offload: packets that the stack carries as one (GSO, GRO) count as one packet with one
// header, as in the counters of the link.
//
// Thread-safety: values.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/ip.h"
#include "specs/net/plan.h"

namespace vps::netns {

struct ClassInterval {
  IpAddress first, last;
  std::uint8_t number = 0;
  bool operator==(const ClassInterval&) const = default;
};

// Disjoint intervals in order that cover the whole address space of `family`: the longest prefix wins, `own` are class 0 (and win
// over a class of the same length), as are link-local, multicast and broadcast addresses; what nothing matches is class 1.
// Neighbours of one class are one interval.
std::vector<ClassInterval> flatten_classes(std::span<const net::TrafficClass> classes, std::span<const Prefix> own, Family family);

// Disjoint intervals in order that cover exactly the prefixes of `family`; touching ones are one.
struct Interval {
  IpAddress first, last;
  bool operator==(const Interval&) const = default;
};
std::vector<Interval> merge_prefixes(std::span<const Prefix> prefixes, Family family);

// One counter as the kernel holds it. It only grows as long as `epoch` is the same; another epoch: it began at 0 again.
struct TrafficSample {
  std::string id;
  std::string link;             // host end of the port
  net::Direction direction = net::Direction::kIn;
  Family family = Family::kV4;
  std::uint8_t traffic_class = 0;
  std::uint64_t epoch = 0;
  std::uint64_t bytes = 0, packets = 0;
  bool operator==(const TrafficSample&) const = default;
};

// Adds readings up so that nothing goes backwards and nothing counts twice, over flushes, restarts of VPSes and of vpsd. The last
// readings are what has to be kept (in the ledger, in the same transaction as the totals) to go on later.
class TrafficMeter {
 public:
  TrafficMeter() = default;
  explicit TrafficMeter(std::span<const TrafficSample> last_readings);
  // What has come since the last reading, summed over the ports of each VPS, zeroes left out. Samples that are missing are no
  // information. Also fed with what Filter::remove() returns.
  std::vector<net::TrafficCounter> add(std::span<const TrafficSample> samples);
  [[nodiscard]] std::vector<TrafficSample> last_readings() const;
  void forget(std::string_view id);  // destroyed

 private:
  struct Key {
    std::string id, link;
    net::Direction direction;
    Family family;
    std::uint8_t traffic_class;
    auto operator<=>(const Key&) const = default;
  };
  struct Reading {
    std::uint64_t epoch, bytes, packets;
  };
  std::map<Key, Reading> last_;
};

}  // namespace vps::netns
