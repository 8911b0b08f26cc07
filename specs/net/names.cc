#include "specs/net/names.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/sha256.h"

namespace vps::net {
namespace {

constexpr std::size_t kLinkNameSize = 15;

// `name` cut to what is left of a link name between `before` and `after`, with a hash of the whole in place of what is missing.
std::string fit(std::string_view before, std::string_view name, std::string_view after) {
  constexpr std::size_t kHash = 6;
  std::size_t room = kLinkNameSize - before.size() - after.size();
  std::string middle(name);
  if (name.size() > room) middle = fmt::format("{}{}", name.substr(0, room - kHash), sha256_hex(name).substr(0, kHash));
  return fmt::format("{}{}{}", before, middle, after);
}

}  // namespace

std::string host_link_name(std::string_view prefix, std::string_view id, unsigned index) {
  return fit(prefix, id, fmt::format(".{}", index));
}

std::string bridge_name(std::string_view prefix, std::string_view network) { return fit(fmt::format("{}br-", prefix), network, ""); }

MacAddress guest_mac(std::string_view uuid, unsigned index) {
  Sha256 hash;
  hash.update(fmt::format("{}/{}", uuid, index));
  auto digest = hash.finish();
  MacAddress mac;
  std::copy_n(digest.begin(), mac.bytes.size(), mac.bytes.begin());
  mac.bytes[0] = 0x02;  // locally administered, an individual's
  return mac;
}

}  // namespace vps::net
