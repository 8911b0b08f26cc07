// A table of names and kernel values, looked up by name with an error that says what kind of name was expected.
#pragma once

#include <fmt/core.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace vps::namespaces {

template <class Value>
struct Named {
  std::string_view name;
  Value value;
};

// kUsage: "unknown rlimit 'RLIMIT_X'".
template <class Value, std::size_t kSize>
Result<Value> value_of(const Named<Value> (&table)[kSize], std::string_view name, std::string_view kind) {
  for (const auto& entry : table)
    if (entry.name == name) return entry.value;
  return fail(Code::kUsage, "unknown {} '{}'", kind, name.substr(0, 64));
}

// The values of all names, or-ed.
template <class Value, std::size_t kSize>
Result<Value> flags_of(const Named<Value> (&table)[kSize], const std::vector<std::string>& names,
                       std::string_view kind) {
  Value flags{};
  for (const auto& name : names) flags |= VPS_TRY(value_of(table, name, kind));
  return flags;
}

template <class Value, std::size_t kSize>
std::vector<std::string> names_of(const Named<Value> (&table)[kSize]) {
  std::vector<std::string> names;
  for (const auto& entry : table) names.emplace_back(entry.name);
  return names;
}

}  // namespace vps::namespaces
