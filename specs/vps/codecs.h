// How one value of a definition is read from a Node, printed as one, and checked. A codec is a type with
//   static Result<V> parse(const Node&, const Where&)    type, range and syntax; its error says where
//   static Node print(const V&)                          kNull: nothing to print
//   static Result<> check(const V&, const Where&)        syntax again, of a value that did not come from text
// Only schema.cc and the files that walk its table include this.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/units.h"
#include "specs/vps/tree.h"

namespace vps::schema {

// The place that an error names: "vps.yaml:7: resources.memory.limit: ...".
struct Where {
  std::string_view file = {};  // empty: without file and line
  int line = 0;
  std::string path = {};

  [[nodiscard]] Where item(std::size_t index, const Node* node = nullptr) const {
    return {file, node != nullptr ? node->line : line, fmt::format("{}[{}]", path, index)};
  }
  [[nodiscard]] Where key(std::string_view name, int key_line = 0) const {
    auto shown = quote_for_message(name);
    return {file, key_line != 0 ? key_line : line, path.empty() ? shown : path + "." + shown};
  }
  [[nodiscard]] std::unexpected<Error> refuse(std::string_view message, Code code = Code::kUsage) const {
    std::string prefix;
    if (!file.empty()) prefix = line > 0 ? fmt::format("{}:{}: ", file, line) : fmt::format("{}: ", file);
    if (!path.empty()) prefix += path + ": ";
    return fail(code, "{}{}", prefix, message);
  }
  [[nodiscard]] std::unexpected<Error> expected(std::string_view what, const Node& found) const {
    switch (found.kind) {
      case Node::Kind::kNull: return refuse(fmt::format("expected {}, found nothing", what));
      case Node::Kind::kList: return refuse(fmt::format("expected {}, found a list", what));
      case Node::Kind::kMap: return refuse(fmt::format("expected {}, found a mapping", what));
      default: return refuse(fmt::format("expected {}, found '{}'", what, quote_for_message(found.text)));
    }
  }
};

inline Result<> no_check(std::string_view) { return {}; }

// A string of one scalar. `Absent`: an empty string means that the key is not set.
template <Result<> (*Check)(std::string_view) = no_check, bool Absent = false>
struct Text {
  static Result<std::string> parse(const Node& node, const Where& where) {
    if (!node.scalar()) return where.expected("a word", node);
    if (Absent && node.text.empty()) return where.refuse("expected a word, found ''");
    VPS_TRY(check(node.text, where));
    return node.text;
  }
  static Node print(const std::string& value) {
    return Absent && value.empty() ? Node() : Node::of_text(value);
  }
  static Result<> check(const std::string& value, const Where& where) {
    if (Absent && value.empty()) return {};
    if (utf8_prefix(value) != value.size()) return where.refuse("not UTF-8 text");
    if (auto good = Check(value); !good) return where.refuse(good.error().message());
    return {};
  }
};

struct Bool {
  static Result<bool> parse(const Node& node, const Where& where) {
    if (node.text == "true" || node.text == "yes" || node.text == "on") return true;
    if (node.text == "false" || node.text == "no" || node.text == "off") return false;
    return where.expected("true or false", node);
  }
  static Node print(bool value) { return Node::of_bool(value); }
  static Result<> check(bool, const Where&) { return {}; }
};

template <class T, T Least, T Most>
struct Whole {
  static Result<T> parse(const Node& node, const Where& where) {
    auto value = parse_i64(node.text);
    if (!node.scalar() || !value || std::cmp_less(*value, Least) || std::cmp_greater(*value, Most))
      return where.expected(what(), node);
    return static_cast<T>(*value);
  }
  static Node print(T value) { return Node::of_number(std::to_string(value)); }
  static Result<> check(T value, const Where& where) {
    if (value < Least || value > Most) return where.expected(what(), print(value));
    return {};
  }
  static std::string what() { return fmt::format("a whole number from {} to {}", Least, Most); }
};

struct Cpus {
  static constexpr double kLeast = 0.01;  // the kernel's quota is at least 1 ms of a 100 ms period
  static constexpr double kMost = 8192;
  static constexpr std::string_view kWhat = "a number of CPUs from 0.01 to 8192, like 1.5";
  static Result<double> parse(const Node& node, const Where& where) {
    auto value = parse_decimal(node.text);
    if (!node.scalar() || !value || *value < kLeast || *value > kMost) return where.expected(kWhat, node);
    return *value;
  }
  static Node print(double value) { return Node::of_number(fmt::format("{}", value)); }
  static Result<> check(double value, const Where& where) {
    if (!(value >= kLeast && value <= kMost)) return where.expected(kWhat, print(value));
    return {};
  }
};

// Unit: Bytes, BitRate or Milliseconds, with bounds in its own base unit.
template <class Unit>
struct UnitTraits;
template <>
struct UnitTraits<Bytes> {
  static constexpr std::string_view kWhat = "a size like 512M";
  static Result<Bytes> parse(std::string_view text) { return parse_size(text); }
  static std::string print(Bytes value) { return format_size(value); }
  static std::uint64_t count(Bytes value) { return value.value; }
  static Bytes make(std::uint64_t count) { return {count}; }
};
template <>
struct UnitTraits<BitRate> {
  static constexpr std::string_view kWhat = "a rate in bit/s like 100M";
  static Result<BitRate> parse(std::string_view text) { return parse_bit_rate(text); }
  static std::string print(BitRate value) { return format_bit_rate(value); }
  static std::uint64_t count(BitRate value) { return value.value; }
  static BitRate make(std::uint64_t count) { return {count}; }
};
template <>
struct UnitTraits<Milliseconds> {
  static constexpr std::string_view kWhat = "a time like 90s";
  static Result<Milliseconds> parse(std::string_view text) { return parse_duration(text); }
  static std::string print(Milliseconds value) { return format_duration(value); }
  // Negative ones, which no text can express, must not pass for small.
  static std::uint64_t count(Milliseconds value) { return static_cast<std::uint64_t>(value.count()); }
  static Milliseconds make(std::uint64_t count) { return Milliseconds(static_cast<std::int64_t>(count)); }
};

template <class Unit, std::uint64_t Least, std::uint64_t Most>
struct Quantity {
  using Traits = UnitTraits<Unit>;
  static Result<Unit> parse(const Node& node, const Where& where) {
    auto value = Traits::parse(node.text);
    if (!node.scalar() || !value) return where.expected(Traits::kWhat, node);
    if (!in_range(*value)) return where.expected(range(), node);
    return *value;
  }
  static Node print(Unit value) {
    auto text = Traits::print(value);
    bool bare = text.find_first_not_of("0123456789") == std::string::npos;
    return bare ? Node::of_number(std::move(text)) : Node::of_text(std::move(text));
  }
  static Result<> check(Unit value, const Where& where) {
    if (!in_range(value)) return where.expected(range(), print(value));
    return {};
  }
  static bool in_range(Unit value) { return Traits::count(value) >= Least && Traits::count(value) <= Most; }
  static std::string range() {
    return fmt::format("{} from {} to {}", Traits::kWhat.substr(0, Traits::kWhat.find(" like")),
                       Traits::print(Traits::make(Least)), Traits::print(Traits::make(Most)));
  }
};

// Values is a struct with `using Type` and `static constexpr std::array<std::pair<std::string_view, Type>, N> kValues`.
template <class Values>
struct OneOf {
  using V = typename Values::Type;
  static Result<V> parse(const Node& node, const Where& where) {
    if (node.scalar())
      for (const auto& [name, value] : Values::kValues)
        if (node.text == name) return V(value);
    return where.expected(what(), node);
  }
  static Node print(const V& value) {
    for (const auto& [name, known] : Values::kValues)
      if (known == value) return Node::of_text(std::string(name));
    return Node();
  }
  static Result<> check(const V& value, const Where& where) {
    for (const auto& [name, known] : Values::kValues)
      if (known == value) return {};
    return where.refuse(fmt::format("expected {}", what()));
  }
  static std::string what() {
    std::string text;
    for (std::size_t i = 0; i < Values::kValues.size(); ++i) {
      if (i != 0) text += i + 1 == Values::kValues.size() ? " or " : ", ";
      text += Values::kValues[i].first;
    }
    return text;
  }
};

template <class Codec>
struct Maybe {
  using Inner = decltype(Codec::parse(std::declval<Node>(), std::declval<Where>()))::value_type;
  using V = std::optional<Inner>;
  static Result<V> parse(const Node& node, const Where& where) { return V(VPS_TRY(Codec::parse(node, where))); }
  static Node print(const V& value) { return value ? Codec::print(*value) : Node(); }
  static Result<> check(const V& value, const Where& where) { return value ? Codec::check(*value, where) : Result<>(); }
};

// An empty list is the same as none.
template <class Codec, std::size_t Most, bool Unique = false>
struct List {
  using Item = decltype(Codec::parse(std::declval<Node>(), std::declval<Where>()))::value_type;
  using V = std::vector<Item>;
  static Result<V> parse(const Node& node, const Where& where) {
    if (node.kind != Node::Kind::kList) return where.expected("a list like [a, b]", node);
    V values;
    for (std::size_t i = 0; i < node.items.size(); ++i)
      values.push_back(VPS_TRY(Codec::parse(node.items[i], where.item(i, &node.items[i]))));
    VPS_TRY(check_all(values, [&](std::size_t i) { return where.item(i, &node.items[i]); }, where));
    return values;
  }
  static Node print(const V& values) {
    if (values.empty()) return Node();
    Node node = Node::list();
    for (const auto& value : values) node.items.push_back(Codec::print(value));
    return node;
  }
  static Result<> check(const V& values, const Where& where) {
    for (std::size_t i = 0; i < values.size(); ++i) VPS_TRY(Codec::check(values[i], where.item(i)));
    return check_all(values, [&](std::size_t i) { return where.item(i); }, where);
  }

