// Tables of the old iptables as netns/legacy_tables.h walks them: a byte for the family, where FORWARD begins and ends, the entries.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "netns/legacy_tables.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vps::netns;
  LegacyTable table;
  std::uint32_t where[2];
  if (size < 1 + sizeof where) return 0;
  std::memcpy(where, data + 1, sizeof where);
  table.forward = where[0];
  table.forward_policy = where[1];
  table.entries.assign(reinterpret_cast<const char*>(data) + 1 + sizeof where, size - 1 - sizeof where);
  auto family = data[0] % 2 == 0 ? vps::Family::kV4 : vps::Family::kV6;
  for (const char* out : {"eth0", ""})
    if (auto block = legacy_block(family, table, "vbr-default", out); block && block->chain.empty()) std::abort();
  return 0;
}
