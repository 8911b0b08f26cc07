// The parts of compile_vps(), each a pure function of the definition and the host's facts.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "specs/vps/compile.h"

namespace vps::compile {

// compile_mounts.cc: docs/design/security.md "Mounts"
std::vector<oci::Mount> mounts(const CompileInput& input, const VpsPaths& paths);
std::vector<oci::Device> devices(const Definition& definition);
std::vector<oci::DeviceRule> device_rules(const Definition& definition);

// compile_limits.cc
Result<oci::Resources> resources(const CompileInput& input, std::vector<std::string>& warnings);

inline bool has_feature(const Definition& definition, std::string_view name) {
  const auto& features = definition.security.features;
  return std::find(features.begin(), features.end(), name) != features.end();
}
inline bool has_user_namespace(const CompileInput& input) { return input.ids.size != 0; }

}  // namespace vps::compile
