#include "storage/acl_xattr.h"

#include <algorithm>
#include <string_view>
#include <tuple>

#include "base/units.h"

namespace vps::storage {
namespace {

constexpr std::uint32_t kVersion = 2;
constexpr std::uint32_t kNoId = 0xffffffff;

template <class T>
void put(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
}

std::vector<std::string_view> fields(std::string_view line) {
  std::vector<std::string_view> out;
  while (true) {
    auto colon = line.find(':');
    out.push_back(line.substr(0, colon));
    if (colon == std::string_view::npos) return out;
    line.remove_prefix(colon + 1);
  }
}

}  // namespace

std::string encode_acl(std::vector<AclEntry> entries) {
  std::ranges::sort(entries, {}, [](const AclEntry& e) { return std::tuple(e.tag, e.id); });
  std::string value;
  put(value, kVersion);
  for (const auto& entry : entries) {
    const bool has_id = entry.tag == AclTag::kUser || entry.tag == AclTag::kGroup;
    put(value, static_cast<std::uint16_t>(entry.tag));
    put(value, entry.permissions);
    put(value, has_id ? entry.id : kNoId);
  }
  return value;
}

std::int64_t lookup_id(const std::string& file, const std::string& name) {
  for (std::size_t pos = 0; pos < file.size();) {
    auto end = std::min(file.find('\n', pos), file.size());
    auto parts = fields(std::string_view(file).substr(pos, end - pos));
    pos = end + 1;
    if (parts.size() < 3 || parts[0] != name) continue;
    auto id = parse_u64(parts[2]);
    return id && *id < kNoId ? static_cast<std::int64_t>(*id) : -1;
  }
  return -1;
}

}  // namespace vps::storage
