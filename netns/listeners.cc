#include "netns/listeners.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

namespace vps::netns {
namespace {

constexpr std::string_view kListening = "0A", kUnconnected = "07";  // TCP_LISTEN; of UDP, TCP_CLOSE (include/net/tcp_states.h)

std::optional<std::uint32_t> hex(std::string_view text) {
  std::uint32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

// "0100007F:1F90": words of 32 bits as the host has them in memory, each printed as a number.
std::optional<Listener> parse_socket(std::string_view text, Family family) {
  const std::size_t digits = family == Family::kV4 ? 8 : 32;
  if (text.size() != digits + 5 || text[digits] != ':') return {};
  Listener listener;
  listener.address.family = family;
  for (std::size_t at = 0; at < digits; at += 8) {
    auto word = hex(text.substr(at, 8));
    if (!word) return {};
    std::memcpy(listener.address.bytes.data() + at / 2, &*word, sizeof *word);
  }
  auto port = hex(text.substr(digits + 1));
  if (!port) return {};
  listener.port = static_cast<std::uint16_t>(*port);
  return listener;
}

bool is_any(const IpAddress& address) {
  return std::ranges::all_of(address.data(), [](auto byte) { return byte == 0; });
}

bool is_loopback(const IpAddress& address) {
  return address.family == Family::kV4 ? address.bytes[0] == 127 : address == *parse_ip("::1");
}

}  // namespace

std::vector<Listener> parse_listeners(std::istream& text, net::Protocol protocol, Family family) {
  std::vector<Listener> found;
  std::string line;
  std::getline(text, line);  // the names of the columns
  while (std::getline(text, line)) {
    std::istringstream words(line);
    std::string number, local, remote, state;
    if (!(words >> number >> local >> remote >> state)) continue;
    if (protocol == net::Protocol::kTcp && state != kListening) break;
    if (protocol == net::Protocol::kUdp && state != kUnconnected) continue;
    if (auto listener = parse_socket(local, family)) found.push_back(*listener);
  }
  return found;
}

bool is_listened_on(const Host& host, net::Protocol protocol, Family family, const std::optional<IpAddress>& address, std::uint16_t port) {
  const char* name = protocol == net::Protocol::kUdp ? "udp" : "tcp";
  for (auto each : {Family::kV4, Family::kV6}) {
    std::ifstream file(fmt::format("{}/thread-self/net/{}{}", host.proc_root, name, each == Family::kV6 ? "6" : ""));
    for (const auto& listener : parse_listeners(file, protocol, each)) {
      if (listener.port != port) continue;
      if (is_any(listener.address) ? each == family || each == Family::kV6 : each == family && (address ? listener.address == *address : !is_loopback(listener.address)))
        return true;
    }
  }
  return false;
}

}  // namespace vps::netns
