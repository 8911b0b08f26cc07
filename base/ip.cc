#include "base/ip.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/units.h"

namespace vps {
namespace {

bool same_bits(const IpAddress& a, const IpAddress& b, unsigned bits) {
  unsigned whole = bits / 8;
  if (!std::equal(a.bytes.begin(), a.bytes.begin() + whole, b.bytes.begin())) return false;
  unsigned rest = bits % 8;
  return rest == 0 || ((a.bytes[whole] ^ b.bytes[whole]) >> (8 - rest)) == 0;
}

IpAddress with_host_bits(const Prefix& prefix, bool ones) {
  IpAddress address = prefix.address;
  for (unsigned bit = prefix.length; bit < address_bits(prefix.family()); ++bit) {
    auto mask = static_cast<std::uint8_t>(0x80u >> (bit % 8));
    auto& byte = address.bytes[bit / 8];
    byte = static_cast<std::uint8_t>(ones ? byte | mask : byte & ~mask);
  }
  return address;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<IpAddress> parse_ip(std::string_view text) {
  IpAddress address;
  address.family = text.find(':') == std::string_view::npos ? Family::kV4 : Family::kV6;
  int family = address.family == Family::kV4 ? AF_INET : AF_INET6;
  // inet_pton reads up to a NUL: what stands behind one must not pass.
  if (text.find('\0') != std::string_view::npos || ::inet_pton(family, std::string(text).c_str(), address.bytes.data()) != 1)
    return fail(Code::kUsage, "'{}' is not an IP address", text);
  return address;
}

std::string format_ip(const IpAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(address.family == Family::kV4 ? AF_INET : AF_INET6, address.bytes.data(), text.data(), text.size());
  return text.data();
}

bool advance(IpAddress& address, std::uint64_t steps) {
  auto bytes = address.bytes;
  for (std::size_t i = address_bytes(address.family); i-- > 0 && steps > 0;) {
    std::uint64_t low = steps & 0xff;
    steps >>= 8;
    std::uint64_t sum = bytes[i] + low;
    bytes[i] = static_cast<std::uint8_t>(sum);
    steps += sum >> 8;
  }
  if (steps > 0) return false;
  address.bytes = bytes;
  return true;
}

IpAddress Prefix::first() const { return with_host_bits(*this, false); }
IpAddress Prefix::last() const { return with_host_bits(*this, true); }

bool Prefix::contains(const IpAddress& other) const { return family() == other.family && same_bits(address, other, length); }
bool Prefix::contains(const Prefix& other) const { return length <= other.length && contains(other.address); }

Prefix host_prefix(const IpAddress& address) { return {address, address_bits(address.family)}; }

Result<Prefix> parse_prefix(std::string_view text) {
  auto slash = text.find('/');
  auto address = parse_ip(text.substr(0, slash));
  if (!address) return fail(Code::kUsage, "'{}' is not an address or prefix", text);
  if (slash == std::string_view::npos) return host_prefix(*address);
  auto length = parse_u64(text.substr(slash + 1));
  if (!length || *length > address_bits(address->family)) return fail(Code::kUsage, "'{}' is not an address or prefix", text);
  return Prefix{*address, static_cast<std::uint8_t>(*length)};
}

Result<Prefix> parse_network(std::string_view text) {
  if (text.find('/') == std::string_view::npos)
    return fail(Code::kUsage, "'{}' is not a network: expected ADDRESS/LENGTH", text);
  auto prefix = VPS_TRY(parse_prefix(text));
  if (prefix.address != prefix.first())
    return fail(Code::kUsage, "'{}' is not a network: it has host bits, the network is {}", text, format_prefix(prefix.network()));
  return prefix;
}

std::string format_prefix(const Prefix& prefix) { return fmt::format("{}/{}", format_ip(prefix.address), prefix.length); }

Result<MacAddress> parse_mac(std::string_view text) {
  MacAddress mac;
  bool good = text.size() == 17;
  for (std::size_t i = 0; good && i < mac.bytes.size(); ++i) {
    int high = hex_digit(text[i * 3]);
    int low = hex_digit(text[i * 3 + 1]);
    good = high >= 0 && low >= 0 && (i == 5 || text[i * 3 + 2] == ':');
    if (good) mac.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  if (!good) return fail(Code::kUsage, "'{}' is not a MAC address", text);
  return mac;
}

std::string format_mac(const MacAddress& mac) {
  std::string text;
  for (auto byte : mac.bytes) text += fmt::format("{}{:02x}", text.empty() ? "" : ":", byte);
  return text;
}

IpAddress link_local(const MacAddress& mac) {
  const auto& m = mac.bytes;
  IpAddress address{Family::kV6, {0xfe, 0x80}};
  const std::array<std::uint8_t, 8> id{static_cast<std::uint8_t>(m[0] ^ 2u), m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
  std::copy(id.begin(), id.end(), address.bytes.begin() + 8);
  return address;
}

}  // namespace vps
