// Telling neighbours who has an address, and asking them: gratuitous ARP (RFC 5227), unsolicited neighbour advertisements and
// duplicate address probes (RFC 4862), by raw packets on a link of the calling thread's namespace.
// Needs CAP_NET_RAW.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ip.h"
#include "netns/dump.h"

namespace vps::netns {

// The frames, pure: for tests, and for whoever sends them on a socket of their own.
std::string gratuitous_arp(const MacAddress& mac, const IpAddress& address);
std::string unsolicited_advertisement(const MacAddress& mac, const IpAddress& address, bool router);
std::string arp_request(const MacAddress& mac, const IpAddress& own, const IpAddress& address);
std::string arp_probe(const MacAddress& mac, const IpAddress& address);
std::string duplicate_solicitation(const MacAddress& mac, const IpAddress& address);
// The MAC of a station that claims `address` in this frame; nullopt where it does not.
std::optional<MacAddress> claims(std::string_view frame, const IpAddress& address);

// Says on a link who has addresses. Its socket is opened when there is something to say.
class Announcer {
 public:
  // `mac` nullopt: the link's own, as on an uplink that answers for a VPS.
  Result<> announce(const Link& link, std::optional<MacAddress> mac, std::span<const IpAddress> addresses);
  // Closing a packet socket waits for RCU, 15 ms. A process that ends soon leaves that to its end.
  void leave_open() { (void)fd_.release(); }

 private:
  UniqueFd fd_;
};
// The same for one link by name.
Result<> announce(const std::string& link, std::optional<MacAddress> mac, std::span<const IpAddress> addresses);

struct Claim {
  IpAddress address;
  MacAddress mac;
};
// Asks on `link` whether somebody has one of the addresses already, and waits for an answer until `deadline` has passed. Our own
// links' answers do not count: `ours` are the MACs to ignore. Returns as soon as every address is claimed; that its socket is closed costs 15 ms.
Result<std::vector<Claim>> probe(const std::string& link, std::span<const IpAddress> addresses, std::chrono::milliseconds deadline,
                                 std::span<const MacAddress> ours = {});

}  // namespace vps::netns
