#include "netns/announce.h"

#include <fmt/core.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace vps::netns {
namespace {

using Clock = std::chrono::steady_clock;

constexpr MacAddress kEverybody{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
constexpr MacAddress kNobody{};
constexpr std::uint16_t kArpRequest = 1;
constexpr std::uint8_t kNeighbourSolicitation = 135, kNeighbourAdvertisement = 136, kIcmp6 = 58;
constexpr std::size_t kArpSize = 28, kIp6Size = 40;
constexpr std::uint8_t kAllNodes[16] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

void put(std::string& frame, const void* data, std::size_t size) { frame.append(static_cast<const char*>(data), size); }
void put16(std::string& frame, std::size_t value) {
  frame.push_back(static_cast<char>(value >> 8));
  frame.push_back(static_cast<char>(value));
}

void ethernet(std::string& frame, const MacAddress& to, const MacAddress& from, std::uint16_t type) {
  put(frame, to.bytes.data(), 6);
  put(frame, from.bytes.data(), 6);
  put16(frame, type);
}

// RFC 826. A sender address of zero makes it a probe (RFC 5227).
std::string arp(const MacAddress& mac, const std::uint8_t* sender, const IpAddress& target) {
  std::string frame;
  ethernet(frame, kEverybody, mac, ETHERTYPE_ARP);
  put16(frame, 1);  // Ethernet
  put16(frame, ETHERTYPE_IP);
  frame.push_back(6);
  frame.push_back(4);
  put16(frame, kArpRequest);
  put(frame, mac.bytes.data(), 6);
  put(frame, sender, 4);
  put(frame, kNobody.bytes.data(), 6);
  put(frame, target.bytes.data(), 4);
  return frame;
}

std::uint16_t checksum(std::string_view data) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < data.size(); ++i)
    sum += static_cast<std::uint32_t>(static_cast<std::uint8_t>(data[i])) << (i % 2 == 0 ? 8 : 0);
  while ((sum >> 16) != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

// An ICMPv6 message of neighbour discovery (RFC 4861): hop limit 255, or nobody listens.
std::string discovery(const MacAddress& to_mac, const MacAddress& from_mac, const std::uint8_t* from, const std::uint8_t* to, std::string body) {
  std::string pseudo;
  put(pseudo, from, 16);
  put(pseudo, to, 16);
  put16(pseudo, 0);
  put16(pseudo, body.size());
  pseudo.append(3, '\0');
  pseudo.push_back(static_cast<char>(kIcmp6));
  std::uint16_t sum = checksum(pseudo + body);
  body[2] = static_cast<char>(sum >> 8);
  body[3] = static_cast<char>(sum);
  std::string frame;
  ethernet(frame, to_mac, from_mac, ETHERTYPE_IPV6);
  frame.push_back(0x60);
  frame.append(3, '\0');
  put16(frame, body.size());
  frame.push_back(static_cast<char>(kIcmp6));
  frame.push_back(static_cast<char>(0xff));
  put(frame, from, 16);
  put(frame, to, 16);
  return frame + body;
}

MacAddress multicast_mac(const std::uint8_t* group) { return {{0x33, 0x33, group[12], group[13], group[14], group[15]}}; }

// Protocol 0: nothing is received until bind() asks for it.
Result<UniqueFd> packet_socket() {
  UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "open a packet socket");
  return fd;
}

sockaddr_ll address_on(const Link& link) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = link.index;
  address.sll_halen = 6;
  return address;
}

Result<UniqueFd> listen_on(const Link& link) {
  auto fd = VPS_TRY(packet_socket());
  // Only ARP and ICMPv6: an uplink may be busy. (ethertype == ARP) or (ethertype == IPv6 and next header == 58)
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_ARP, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IPV6, 0, 3), BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 20),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kIcmp6, 0, 1), BPF_STMT(BPF_RET | BPF_K, 256), BPF_STMT(BPF_RET | BPF_K, 0)};
  sock_fprog program{static_cast<unsigned short>(std::size(code)), code};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) return fail_errno(errno, "filter a packet socket");
  sockaddr_ll self = address_on(link);
  self.sll_protocol = __builtin_bswap16(ETH_P_ALL);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&self), sizeof self) != 0) return fail_errno(errno, "listen on {}", link.name);
  // Answers to a solicitation without a source go to the group of all nodes.
  packet_mreq group{};
  group.mr_ifindex = link.index;
  group.mr_type = PACKET_MR_ALLMULTI;
  (void)::setsockopt(fd.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &group, sizeof group);
  return fd;
}

Result<std::optional<IpAddress>> first_ipv4(Socket& netlink, const Link& link) {
  auto all = VPS_TRY(addresses(netlink));
  for (const auto& each : all)
    if (each.link == link.index && each.prefix.family() == Family::kV4) return std::optional(each.prefix.address);
  return std::optional<IpAddress>();
}

Result<> send_on(int fd, const Link& link, const std::string& frame) {
  sockaddr_ll to = address_on(link);
  std::memcpy(to.sll_addr, frame.data(), 6);
  if (::sendto(fd, frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to) < 0) return fail_errno(errno, "send on {}", link.name);
  return {};
}

}  // namespace

std::string gratuitous_arp(const MacAddress& mac, const IpAddress& address) { return arp(mac, address.bytes.data(), address); }

std::string arp_probe(const MacAddress& mac, const IpAddress& address) {
  constexpr std::uint8_t kNone[4] = {};
  return arp(mac, kNone, address);
}

std::string arp_request(const MacAddress& mac, const IpAddress& own, const IpAddress& address) { return arp(mac, own.bytes.data(), address); }

