// Whole numbers of JSON that is not ours to trust: nlohmann's get<int>() takes a fraction or a number beyond its type for another one.
// `Json` is one of its types; whoever calls has included it.
#pragma once

#include <concepts>
#include <cstdint>
#include <utility>

#include "base/error.h"

namespace vps::vpsrun {

// Throws as at() does when there is no such key.
template <std::integral Number, typename Json>
Result<Number> number_at(const Json& json, const char* key) {
  const auto& value = json.at(key);
  if (value.is_number_unsigned()) {
    auto number = value.template get<std::uint64_t>();
    if (std::in_range<Number>(number)) return static_cast<Number>(number);
  } else if (value.is_number_integer()) {
    auto number = value.template get<std::int64_t>();
    if (std::in_range<Number>(number)) return static_cast<Number>(number);
  }
  return fail(Code::kUsage, "{}: {} is no number of its range", key, value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace vps::vpsrun
