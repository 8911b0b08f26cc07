// Small views on the kernel's text files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vps::cgroups {

// Parts between `separator`, empty ones left out.
inline std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    auto end = text.find(separator);
    auto part = text.substr(0, end);
    if (!part.empty()) parts.push_back(part);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

inline std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\n\r";
  auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// Words between blanks and line ends.
inline std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  for (auto line : split(text, '\n'))
    for (auto word : split(line, ' '))
      if (auto bare = trimmed(word); !bare.empty()) out.emplace_back(bare);
  return out;
}

// The line whose first word is `key` (with the key), or an empty view.
inline std::string_view line_of(std::string_view text, std::string_view key) {
  for (auto line : split(text, '\n'))
    if (line.starts_with(key) && (line.size() == key.size() || line[key.size()] == ' ')) return line;
  return {};
}

}  // namespace vps::cgroups
