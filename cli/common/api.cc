#include "cli/common/api.h"

namespace vps::cli {

std::string api_path(std::initializer_list<std::string_view> segments,
                     std::initializer_list<std::pair<std::string_view, std::string_view>> query) {
  std::string path = "/v1";
  for (auto segment : segments) {
    path += '/';
    path += percent_encode(segment);
  }
  char separator = '?';
  for (const auto& [key, value] : query) {
    if (value.empty()) continue;
    path += separator;
    path += key;
    path += '=';
    path += percent_encode(value);
    separator = '&';
  }
  return path;
}

Result<HttpResponse> Api::request(std::string_view method, const std::string& path, const std::string& body,
                                  const Wait& wait) {
  output_.trace(fmt::format("> {} {}{}{}", method, path, body.empty() ? "" : " ", body));
  auto response = http_.request(method, path, body, wait);
  if (response) output_.trace(fmt::format("< {} ({} bytes)", response->status, response->body.size()));
  return response;
}

Error Api::take_error(const Value& error) {
  details_ = error.get("details");
  Code code = code_from_name(error.get("code").string());
  std::string message = error.get("message").string();
  if (message.empty()) message = "vpsd gave no reason";
  return {code == Code::kOk ? Code::kFailed : code, std::move(message)};
}

Error Api::error_of(unsigned status, const std::string& body) {
  auto value = parse_json(body, "answer");
  if (value && value->is_object() && value->get("code").is_string()) return take_error(*value);
  details_ = Value();
  return {Code::kFailed, fmt::format("vpsd answered with status {} and no error object", status)};
}

Result<Value> Api::get(const std::string& path, const Wait& wait) {
  auto response = VPS_TRY(request("GET", path, {}, wait));
  if (response.status / 100 != 2) return std::unexpected(error_of(response.status, response.body));
  return parse_json(response.body, "vpsd's answer");
}

Result<Value> Api::send(std::string_view method, const std::string& path, const Value& body, const Wait& wait) {
  auto text = format_json(body, 0);
  if (!is_utf8(text)) return fail(Code::kUsage, "an argument is not valid UTF-8");
  auto response = VPS_TRY(request(method, path, text, wait));
  if (response.status / 100 != 2) return std::unexpected(error_of(response.status, response.body));
  if (response.body.empty()) return Value();
  return parse_json(response.body, "vpsd's answer");
}

Result<Value> Api::remove(const std::string& path) {
  auto response = VPS_TRY(request("DELETE", path, {}, {}));
  if (response.status / 100 != 2) return std::unexpected(error_of(response.status, response.body));
  if (response.body.empty()) return Value();
  return parse_json(response.body, "vpsd's answer");
}

Result<std::string> Api::get_text(const std::string& path) {
  auto response = VPS_TRY(request("GET", path, {}, {}));
  if (response.status / 100 != 2) return std::unexpected(error_of(response.status, response.body));
  return std::move(response.body);
}

Result<HttpStream> Api::stream(const std::string& path, const Wait& wait) {
  output_.trace(fmt::format("> GET {}", path));
  auto stream = VPS_TRY(http_.open_stream(path, wait));
  output_.trace(fmt::format("< {} (stream)", stream.status()));
  if (stream.status() / 100 == 2) return stream;
  auto body = VPS_TRY(stream.read_all(wait));
  return std::unexpected(error_of(stream.status(), body));
}

Result<Value> expect_array(Value value, std::string_view what) {
  if (!value.is_array()) return fail(Code::kFailed, "vpsd's answer is malformed: {} should be an array", what);
  return value;
}

Result<Value> expect_object(Value value, std::string_view what) {
  if (!value.is_object()) return fail(Code::kFailed, "vpsd's answer is malformed: {} should be an object", what);
  return value;
}

}  // namespace vps::cli
