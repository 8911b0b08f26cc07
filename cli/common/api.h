// The API of vpsd (docs/design/api.md) as typed calls: requests go out as Values, answers come back as Values, and errors as
// Error with the daemon's own code and message. Not thread-safe.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "cli/common/http.h"
#include "cli/common/output.h"
#include "cli/common/value.h"

namespace vps::cli {

// "/v1/containers/101/start?wait=3": segments and query values are encoded; a query item with an empty value is left out.
std::string api_path(std::initializer_list<std::string_view> segments,
                     std::initializer_list<std::pair<std::string_view, std::string_view>> query = {});

class Api {
 public:
  Api(std::string socket_path, Output& output) : http_(std::move(socket_path)), output_(output) {}

  Result<Value> get(const std::string& path, const Wait& wait = {});
  Result<Value> send(std::string_view method, const std::string& path, const Value& body, const Wait& wait = {});
  Result<Value> post(const std::string& path, const Value& body) { return send("POST", path, body); }
  Result<Value> remove(const std::string& path);
  Result<std::string> get_text(const std::string& path);
  Result<HttpStream> stream(const std::string& path, const Wait& wait = {});

  // `details` of the last error that the daemon sent (null: none), for the JSON form of the error.
  [[nodiscard]] const Value& details() const { return details_; }
  void set_details(Value details) { details_ = std::move(details); }
  void clear_details() { details_ = Value(); }
  // Turns {code, message, details} into an Error and remembers the details.
  Error take_error(const Value& error);

  [[nodiscard]] const std::string& socket_path() const { return http_.socket_path(); }

 private:
  Result<HttpResponse> request(std::string_view method, const std::string& path, const std::string& body, const Wait& wait);
  Error error_of(unsigned status, const std::string& body);

  HttpClient http_;
  Output& output_;
  Value details_;
};

// The answer must be of this kind: what a newer, older or broken daemon sends is an error, never a crash or silence.
Result<Value> expect_array(Value value, std::string_view what);
Result<Value> expect_object(Value value, std::string_view what);

}  // namespace vps::cli
