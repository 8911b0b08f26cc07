// Inside of validate(): the building blocks of its checks.
#pragma once

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "specs/oci/spec.h"

namespace vps::oci::checks {

using SpecCheck = Result<> (*)(const Spec&);
using ResourcesCheck = Result<> (*)(const Resources&, const std::string& at);

Result<> check_linux(const Spec& spec);
Result<> check_resources(const Resources& resources, const std::string& at);
Result<> check_seccomp(const Seccomp& seccomp, const std::string& at);

template <class... Args>
[[nodiscard]] std::unexpected<Error> bad(const std::string& at, fmt::format_string<Args...> format, Args&&... args) {
  return fail(Code::kUsage, "{}: {}", at, fmt::format(format, std::forward<Args>(args)...));
}

inline std::string item(std::string_view list, std::size_t index) { return fmt::format("{}[{}]", list, index); }

inline bool is_absolute(std::string_view path) { return path.starts_with('/'); }

// Walks a list with each element's JSON path: each(spec.mounts, "mounts", [](const Mount&, const std::string& at) {...}).
template <class List, class Check>
Result<> each(const List& list, std::string_view name, Check check) {
  std::size_t index = 0;
  for (const auto& element : list) VPS_TRY(check(element, item(name, index++)));
  return {};
}

template <std::size_t N>
Result<> one_of(const std::string& value, const std::array<std::string_view, N>& known, const std::string& at) {
  if (std::find(known.begin(), known.end(), value) == known.end())
    return bad(at, "'{}' is none of {}", value, fmt::join(known, ", "));
  return {};
}

// "0-3,7": what cpusets and NUMA node lists look like. Empty is no list.
Result<> number_list(const std::string& text, const std::string& at);

const Namespace* find_namespace(const Spec& spec, std::string_view type);
inline bool has_namespace(const Spec& spec, std::string_view type) { return find_namespace(spec, type) != nullptr; }
// Listed without a path: this container makes it.
inline bool has_new_namespace(const Spec& spec, std::string_view type) {
  const auto* found = find_namespace(spec, type);
  return found != nullptr && found->path.empty();
}

// At least one entry, sizes above zero, ranges that neither leave 32 bits nor overlap, no more than the kernel takes.
Result<> id_mappings(const std::vector<IdMapping>& maps, const std::string& at);

}  // namespace vps::oci::checks
