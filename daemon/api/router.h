// The table of all paths of the API: what docs/openapi.yaml describes, and a test compares with. One row per method and
// path; the row also lists the query keys and body members that it takes, all others are refused.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "daemon/api/http.h"
#include "daemon/manager.h"
#include "daemon/sampler.h"

namespace vps::daemon::api {

// What handlers work on. Thread-safe.
struct Context {
  Manager& manager;
  Sampler& sampler;
};

struct Route;
struct Call {
  Context& context;
  const Route& route;
  const Request& request;
  Stream& stream;
  [[nodiscard]] const std::string& param(const std::string& name) const { return request.params.at(name); }
};
using Handler = Result<Reply> (*)(const Call& call);

struct Route {
  Method method;
  std::string_view path;          // "/v1/containers/{vps}/start"
  std::string_view operation_id;  // of the OpenAPI file
  std::vector<std::string> query;
  std::vector<std::string> body;
  Handler handler;
};

std::span<const Route> routes();

// Finds the row and fills in the parameters of the path; nullptr: `status` is 404, or 405 with `allow` filled in.
const Route* match(Method method, std::string_view path, std::map<std::string, std::string>* params, Reply* refusal);

// Everything from a parsed head to an answer; never throws.
Reply handle(Context& context, Request request, Stream& stream);

}  // namespace vps::daemon::api
