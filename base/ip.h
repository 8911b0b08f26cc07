// Network addresses as values: IPv4 and IPv6 addresses, prefixes (an address with a length), MAC addresses. Parsed and printed in
// one place; everything that does not parse is a kUsage error. Values, freely copyable between threads.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace vps {

enum class Family : std::uint8_t { kV4 = 4, kV6 = 6 };

constexpr std::uint8_t address_bits(Family family) { return family == Family::kV4 ? 32 : 128; }
constexpr std::size_t address_bytes(Family family) { return family == Family::kV4 ? 4 : 16; }

// Ordered by family, then numerically. An IPv4 address stands in the first four bytes, the others are zero.
struct IpAddress {
  Family family = Family::kV4;
  std::array<std::uint8_t, 16> bytes{};  // network byte order
  auto operator<=>(const IpAddress&) const = default;

  [[nodiscard]] std::span<const std::uint8_t> data() const { return {bytes.data(), address_bytes(family)}; }
};

// "10.0.0.2", "fd00::2"; no zone, no IPv4 in IPv6 notation but what inet_pton(3) takes.
Result<IpAddress> parse_ip(std::string_view text);
std::string format_ip(const IpAddress& address);  // the canonical text, RFC 5952

// Moves the address `steps` further on; false, and the address as it was, where the space of its family ends before.
bool advance(IpAddress& address, std::uint64_t steps = 1);

// An address with the length of its network: that of an interface keeps its host bits ("10.0.0.2/24").
struct Prefix {
  IpAddress address;
  std::uint8_t length = 0;
  auto operator<=>(const Prefix&) const = default;

  [[nodiscard]] Family family() const { return address.family; }
  [[nodiscard]] bool single() const { return length == address_bits(address.family); }
  [[nodiscard]] IpAddress first() const;    // the host bits zero
  [[nodiscard]] IpAddress last() const;     // the host bits one: of an IPv4 network its broadcast address
  [[nodiscard]] Prefix network() const { return {first(), length}; }
  [[nodiscard]] bool contains(const IpAddress& other) const;
  [[nodiscard]] bool contains(const Prefix& other) const;
  [[nodiscard]] bool overlaps(const Prefix& other) const { return contains(other) || other.contains(*this); }
};

Prefix host_prefix(const IpAddress& address);             // /32 or /128
Result<Prefix> parse_prefix(std::string_view text);       // "10.0.0.2/24"; without a length: /32 or /128
Result<Prefix> parse_network(std::string_view text);      // the same, refused when host bits are set or the length is missing
std::string format_prefix(const Prefix& prefix);          // with its length, always

struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};
  auto operator<=>(const MacAddress&) const = default;
  [[nodiscard]] bool multicast() const { return (bytes[0] & 1u) != 0; }
};
Result<MacAddress> parse_mac(std::string_view text);      // "02:00:0a:c8:00:05", lower or upper case
std::string format_mac(const MacAddress& mac);            // lower case
IpAddress link_local(const MacAddress& mac);              // fe80::/64 with the modified EUI-64 of RFC 4291, appendix A

}  // namespace vps
