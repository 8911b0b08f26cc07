#include "daemon/api/body.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace vps::daemon::api {
namespace {

using nlohmann::json;

// Before the parser builds anything: brackets outside of strings, counted.
Result<> check_depth(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      else if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) return fail(Code::kUsage, "body: nested deeper than {} levels", kMaxJsonDepth);
    }
    if (c == '}' || c == ']') --depth;
  }
  return {};
}

std::unexpected<Error> expected(const std::string& key, std::string_view what) {
  return fail(Code::kUsage, "body: {}: expected {}", key, what);
}

}  // namespace

Body::Body(const nlohmann::json& value) : value_(std::make_shared<const nlohmann::json>(value)) {}

bool Body::has(const std::string& key) const { return value_->contains(key); }

const nlohmann::json& Body::raw(const std::string& key) const { return value_->at(key); }

Result<Body> Body::parse(std::string_view text, const std::vector<std::string>& known) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return Body(json::object());
  VPS_TRY(check_depth(text));
  json value;
  std::set<std::string> seen;
  std::optional<std::string> twice;
  try {
    value = json::parse(text, [&](int depth, json::parse_event_t event, json& parsed) {
      if (event == json::parse_event_t::key && depth == 1 && !seen.insert(parsed.get<std::string>()).second)
        twice = parsed.get<std::string>();
      return true;
    });
  } catch (const json::exception& e) {
    // The library's text begins with its own error number in brackets.
    std::string_view what = e.what();
    if (auto end = what.find("] "); end != std::string_view::npos) what.remove_prefix(end + 2);
    return fail(Code::kUsage, "body: not JSON: {}", what);
  }
  if (!value.is_object()) return fail(Code::kUsage, "body: expected a JSON object");
  if (twice) return fail(Code::kUsage, "body: {} is given twice", *twice);
  for (const auto& [key, ignored] : value.items())
    if (std::ranges::find(known, key) == known.end()) return fail(Code::kUsage, "body: unknown member {}", json(key).dump());
  return Body(std::move(value));
}

Result<std::optional<std::string>> Body::string(const std::string& key) const {
  auto it = value_->find(key);
  if (it == value_->end() || it->is_null()) return std::optional<std::string>();
  if (!it->is_string()) return expected(key, "a string");
  return std::optional(it->get<std::string>());
}

Result<std::string> Body::required_string(const std::string& key) const {
  auto value = VPS_TRY(string(key));
  if (!value || value->empty()) return fail(Code::kUsage, "body: {} is missing", key);
  return *value;
}

Result<bool> Body::flag(const std::string& key) const {
  auto it = value_->find(key);
  if (it == value_->end() || it->is_null()) return false;
  if (!it->is_boolean()) return expected(key, "true or false");
  return it->get<bool>();
}

Result<std::optional<std::uint32_t>> Body::number(const std::string& key) const {
  auto it = value_->find(key);
  if (it == value_->end() || it->is_null()) return std::optional<std::uint32_t>();
  if (!it->is_number_unsigned() || it->get<std::uint64_t>() == 0 || it->get<std::uint64_t>() > UINT32_MAX) return expected(key, "a whole number from 1");
  return std::optional(it->get<std::uint32_t>());
}

Result<std::vector<std::string>> Body::strings(const std::string& key) const {
  std::vector<std::string> values;
  auto it = value_->find(key);
  if (it == value_->end() || it->is_null()) return values;
  if (!it->is_array()) return expected(key, "an array of strings");
  for (const auto& each : *it) {
    if (!each.is_string()) return expected(key, "an array of strings");
    values.push_back(each.get<std::string>());
    if (values.back().find('\0') != std::string::npos) return expected(key, "strings without NUL");
  }
  return values;
}

Result<std::map<std::string, std::string>> Body::string_map(const std::string& key) const {
  std::map<std::string, std::string> values;
  auto it = value_->find(key);
  if (it == value_->end() || it->is_null()) return values;
  if (!it->is_object()) return expected(key, "an object of strings");
  for (const auto& [name, each] : it->items()) {
    bool good = each.is_string() && !name.empty() && name.find('=') == std::string::npos && name.find('\0') == std::string::npos;
    if (!good) return expected(key, "an object of strings");
    values[name] = each.get<std::string>();
    if (values[name].find('\0') != std::string::npos) return expected(key, "strings without NUL");
  }
  return values;
}

Result<std::optional<Milliseconds>> Body::duration(const std::string& key) const {
  auto it = value_->find(key);
  if (it == value_->end() || it->is_null()) return std::optional<Milliseconds>();
  std::string text;
  if (it->is_string()) text = it->get<std::string>();
  else if (it->is_number()) text = it->dump();
  auto parsed = parse_duration(text);
  if (!parsed) return expected(key, "a duration like \"90s\"");
  return std::optional(*parsed);
}

}  // namespace vps::daemon::api