std::string unsolicited_advertisement(const MacAddress& mac, const IpAddress& address, bool router) {
  std::string body;
  body.push_back(static_cast<char>(kNeighbourAdvertisement));
  body.append(3, '\0');
  body.push_back(static_cast<char>(router ? 0xa0 : 0x20));  // R, O: replaces what neighbours remember
  body.append(3, '\0');
  put(body, address.bytes.data(), 16);
  body.append("\x02\x01", 2);  // target link-layer address, 8 bytes
  put(body, mac.bytes.data(), 6);
  return discovery(multicast_mac(kAllNodes), mac, address.bytes.data(), kAllNodes, std::move(body));
}

std::string duplicate_solicitation(const MacAddress& mac, const IpAddress& address) {
  constexpr std::uint8_t kUnspecified[16] = {};
  std::uint8_t group[16] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, address.bytes[13], address.bytes[14], address.bytes[15]};
  std::string body;
  body.push_back(static_cast<char>(kNeighbourSolicitation));
  body.append(7, '\0');
  put(body, address.bytes.data(), 16);
  return discovery(multicast_mac(group), mac, kUnspecified, group, std::move(body));
}

std::optional<MacAddress> claims(std::string_view frame, const IpAddress& address) {
  constexpr std::size_t kEthernet = 14;
  if (frame.size() < kEthernet) return std::nullopt;
  auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(frame[at]); };
  auto type = static_cast<std::uint16_t>(byte(12) << 8 | byte(13));
  MacAddress mac;
  if (type == ETHERTYPE_ARP && address.family == Family::kV4 && frame.size() >= kEthernet + kArpSize) {
    // Whoever names itself as sender has it, in a request as well.
    if (std::memcmp(frame.data() + kEthernet + 14, address.bytes.data(), 4) != 0) return std::nullopt;
    std::memcpy(mac.bytes.data(), frame.data() + kEthernet + 8, 6);
    return mac;
  }
  constexpr std::size_t kTarget = kEthernet + kIp6Size + 8;
  if (type == ETHERTYPE_IPV6 && address.family == Family::kV6 && frame.size() >= kTarget + 16) {
    if (byte(kEthernet + 6) != kIcmp6 || byte(kEthernet + kIp6Size) != kNeighbourAdvertisement) return std::nullopt;
    if (std::memcmp(frame.data() + kTarget, address.bytes.data(), 16) != 0) return std::nullopt;
    std::memcpy(mac.bytes.data(), frame.data() + 6, 6);
    return mac;
  }
  return std::nullopt;
}

Result<> Announcer::announce(const Link& link, std::optional<MacAddress> mac, std::span<const IpAddress> addresses) {
  bool router = !mac;
  MacAddress own = mac ? *mac : link.mac.value_or(kNobody);
  if (!fd_ && !addresses.empty()) fd_ = VPS_TRY(packet_socket());
  for (const auto& address : addresses)
    VPS_TRY(send_on(fd_.get(), link, address.family == Family::kV4 ? gratuitous_arp(own, address) : unsolicited_advertisement(own, address, router)));
  return {};
}

Result<> announce(const std::string& name, std::optional<MacAddress> mac, std::span<const IpAddress> addresses) {
  auto netlink = VPS_TRY(Socket::open());
  auto link = VPS_TRY(need_link(netlink, name));
  return Announcer().announce(link, mac, addresses);
}

Result<std::vector<Claim>> probe(const std::string& name, std::span<const IpAddress> addresses, std::chrono::milliseconds deadline,
                                 std::span<const MacAddress> ours) {
  auto end = Clock::now() + deadline;
  auto netlink = VPS_TRY(Socket::open());
  auto link = VPS_TRY(need_link(netlink, name));
  auto socket = VPS_TRY(listen_on(link));
  MacAddress own = link.mac.value_or(kNobody);
  auto own_ip = VPS_TRY(first_ipv4(netlink, link));
  std::vector<IpAddress> open(addresses.begin(), addresses.end());
  std::vector<Claim> claimed;
  // A frame may get lost: asked again, with a third of the time each.
  for (int round = 1; round <= 3 && !open.empty(); ++round) {
    for (const auto& address : open) {
      VPS_TRY(send_on(socket.get(), link, address.family == Family::kV4 ? arp_probe(own, address) : duplicate_solicitation(own, address)));
      // A Linux host that only answers for somebody (proxy ARP) takes no notice of a probe without a sender.
      if (address.family == Family::kV4 && own_ip) VPS_TRY(send_on(socket.get(), link, arp_request(own, *own_ip, address)));
    }
    auto until = end - deadline * (3 - round) / 3;
    while (!open.empty()) {
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
      pollfd ready{socket.get(), POLLIN, 0};
      if (left <= 0 || ::poll(&ready, 1, static_cast<int>(left)) == 0) break;
      std::array<char, 256> buffer;
      sockaddr_ll from{};
      socklen_t size = sizeof from;
      ssize_t got = ::recvfrom(socket.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (got < 0 && errno != EAGAIN && errno != EINTR) return fail_errno(errno, "listen on {}", name);
      if (got <= 0 || from.sll_pkttype == PACKET_OUTGOING) continue;
      std::string_view frame(buffer.data(), static_cast<std::size_t>(got));
      std::erase_if(open, [&](const IpAddress& address) {
        auto mac = claims(frame, address);
        if (!mac || *mac == own || std::ranges::find(ours, *mac) != ours.end()) return false;
        claimed.push_back({address, *mac});
        return true;
      });
    }
  }
  return claimed;
}

}  // namespace vps::netns
