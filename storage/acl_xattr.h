// POSIX ACLs in the form in which the kernel keeps them: the value of system.posix_acl_access and _default.
// Source: include/uapi/linux/posix_acl_xattr.h (version 2, little endian), acl(5).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vps::storage {

enum class AclTag : std::uint16_t {
  kUserObj = 0x01,
  kUser = 0x02,
  kGroupObj = 0x04,
  kGroup = 0x08,
  kMask = 0x10,
  kOther = 0x20,
};

struct AclEntry {
  AclTag tag = AclTag::kOther;
  std::uint16_t permissions = 0;  // rwx as 4, 2, 1
  std::uint32_t id = 0;           // of kUser and kGroup
  std::string name;               // set when the id is not known yet: to be looked up in the tree's own passwd or group
};

inline constexpr char kAclAccess[] = "system.posix_acl_access";
inline constexpr char kAclDefault[] = "system.posix_acl_default";

// Sorted as the kernel demands it.
std::string encode_acl(std::vector<AclEntry> entries);

// The id of `name` in the text of a passwd(5) or group(5) file: the third field of its line; -1 when there is none.
std::int64_t lookup_id(const std::string& file, const std::string& name);

}  // namespace vps::storage
