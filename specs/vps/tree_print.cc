#include <algorithm>
#include <array>
#include <cstdint>

#include "specs/vps/tree.h"

namespace vps {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Whether some YAML reader may take the plain word for something else than a string (YAML 1.1 and 1.2 core schema).
bool is_ambiguous(std::string_view word) {
  constexpr std::array<std::string_view, 9> kWords = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
  std::string lower(word);
  std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (std::ranges::find(kWords, lower) != kWords.end()) return true;
  // Numbers in any base, exponents, dates: no letter but those of hexadecimal digits, x, o and e.
  bool starts = is_digit(word[0]) || (word.size() > 1 && (word[0] == '-' || word[0] == '+') && is_digit(word[1]));
  return starts && lower.find_first_not_of("0123456789abcdefxo_.+-") == std::string::npos;
}

bool plain_word(std::string_view text) {
  constexpr std::size_t kMaxPlain = 128;
  if (text.empty() || text.size() > kMaxPlain) return false;
  char first = text[0];
  bool sign = (first == '+' || first == '-') && text.size() > 1 && is_alpha(text[1]);
  if (!is_digit(first) && !is_alpha(first) && first != '/' && first != '_' && !sign) return false;
  auto good = [](char c) {
    return is_digit(c) || is_alpha(c) || c == '_' || c == '-' || c == '.' || c == '/' || c == '+' || c == '@' || c == '%';
  };
  return std::ranges::all_of(text, good) && !is_ambiguous(text);
}

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t size = 0;  // 0: not UTF-8
};

// RFC 3629: shortest form only, no surrogates, up to U+10FFFF.
CodePoint decode(std::string_view text) {
  auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  std::uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return {};
  std::uint32_t value = lead & (0xffu >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3f);
  }
  constexpr std::array<std::uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, size};
}

// Both forms double-quoted; \u escapes are common to them. YAML has line breaks that JSON does not know (U+0085, U+2028 ...).
std::string quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    auto [value, size] = decode(text);
    std::string_view bytes = text.substr(0, std::max<std::size_t>(size, 1));
    text.remove_prefix(bytes.size());
    if (size == 0) {
      out += "\\ufffd";
    } else if (value == '"' || value == '\\') {
      out += '\\';
      out += bytes;
    } else if (value == '\n') {
      out += "\\n";
    } else if (value == '\t') {
      out += "\\t";
    } else if (value < 0x20 || (value >= 0x7f && value < 0xa0) || value == 0x2028 || value == 0x2029 || value == 0xfeff) {
      out += fmt::format("\\u{:04x}", value);
    } else {
      out += bytes;
    }
  }
  return out + "\"";
}

std::string scalar(const Node& node) {
  if (node.kind == Node::Kind::kText) return plain_word(node.text) ? node.text : quoted(node.text);
  return node.kind == Node::Kind::kNull ? "null" : node.text;
}

std::string key_text(const std::string& key) { return plain_word(key) ? key : quoted(key); }

bool list_of_maps(const Node& node) {
  return node.kind == Node::Kind::kList &&
         std::ranges::any_of(node.items, [](const Node& item) { return item.kind == Node::Kind::kMap; });
}

void print_block(const Node& map, int level, std::string& out) {
  constexpr int kBlockLevels = 2;
  std::string indent(static_cast<std::size_t>(2 * level), ' ');
  for (const auto& member : map.members) {
    out += indent + key_text(member.key) + ":";
    // Deeper maps are short, but for those with lists of further ones (a firewall's rules).
    const bool block = level + 1 < kBlockLevels || std::ranges::any_of(member.value.members, [](const Node::Member& each) { return list_of_maps(each.value); });
    if (member.value.kind == Node::Kind::kMap && !member.value.members.empty() && block) {
      out += "\n";
      print_block(member.value, level + 1, out);
    } else if (list_of_maps(member.value)) {
      out += "\n";
      for (const auto& item : member.value.items) out += indent + "  - " + print_flow(item) + "\n";
    } else {
      out += " " + print_flow(member.value) + "\n";
    }
  }
}

}  // namespace

Node::Node() = default;
Node::Node(const Node&) = default;
Node::Node(Node&&) noexcept = default;
Node& Node::operator=(const Node&) = default;
Node& Node::operator=(Node&&) noexcept = default;
Node::~Node() = default;

bool Node::operator==(const Node& other) const {
  auto same = [](const Member& a, const Member& b) { return a.key == b.key && a.value == b.value; };
  return kind == other.kind && text == other.text && items == other.items &&
         std::ranges::equal(members, other.members, same);
}

Node Node::scalar_of(Kind kind, std::string value) {
  Node node;
  node.kind = kind;
  node.text = std::move(value);
  return node;
}
Node Node::list() { return scalar_of(Kind::kList, {}); }
Node Node::map() { return scalar_of(Kind::kMap, {}); }
void Node::put(std::string key, Node value) { members.push_back({std::move(key), std::move(value), 0}); }

std::string print_flow(const Node& node) {
  std::string out;
  if (node.kind == Node::Kind::kList) {
    for (const auto& item : node.items) out += (out.empty() ? "" : ", ") + print_flow(item);
    return "[" + out + "]";
  }
  if (node.kind == Node::Kind::kMap) {
    for (const auto& member : node.members)
      out += (out.empty() ? "" : ", ") + key_text(member.key) + ": " + print_flow(member.value);
    return "{" + out + "}";
  }
  return scalar(node);
}

std::string print_yaml(const Node& map) {
  std::string out;
  print_block(map, 0, out);
  return out;
}

std::string print_json(const Node& node) {
  std::string out;
  switch (node.kind) {
    case Node::Kind::kNull: return "null";
    case Node::Kind::kText: return quoted(node.text);
    case Node::Kind::kNumber:
    case Node::Kind::kBool: return node.text;
    case Node::Kind::kList:
      for (const auto& item : node.items) out += (out.empty() ? "" : ",") + print_json(item);
      return "[" + out + "]";
    case Node::Kind::kMap:
      for (const auto& member : node.members)
        out += (out.empty() ? "" : ",") + quoted(member.key) + ":" + print_json(member.value);
      return "{" + out + "}";
  }
  return "null";
}

std::size_t utf8_prefix(std::string_view text) {
  std::size_t done = 0;
  while (done < text.size()) {
    auto [value, size] = decode(text.substr(done));
    if (size == 0 || value == 0) break;
    done += size;
  }
  return done;
}

std::string quote_for_message(std::string_view text) {
  constexpr std::size_t kShown = 60;
  std::string shown;
  std::size_t count = 0;
  while (!text.empty() && count < kShown) {
    auto [value, size] = decode(text);
    bool control = size == 0 || value < 0x20 || (value >= 0x7f && value < 0xa0) || value == 0x2028 || value == 0x2029;
    if (control) shown += '?';
    else shown += text.substr(0, size);
    text.remove_prefix(std::max<std::size_t>(size, 1));
    ++count;
  }
  if (!text.empty()) shown += "...";
  return shown;
}

}  // namespace vps
