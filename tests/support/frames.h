// Ethernet frames with whatever sender one likes, and the raw socket that sends them.
#pragma once

#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "base/fd.h"
#include "base/ip.h"

namespace vps::test {

inline std::string octets(std::initializer_list<int> values) {
  std::string text;
  for (int value : values) text += static_cast<char>(value);
  return text;
}
inline std::string number16(unsigned value) { return octets({static_cast<int>(value >> 8), static_cast<int>(value & 0xff)}); }
inline std::string raw(const IpAddress& address) { return {reinterpret_cast<const char*>(address.data().data()), address.data().size()}; }
inline std::string raw(const MacAddress& mac) { return {reinterpret_cast<const char*>(mac.bytes.data()), mac.bytes.size()}; }

inline std::string frame(const MacAddress& to, const MacAddress& from, unsigned type, const std::string& payload) {
  return raw(to) + raw(from) + number16(type) + payload;
}
inline std::string ip_checksum(std::string header) {
  unsigned sum = 0;
  for (std::size_t i = 0; i + 1 < header.size(); i += 2)
    sum += static_cast<unsigned char>(header[i]) * 256u + static_cast<unsigned char>(header[i + 1]);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  std::string field = number16(~sum & 0xffff);
  return header.replace(10, 2, field);
}
inline std::string ipv4(const IpAddress& from, const IpAddress& to, int protocol, const std::string& payload) {
  std::string header = octets({0x45, 0}) + number16(static_cast<unsigned>(20 + payload.size())) + octets({0, 1, 0, 0, 64, protocol, 0, 0});
  return ip_checksum(header + raw(from) + raw(to)) + payload;
}
inline std::string ipv6(const IpAddress& from, const IpAddress& to, int protocol, const std::string& payload) {
  return octets({0x60, 0, 0, 0}) + number16(static_cast<unsigned>(payload.size())) + octets({protocol, 255}) + raw(from) + raw(to) + payload;
}
inline std::string udp(unsigned from, unsigned to, const std::string& payload) {  // without a checksum
  return number16(from) + number16(to) + number16(static_cast<unsigned>(8 + payload.size())) + number16(0) + payload;
}
inline std::string arp(int operation, const MacAddress& sender, const IpAddress& sender_ip, const IpAddress& target_ip) {
  return octets({0, 1, 8, 0, 6, 4, 0, operation}) + raw(sender) + raw(sender_ip) + octets({0, 0, 0, 0, 0, 0}) + raw(target_ip);
}

// In the namespace of the calling thread.
inline bool send_frame(const std::string& link, const std::string& bytes) {
  UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(::if_nametoindex(link.c_str()));
  return ::sendto(fd.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to) == static_cast<ssize_t>(bytes.size());
}

}  // namespace vps::test
