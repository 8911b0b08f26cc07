// The table of all keys of a definition, and the walks over it. Parsing, printing, set_key, diff and the checks know no key
// of their own: whoever adds a key adds one row in schema.cc (and its words to vps.yaml.5; a test compares).
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "specs/vps/codecs.h"
#include "specs/vps/definition.h"
#include "specs/vps/definition_yaml.h"

namespace vps::schema {

enum class Shape {
  kScalar,
  kList,
  kTexts,  // the operator's own keys with a text each: labels
  kLists,  // the same with a list each: hooks
};

enum Flag : unsigned {
  kFixed = 1u,      // set_key refuses it
  kRequired = 2u,
  kAlways = 4u,     // printed even when it has its default
  kShorthand = 8u,  // the short form of the keys below it: "network: none"
  kNextStart = 16u,
};

template <class T>
struct Row {
  std::string_view path;         // dotted
  std::string_view short_names;  // of set_key, separated by spaces
  unsigned flags;
  Shape shape;
  Result<> (*set)(T&, const Node&, const Where&);
  Node (*get)(const T&);  // kNull: not set
  void (*copy)(T& to, const T& from);
  Result<> (*check)(const T&, const Where&);

  [[nodiscard]] bool has(Flag flag) const { return (flags & flag) != 0; }
};

// Field is a generic captureless lambda that returns a reference to the row's field of its argument.
template <class T, class Codec, auto Field>
constexpr Row<T> make_row(std::string_view path, Shape shape, unsigned flags = 0, std::string_view short_names = {}) {
  return {path, short_names, flags, shape,
          [](T& object, const Node& node, const Where& where) -> Result<> {
            Field(object) = VPS_TRY(Codec::parse(node, where));
            return {};
          },
          [](const T& object) { return Codec::print(Field(object)); },
          [](T& to, const T& from) { Field(to) = Field(from); },
          [](const T& object, const Where& where) -> Result<> { return Codec::check(Field(object), where); }};
}

std::span<const Row<Definition>> rows();
const Row<Definition>* find_row(std::string_view path);

// The nearest of `known` when it is near enough to be a slip of the keyboard, or one whose last part is the same; else empty.
std::string suggestion(std::string_view key, std::span<const std::string> known);

using Lines = std::map<std::string, int, std::less<>>;  // path -> line

template <class T>
bool is_group(std::span<const Row<T>> table, std::string_view path) {
  return std::ranges::any_of(table, [&](const Row<T>& row) {
    return row.path.size() > path.size() && row.path.starts_with(path) && row.path[path.size()] == '.';
  });
}

template <class T>
std::unexpected<Error> unknown_key(std::span<const Row<T>> table, std::string_view path, const Where& where) {
  std::vector<std::string> known;
  for (const auto& row : table)
    for (std::size_t end = 0; end != std::string_view::npos;) {
      end = row.path.find('.', end + 1);
      known.emplace_back(row.path.substr(0, end));
    }
  auto near = suggestion(path, known);
  return where.refuse(near.empty() ? "unknown key" : fmt::format("unknown key, did you mean {}?", near));
}

// Reads the members of a mapping into `object`; `prefix` is the mapping's own path in the table.
template <class T>
Result<> parse_members(std::span<const Row<T>> table, const std::string& prefix, const Node& node, const Where& where,
                       T& object, Lines* lines = nullptr) {
  if (node.kind != Node::Kind::kMap) return where.expected("a mapping of keys", node);
  for (const auto& member : node.members) {
    auto at = where.key(member.key, member.line);
    std::string path = prefix.empty() ? member.key : prefix + "." + member.key;
    bool whole = member.key.find('.') == std::string::npos && !member.key.empty();
    auto row = std::ranges::find(table, path, &Row<T>::path);
    bool group = whole && is_group(table, path);
    if (group && (row == table.end() || member.value.kind == Node::Kind::kMap)) {
      VPS_TRY(parse_members(table, path, member.value, at, object, lines));
    } else if (whole && row != table.end()) {
      VPS_TRY(row->set(object, member.value, at));
      if (lines != nullptr) lines->emplace(path, member.line);
    } else {
      return unknown_key(table, path, at);
    }
  }
  return {};
}

// What is set, in the order of the table, as nested mappings.
template <class T>
Node print_members(std::span<const Row<T>> table, const T& object) {
  Node root = Node::map();
  const T defaults{};
  for (const auto& row : table) {
    Node value = row.get(object);
    if (value.kind == Node::Kind::kNull) continue;
    if (!row.has(kAlways) && !row.has(kRequired) && value == row.get(defaults)) continue;
    Node* at = &root;
    auto rest = row.path;
    for (auto dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
      // Rows of one group stand together in the table, so that the group, if begun, is the last member.
      if (at->members.empty() || at->members.back().key != rest.substr(0, dot))
        at->put(std::string(rest.substr(0, dot)), Node::map());
      at = &at->members.back().value;
      rest.remove_prefix(dot + 1);
    }
    at->put(std::string(rest), std::move(value));
  }
  return root;
}

template <class T>
Result<> check_required(std::span<const Row<T>> table, const T& object, const Where& where) {
  for (const auto& row : table)
    if (row.has(kRequired) && row.get(object).kind == Node::Kind::kNull) return where.key(row.path).refuse("missing");
  return {};
}

// A codec for objects inside lists. Table is a function that returns their rows.
template <class T, auto Table>
struct Object {
  static Result<T> parse(const Node& node, const Where& where) {
    T object{};
    VPS_TRY(parse_members<T>(Table(), "", node, where, object));
    VPS_TRY(check_required<T>(Table(), object, where));
    return object;
  }
  static Node print(const T& object) { return print_members<T>(Table(), object); }
  static Result<> check(const T& object, const Where& where) {
    VPS_TRY(check_required<T>(Table(), object, where));
    for (const auto& row : Table()) VPS_TRY(row.check(object, where.key(row.path)));
    return {};
  }
};

// The first thing that does not hold between keys, and the key that its error names.
struct Conflict {
  std::string path, message;
};
std::optional<Conflict> find_conflict(const Definition& definition);

}  // namespace vps::schema
