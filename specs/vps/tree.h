// Configuration text as a tree of plain values, with the line that each came from: what vps.yaml is read through and printed
// from. JSON text without tabs is read as well (YAML 1.2 contains it). Values, no shared state.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace vps {

constexpr std::size_t kMaxYamlSize = 256u << 10;  // bytes of text
constexpr int kMaxYamlDepth = 16;                 // levels of nested lists and mappings

struct Node {
  enum class Kind {
    kNull,    // nothing there; when printed: leave the key out
    kText,
    kNumber,  // printed bare, also in JSON; parse_yaml never makes one, since what a word means is its key's business
    kBool,    // the same
    kList,
    kMap,
  };
  struct Member;

  // Defined where Member is complete: vector's own need that.
  Node();
  Node(const Node&);
  Node(Node&&) noexcept;
  Node& operator=(const Node&);
  Node& operator=(Node&&) noexcept;
  ~Node();

  Kind kind = Kind::kNull;
  std::string text;  // kText, kNumber, kBool
  std::vector<Node> items;
  std::vector<Member> members;  // in file order
  int line = 0;                 // 1-based; 0 when it was not read from text

  [[nodiscard]] bool scalar() const { return kind == Kind::kText || kind == Kind::kNumber || kind == Kind::kBool; }
  bool operator==(const Node& other) const;  // lines do not count

  static Node of_text(std::string value) { return scalar_of(Kind::kText, std::move(value)); }
  static Node of_number(std::string value) { return scalar_of(Kind::kNumber, std::move(value)); }
  static Node of_bool(bool value) { return scalar_of(Kind::kBool, value ? "true" : "false"); }
  static Node list();
  static Node map();
  void put(std::string key, Node value);  // appends a member

 private:
  static Node scalar_of(Kind kind, std::string value);
};

struct Node::Member {
  std::string key;
  Node value;
  int line = 0;  // of the key
};

// Exactly one document. Refused, with "FILE:LINE: " in front (left out when `file_name` is empty): what is no YAML, duplicate
// keys, keys that are no words, anchors, aliases, tags, a second document, text that is not UTF-8, and the limits above.
Result<Node> parse_yaml(std::string_view text, std::string_view file_name);

// Stable text. Mappings of the first two levels and lists of mappings get lines of their own, all else is in flow style.
std::string print_yaml(const Node& map);
std::string print_flow(const Node& node);  // one line of YAML
std::string print_json(const Node& node);  // one line, valid JSON

// How many bytes of `text`, from its start, are UTF-8 without NUL.
std::size_t utf8_prefix(std::string_view text);
// At most 60 characters of foreign text, fit to stand in a one-line message.
std::string quote_for_message(std::string_view text);

}  // namespace vps
