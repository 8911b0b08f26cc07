// Capability sets by name (capabilities(7)) and their application to the calling process, through libcap.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "specs/oci/spec.h"

namespace vps::namespaces {

using CapMask = std::uint64_t;  // bit n = capability number n

// "CAP_CHOWN", "cap_chown" and "chown" are the same; unknown names are kUsage errors.
Result<CapMask> parse_capability(std::string_view name);
struct CapMasks {
  CapMask bounding = 0, effective = 0, inheritable = 0, permitted = 0, ambient = 0;
};
// Names that this kernel does not have are dropped into `unknown` (the specification says: warn, not fail).
CapMasks parse_capabilities(const oci::Capabilities& names, std::vector<std::string>* unknown);
std::vector<std::string> capability_names(CapMask mask);   // "CAP_..." in numeric order
std::vector<std::string> known_capability_names();         // of this kernel
// Two steps because the bounding set needs CAP_SETPCAP while the rest must come after the uid change.
Result<> drop_bounding(CapMask keep);
Result<> apply_capabilities(const CapMasks& masks);  // effective, permitted, inheritable, ambient

}  // namespace vps::namespaces