 private:
  static Result<> check_all(const V& values, auto&& where_of, const Where& where) {
    if (values.size() > Most) return where.refuse(fmt::format("more than {} entries", Most));
    if constexpr (Unique) {
      for (std::size_t i = 0; i < values.size(); ++i)
        if (std::find(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(i), values[i]) !=
            values.begin() + static_cast<std::ptrdiff_t>(i))
          return where_of(i).refuse("the same entry twice");
    }
    return {};
  }
};

template <Result<> (*KeyCheck)(std::string_view), class Codec, std::size_t Most>
struct Dictionary {
  using Item = decltype(Codec::parse(std::declval<Node>(), std::declval<Where>()))::value_type;
  using V = std::map<std::string, Item>;
  static Result<V> parse(const Node& node, const Where& where) {
    if (node.kind != Node::Kind::kMap) return where.expected("a mapping like {key: value}", node);
    V values;
    for (const auto& member : node.members) {
      auto at = where.key(member.key, member.line);
      if (auto good = KeyCheck(member.key); !good) return at.refuse(good.error().message());
      values.emplace(member.key, VPS_TRY(Codec::parse(member.value, at)));
    }
    if (values.size() > Most) return where.refuse(fmt::format("more than {} entries", Most));
    return values;
  }
  static Node print(const V& values) {
    if (values.empty()) return Node();
    Node node = Node::map();
    for (const auto& [key, value] : values) {
      auto printed = Codec::print(value);
      if (printed.kind != Node::Kind::kNull) node.put(key, std::move(printed));
    }
    return node.members.empty() ? Node() : node;
  }
  static Result<> check(const V& values, const Where& where) {
    for (const auto& [key, value] : values) {
      if (auto good = KeyCheck(key); !good) return where.key(key).refuse(good.error().message());
      VPS_TRY(Codec::check(value, where.key(key)));
    }
    if (values.size() > Most) return where.refuse(fmt::format("more than {} entries", Most));
    return {};
  }
};

}  // namespace vps::schema
