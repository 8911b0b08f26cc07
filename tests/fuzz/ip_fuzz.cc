// Addresses, prefixes and MACs: what is accepted prints to something that reads back the same, and its ends lie inside.
#include <cstdint>
#include <cstdlib>

#include "base/ip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  if (auto address = vps::parse_ip(text)) {
    auto again = vps::parse_ip(vps::format_ip(*address));
    if (!again || *again != *address) std::abort();
  }
  if (auto prefix = vps::parse_prefix(text)) {
    auto again = vps::parse_prefix(vps::format_prefix(*prefix));
    if (!again || *again != *prefix) std::abort();
    if (!prefix->contains(prefix->first()) || !prefix->contains(prefix->last()) || !prefix->network().contains(*prefix)) std::abort();
    if (auto network = vps::parse_network(text); network && network->address != prefix->first()) std::abort();
  }
  if (auto mac = vps::parse_mac(text)) {
    auto again = vps::parse_mac(vps::format_mac(*mac));
    if (!again || *again != *mac) std::abort();
  }
  return 0;
}
