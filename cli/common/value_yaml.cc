#include <cctype>
#include <string_view>

#include "cli/common/value.h"

namespace vps::cli {
namespace {

bool is_word(std::string_view text) {
  constexpr std::string_view kWords[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"};
  std::string lower;
  for (char c : text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (auto word : kWords)
    if (lower == word) return true;
  return false;
}

// Plain scalars of YAML have a page of rules. This is the part of them that no version of YAML reads as anything but text:
// it begins with a letter or a slash, has only harmless characters, and is not one of the words of YAML 1.1.
bool is_plain(std::string_view text) {
  if (text.empty() || is_word(text)) return false;
  auto first = static_cast<unsigned char>(text[0]);
  if (std::isalpha(first) == 0 && first != '/') return false;
  for (char c : text)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && std::string_view("/._-+@").find(c) == std::string_view::npos)
      return false;
  return true;
}

std::string scalar(const Value& value) {
  if (value.is_string() && is_plain(value.string())) return value.string();
  return format_json(value, 0);  // a quoted JSON string, number, true, [] or {} reads the same in YAML
}

bool is_block(const Value& value) { return !value.items().empty() || !value.members().empty(); }

void print(std::string& out, const Value& value, std::size_t indent);

void print_members(std::string& out, const Value& value, std::size_t indent, bool first_in_line) {
  for (const auto& member : value.members()) {
    if (!first_in_line) out.append(indent, ' ');
    first_in_line = false;
    out += is_plain(member.key) ? member.key : format_json(Value(member.key), 0);
    out += ':';
    if (is_block(member.value)) {
      out += '\n';
      print(out, member.value, indent + 2);
    } else {
      out += ' ' + scalar(member.value) + '\n';
    }
  }
}

void print(std::string& out, const Value& value, std::size_t indent) {
  if (!value.members().empty()) {
    print_members(out, value, indent, false);
    return;
  }
  for (const auto& item : value.items()) {
    out.append(indent, ' ');
    out += "- ";
    if (!item.members().empty()) {
      print_members(out, item, indent + 2, true);
    } else if (is_block(item)) {
      out.pop_back();
      out += '\n';
      print(out, item, indent + 2);
    } else {
      out += scalar(item) + '\n';
    }
  }
}

}  // namespace

std::string format_yaml(const Value& value) {
  if (!is_block(value)) return scalar(value) + '\n';
  std::string out;
  print(out, value, 0);
  return out;
}

}  // namespace vps::cli
