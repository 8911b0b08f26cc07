#include "tests/support/json.h"

#include <nlohmann/json.hpp>

namespace vps::test {

struct Json::Value {
  nlohmann::json json;
  [[nodiscard]] const nlohmann::json* find(const std::string& pointer) const {
    nlohmann::json::json_pointer at(pointer);
    return json.contains(at) ? &json.at(at) : nullptr;
  }
};

Result<Json> Json::parse(std::string_view text) {
  auto value = std::make_shared<Value>();
  value->json = nlohmann::json::parse(text, nullptr, false);
  if (value->json.is_discarded()) return fail(Code::kUsage, "not JSON: {}", text);
  return Json(std::move(value));
}

Result<std::vector<Json>> Json::parse_lines(std::string_view text) {
  std::vector<Json> result;
  while (!text.empty()) {
    auto end = std::min(text.find('\n'), text.size());
    if (end > 0) result.push_back(VPS_TRY(parse(text.substr(0, end))));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

bool Json::has(const std::string& pointer) const { return value_->find(pointer) != nullptr; }

std::string Json::type(const std::string& pointer) const {
  const auto* found = value_->find(pointer);
  return found != nullptr ? found->type_name() : "missing";
}

std::string Json::string(const std::string& pointer) const {
  const auto* found = value_->find(pointer);
  return found != nullptr && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t Json::number(const std::string& pointer) const {
  const auto* found = value_->find(pointer);
  return found != nullptr && found->is_number() ? found->get<std::int64_t>() : 0;
}

double Json::real(const std::string& pointer) const {
  const auto* found = value_->find(pointer);
  return found != nullptr && found->is_number() ? found->get<double>() : 0.0;
}

bool Json::boolean(const std::string& pointer) const {
  const auto* found = value_->find(pointer);
  return found != nullptr && found->is_boolean() && found->get<bool>();
}

std::size_t Json::size(const std::string& pointer) const {
  const auto* found = value_->find(pointer);
  return found != nullptr && found->is_structured() ? found->size() : 0;
}

std::vector<Json> Json::items(const std::string& pointer) const {
  std::vector<Json> result;
  const auto* found = value_->find(pointer);
  if (found == nullptr || !found->is_array()) return result;
  for (const auto& item : *found) {
    auto value = std::make_shared<Value>();
    value->json = item;
    result.push_back(Json(std::move(value)));
  }
  return result;
}

std::vector<std::string> Json::keys(const std::string& pointer) const {
  std::vector<std::string> result;
  const auto* found = value_->find(pointer);
  if (found == nullptr || !found->is_object()) return result;
  for (const auto& [key, ignored] : found->items()) result.push_back(key);
  return result;
}

std::string Json::dump() const { return value_->json.dump(2); }

}  // namespace vps::test
