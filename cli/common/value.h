// A JSON value as plain data: what the API answers and what requests are made of. Objects keep the order of their members,
// so that output follows the daemon's order. Reading never throws: what is absent or of another kind reads as null or empty,
// and whoever needs more checks the kind. Values, freely copyable.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"

namespace vps::cli {

class Value {
 public:
  struct Member;
  using Array = std::vector<Value>;
  using Object = std::vector<Member>;

  Value() = default;
  Value(std::same_as<bool> auto value) : data_(value) {}
  template <std::signed_integral T>
  Value(T value) : data_(static_cast<std::int64_t>(value)) {}
  template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>)
  Value(T value) : data_(static_cast<std::uint64_t>(value)) {}
  Value(double value) : data_(value) {}
  Value(std::string value) : data_(std::move(value)) {}
  Value(std::string_view value) : data_(std::string(value)) {}
  Value(const char* value) : data_(std::string(value)) {}
  static Value array() { return Value(Data(Array{})); }
  static Value object() { return Value(Data(Object{})); }
  static Value strings(const std::vector<std::string>& values);

  [[nodiscard]] bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  [[nodiscard]] bool is_bool() const { return std::holds_alternative<bool>(data_); }
  [[nodiscard]] bool is_number() const;
  [[nodiscard]] bool is_string() const { return std::holds_alternative<std::string>(data_); }
  [[nodiscard]] bool is_array() const { return std::holds_alternative<Array>(data_); }
  [[nodiscard]] bool is_object() const { return std::holds_alternative<Object>(data_); }

  // A member; null when this is no object or has none of that name.
  [[nodiscard]] const Value& get(std::string_view key) const;
  // "memory.current". A member whose own name has dots ("labels" with "a.b") is found as well.
  [[nodiscard]] const Value& path(std::string_view dotted) const;
  [[nodiscard]] const Array& items() const;     // empty when not an array
  [[nodiscard]] const Object& members() const;  // empty when not an object

  [[nodiscard]] bool truth() const;                        // only true is
  [[nodiscard]] const std::string& string() const;         // empty when not a string
  [[nodiscard]] std::optional<std::uint64_t> u64() const;  // whole and not negative
  [[nodiscard]] std::optional<double> number() const;
  // On one line, for people: strings as they are, lists with commas, objects as k=v.
  [[nodiscard]] std::string text() const;

  // Replaces or appends; a null becomes an object (or a list).
  Value& set(std::string key, Value value);
  Value& push(Value value);

  template <class Visitor>
  auto visit(Visitor&& visitor) const {
    return std::visit(std::forward<Visitor>(visitor), data_);
  }

 private:
  using Data = std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array, Object>;
  explicit Value(Data data) : data_(std::move(data)) {}
  Data data_;
};

struct Value::Member {
  std::string key;
  Value value;
};

constexpr int kMaxJsonDepth = 64;
// `what` names the text in the error: "vpsd's answer: malformed JSON at byte 17".
Result<Value> parse_json(std::string_view text, std::string_view what);
// indent 0: one line. Ends without a newline.
std::string format_json(const Value& value, int indent = 2);
// Block style; every string that YAML would read as something else is quoted. Ends with a newline.
std::string format_yaml(const Value& value);

[[nodiscard]] bool is_utf8(std::string_view text);  // JSON can carry nothing else

}  // namespace vps::cli
