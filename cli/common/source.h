// Text that the user names: definitions from files or standard input.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace vps::cli {

constexpr std::size_t kMaxDefinition = 256u << 10;

struct Source {
  std::string text;
  std::string name;  // for error messages
};
// "-" is standard input.
Result<Source> read_source(const std::string& path);

// A top-level scalar of a definition ("id"), without a YAML parser (yaml-cpp would bring iostream into a program whose start
// is its cost): of a block mapping, or of a JSON object. nullopt: not found in these forms.
std::optional<std::string> top_level_key(std::string_view text, std::string_view key);

// The same text with top-level `key` set to `value`: its line replaced, or one added at the end, so that all other lines keep
// their numbers. kUsage for what is neither a block mapping nor a JSON object.
Result<std::string> with_key(std::string_view text, std::string_view key, std::string_view value);

}  // namespace vps::cli
