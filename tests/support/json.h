// JSON that a program printed, looked at by tests through JSON pointers (RFC 6901). Wraps the library so that its header
// is compiled once. A value that is not there or of another type reads as "", 0 or false; has() and type() tell.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace vps::test {

class Json {
 public:
  static Result<Json> parse(std::string_view text);
  static Result<std::vector<Json>> parse_lines(std::string_view text);  // application/x-ndjson

  [[nodiscard]] bool has(const std::string& pointer) const;
  [[nodiscard]] std::string type(const std::string& pointer = "") const;  // "object", "array", "string", "number", ...
  [[nodiscard]] std::string string(const std::string& pointer) const;
  [[nodiscard]] std::int64_t number(const std::string& pointer) const;
  [[nodiscard]] double real(const std::string& pointer) const;
  [[nodiscard]] bool boolean(const std::string& pointer) const;
  [[nodiscard]] std::size_t size(const std::string& pointer = "") const;
  [[nodiscard]] std::vector<Json> items(const std::string& pointer = "") const;     // of an array
  [[nodiscard]] std::vector<std::string> keys(const std::string& pointer = "") const;  // of an object
  [[nodiscard]] std::string dump() const;

 private:
  struct Value;
  explicit Json(std::shared_ptr<const Value> value) : value_(std::move(value)) {}
  std::shared_ptr<const Value> value_;
};

}  // namespace vps::test
