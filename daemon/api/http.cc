#include "daemon/api/http.h"

#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

namespace vps::daemon::api {
namespace {

constexpr std::array<std::string_view, 5> kMethodNames = {"GET", "POST", "PUT", "PATCH", "DELETE"};
constexpr std::uint64_t kMaxWaitSeconds = 3600;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> decode(std::string_view text, bool plus_is_space) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
      if (low < 0) return fail(Code::kUsage, "bad escape in the request's address");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') return fail(Code::kUsage, "control character in the request's address");
    out += c;
  }
  return out;
}

}  // namespace

std::string_view method_name(Method method) { return kMethodNames[static_cast<std::size_t>(method)]; }

std::optional<Method> method_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kMethodNames.size(); ++i)
    if (kMethodNames[i] == name) return static_cast<Method>(i);
  return std::nullopt;
}

int http_status(Code code) {
  switch (code) {
    case Code::kOk: return 200;
    case Code::kFailed: return 500;
    case Code::kUsage: return 400;
    case Code::kNotFound: return 404;
    case Code::kExists: return 409;
    case Code::kWrongState: return 409;
    case Code::kNotAllowed: return 403;
    case Code::kBusy: return 423;
    case Code::kTimedOut: return 504;
    case Code::kUnavailable: return 507;
  }
  return 500;
}

std::string error_json(const Error& error) {
  nlohmann::json details{{"exit", static_cast<int>(error.code())}};
  if (error.err() != 0)
    if (const char* name = ::strerrorname_np(error.err())) details["errno"] = name;
  nlohmann::json value{{"code", code_name(error.code())}, {"message", error.to_string()}, {"details", details}};
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Reply error_reply(const Error& error) {
  Reply reply;
  reply.status = http_status(error.code());
  reply.body = error_json(error);
  return reply;
}

Result<> split_target(std::string_view target, std::string* path, std::map<std::string, std::string>* query) {
  auto mark = target.find('?');
  *path = VPS_TRY(decode(target.substr(0, mark), false));
  if (mark == std::string_view::npos) return {};
  std::string_view rest = target.substr(mark + 1);
  while (!rest.empty()) {
    auto end = rest.find('&');
    std::string_view item = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (item.empty()) continue;
    auto equals = item.find('=');
    auto key = VPS_TRY(decode(item.substr(0, equals), true));
    auto value = VPS_TRY(decode(equals == std::string_view::npos ? std::string_view() : item.substr(equals + 1), true));
    if (!query->emplace(key, value).second) return fail(Code::kUsage, "query: {} is given twice", key);
  }
  return {};
}

Result<bool> query_flag(const Request& request, const std::string& key) {
  auto it = request.query.find(key);
  if (it == request.query.end() || it->second == "0" || it->second == "false") return false;
  if (it->second.empty() || it->second == "1" || it->second == "true") return true;
  return fail(Code::kUsage, "query: {}: expected 0 or 1, found '{}'", key, it->second);
}

Result<std::optional<std::uint64_t>> query_number(const Request& request, const std::string& key) {
  auto it = request.query.find(key);
  if (it == request.query.end()) return std::optional<std::uint64_t>();
  auto number = parse_u64(it->second);
  if (!number) return fail(Code::kUsage, "query: {}: expected a number, found '{}'", key, it->second);
  return std::optional(*number);
}

Result<Milliseconds> query_wait(const Request& request, const std::string& key) {
  auto seconds = VPS_TRY(query_number(request, key)).value_or(0);
  if (seconds > kMaxWaitSeconds) return fail(Code::kUsage, "query: {}: at most {} seconds, found {}", key, kMaxWaitSeconds, seconds);
  return Milliseconds(static_cast<std::int64_t>(seconds) * 1000);
}

}  // namespace vps::daemon::api
