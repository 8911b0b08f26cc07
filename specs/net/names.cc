#include "specs/net/names.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/sha256.h"

namespace vps::net {
namespace {

constexpr std::size_t kLinkNameSize = 15;

// "0" of eth0: the interfaces that most have are told by their number, others by all of their name.
std::string short_name(std::string_view interface) {
  constexpr std::string_view kEthernet = "eth";
  constexpr std::size_t kDigits = 3;
  const auto is_number = [](std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char each) { return each >= '0' && each <= '9'; });
  };
  if (is_number(interface)) return fmt::format("={}", interface);
  if (!interface.starts_with(kEthernet)) return std::string(interface);
  const auto number = interface.substr(kEthernet.size());
  const bool plain = is_number(number) && number.size() <= kDigits && (number == "0" || number.front() != '0');
  return std::string(plain ? number : interface);
}

// `name` cut to what is left of a link name between `before` and `after`, with a hash of the whole in place of what is missing.
std::string fit(std::string_view before, std::string_view name, std::string_view after) {
  constexpr std::size_t kHash = 6;
  std::size_t room = kLinkNameSize - before.size() - after.size();
  std::string middle(name);
  if (name.size() > room) middle = fmt::format("{}{}", name.substr(0, room - kHash), sha256_hex(name).substr(0, kHash));
  return fmt::format("{}{}{}", before, middle, after);
}

}  // namespace

std::string host_link_name(std::string_view prefix, std::string_view id, std::string_view interface) {
  constexpr std::size_t kHash = 4;
  auto after = fmt::format(".{}", short_name(interface));
  if (prefix.size() + id.size() + after.size() > kLinkNameSize && after.size() > kHash + 1) after = fmt::format(".{}", sha256_hex(interface).substr(0, kHash));
  return fit(prefix, id, after);
}

std::string bridge_name(std::string_view prefix, std::string_view network) { return fit(fmt::format("{}br-", prefix), network, ""); }

MacAddress guest_mac(std::string_view uuid, std::string_view interface) {
  Sha256 hash;
  hash.update(fmt::format("{}/{}", uuid, short_name(interface)));
  auto digest = hash.finish();
  MacAddress mac;
  std::copy_n(digest.begin(), mac.bytes.size(), mac.bytes.begin());
  mac.bytes[0] = 0x02;  // locally administered, an individual's
  return mac;
}

}  // namespace vps::net
