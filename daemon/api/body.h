// The JSON object of a request, read member by member. Whatever has not been asked for by finish() is an unknown member.
// Limits: depth 32 (the size is the server's affair). Only for daemon/api/*.cc: the JSON header is heavy.
#pragma once

#include <map>
#include <memory>

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/units.h"

namespace vps::daemon::api {

constexpr int kMaxJsonDepth = 32;

class Body {
 public:
  // An empty text is an empty object. `known`: the members that this path takes (the route's table row).
  static Result<Body> parse(std::string_view text, const std::vector<std::string>& known);

  [[nodiscard]] bool has(const std::string& key) const;
  [[nodiscard]] const nlohmann::json& raw(const std::string& key) const;
  Result<std::optional<std::string>> string(const std::string& key) const;
  Result<std::string> required_string(const std::string& key) const;
  Result<bool> flag(const std::string& key) const;  // absent: false
  Result<std::optional<std::uint32_t>> number(const std::string& key) const;  // whole, from 1
  Result<std::vector<std::string>> strings(const std::string& key) const;
  Result<std::map<std::string, std::string>> string_map(const std::string& key) const;
  Result<std::optional<Milliseconds>> duration(const std::string& key) const;  // "90s", or a number of seconds

 private:
  explicit Body(const nlohmann::json& value);
  std::shared_ptr<const nlohmann::json> value_;
};

}  // namespace vps::daemon::api
