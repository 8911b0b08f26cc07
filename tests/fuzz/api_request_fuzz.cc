// A request as a client sends it: the first line is its target, the rest its body. Nothing of it ends the daemon.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "daemon/api/body.h"
#include "daemon/api/http.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vps::daemon::api;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto line = text.substr(0, text.find('\n'));
  text.remove_prefix(line.size() == text.size() ? line.size() : line.size() + 1);
  Request request;
  if (auto split = vps::daemon::api::split_target(line, &request.path, &request.query); split) {
    for (const auto& [key, value] : request.query) {
      (void)query_flag(request, key);
      (void)query_number(request, key);
      if (auto wait = query_wait(request, key); wait && *wait > std::chrono::hours(1)) std::abort();
    }
  } else if (error_reply(split.error()).status < 400) {
    std::abort();
  }
  auto body = Body::parse(text, {"argv", "env", "force", "timeout", "definition"});
  if (!body) return error_reply(body.error()).status == 400 ? 0 : (std::abort(), 0);
  (void)body->strings("argv");
  (void)body->string_map("env");
  (void)body->flag("force");
  (void)body->duration("timeout");
  (void)body->required_string("argv");
  return 0;
}
