// Requests and replies as the handlers see them: plain values, nothing of the HTTP library (that stays in server.cc).
#pragma once

#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/units.h"

namespace vps::daemon::api {

enum class Method { kGet, kPost, kPut, kPatch, kDelete };
std::string_view method_name(Method method);
std::optional<Method> method_from_name(std::string_view name);

struct Request {
  Method method = Method::kGet;
  std::string path;                          // decoded, without the query
  std::map<std::string, std::string> params; // of the path: "vps", "op", "template"
  std::map<std::string, std::string> query;
  std::string body;
  std::stop_token gone;                      // asked to stop when the client has left or vpsd goes away
};

struct Reply {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::string allow = {};  // for 405
  bool streamed = false;  // the handler has written its answer to the Stream
};

// An answer that is written piece by piece (chunked). Functions block while the client does not read, and answer false
// once it has left; the handler then returns.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual bool begin(std::string_view content_type) = 0;
  virtual bool write(std::string_view data) = 0;
};

int http_status(Code code);
Reply error_reply(const Error& error);
std::string error_json(const Error& error);  // {code, message, details}

// "/v1/a%20b?x=1&y" -> path and query; kUsage for bad escapes, control characters, repeated keys.
Result<> split_target(std::string_view target, std::string* path, std::map<std::string, std::string>* query);

// Typed query values; absent is the fallback.
Result<bool> query_flag(const Request& request, const std::string& key);            // "1" "true" "0" "false" ""
Result<std::optional<std::uint64_t>> query_number(const Request& request, const std::string& key);
Result<Milliseconds> query_wait(const Request& request, const std::string& key);    // seconds, 0..3600

}  // namespace vps::daemon::api
