#include <time.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "daemon/api/describe.h"
#include "daemon/api/handlers.h"

namespace vps::daemon::api {
namespace {

// "2026-11-25" or "2026-11-25T10:00:00Z", UTC.
Result<std::int64_t> time_of(const Call& call, const std::string& key, std::int64_t otherwise) {
  auto found = call.request.query.find(key);
  if (found == call.request.query.end()) return otherwise;
  tm parts{};
  int length = 0;
  int fields = std::sscanf(found->second.c_str(), "%4d-%2d-%2d%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &length);
  auto rest = found->second.substr(fields == 3 ? static_cast<std::size_t>(length) : 0);
  bool good = fields == 3 && length == 10;
  if (good && !rest.empty()) {
    int more = 0;
    good = std::sscanf(rest.c_str(), "T%2d:%2d:%2dZ%n", &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &more) == 3 && rest.size() == static_cast<std::size_t>(more);
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  tm wanted = parts;
  time_t seconds = good ? ::timegm(&parts) : -1;
  good = good && seconds >= 0 && parts.tm_mday == wanted.tm_mday && parts.tm_mon == wanted.tm_mon && parts.tm_hour == wanted.tm_hour;
  if (!good) return fail(Code::kUsage, "{}: expected a time of UTC like 2026-11-25 or 2026-11-25T10:00:00Z, found '{}'", key, found->second);
  return seconds;
}

}  // namespace

Result<Reply> show_usage(const Call& call) {
  auto container = VPS_TRY(call.context.manager.find(call.param("vps")));
  constexpr std::int64_t kEnd = 253'402'300'800;  // the year 10000
  auto from = VPS_TRY(time_of(call, "from", 0));
  auto to = VPS_TRY(time_of(call, "to", kEnd));
  if (from >= to) return fail(Code::kUsage, "from: it is not before to");
  auto by = call.request.query.find("by");
  auto span = VPS_TRY_CTX("by", usage_span_from_name(by == call.request.query.end() ? "day" : std::string_view(by->second)));
  call.context.sampler.refresh_traffic();
  auto rows = VPS_TRY(call.context.manager.services().traffic->usage(container->id, from, to, span));
  json list = json::array();
  for (const auto& row : rows)
    list.push_back({{"from", span == UsageSpan::kTotal ? json() : json(format_time(from_unix_ms(row.from * 1000)))},
                    {"direction", row.direction == net::Direction::kIn ? "in" : "out"},
                    {"family", row.family == Family::kV6 ? "ipv6" : "ipv4"},
                    {"class", row.traffic_class},
                    {"bytes", row.bytes},
                    {"packets", row.packets}});
  return Reply{.body = dump({{"id", container->id}, {"traffic", list}})};
}

}  // namespace vps::daemon::api
