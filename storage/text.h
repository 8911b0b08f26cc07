// Joining words: fmt::join would pull fmt's large header into every file.
#pragma once

#include <string>
#include <string_view>

namespace vps::storage {

template <class Strings>
std::string join(const Strings& strings, std::string_view separator) {
  std::string out;
  for (const auto& text : strings) {
    if (!out.empty()) out += separator;
    out += text;
  }
  return out;
}

}  // namespace vps::storage
