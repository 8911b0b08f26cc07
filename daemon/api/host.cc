#include <sys/utsname.h>

#include "daemon/api/body.h"

#include <nlohmann/json.hpp>
#include "daemon/api/describe.h"
#include "daemon/api/handlers.h"
#include "daemon/doctor.h"

namespace vps::daemon::api {

Result<Reply> stream_events(const Call& call) {
  constexpr std::size_t kBatch = 500;
  auto& services = call.context.manager.services();
  std::uint64_t cursor = VPS_TRY(query_number(call.request, "since")).value_or(0);
  const bool follow = VPS_TRY(query_flag(call.request, "follow"));
  std::string vps;
  if (auto it = call.request.query.find("vps"); it != call.request.query.end()) {
    // A name or uuid of one that exists; the id of one that is gone has events too.
    auto container = call.context.manager.find(it->second);
    vps = container ? (*container)->id : it->second;
    if (!container) VPS_TRY(validate_id(vps));
  }
  if (!call.stream.begin("application/x-ndjson")) return Reply{.streamed = true};
  while (!call.request.gone.stop_requested()) {
    const std::uint64_t newest = services.ledger->last();
    auto events = services.ledger->read(cursor, kBatch, vps);
    if (!events) break;
    std::string text;
    for (const auto& event : *events) {
      text += dump(describe_event(event)) + "\n";
      cursor = event.seq;
    }
    if (!text.empty() && !call.stream.write(text)) break;
    if (events->size() == kBatch) continue;
    cursor = std::max(cursor, newest);
    if (!follow) break;
    services.ledger->wait_beyond(cursor, call.request.gone, SteadyTime::max());
  }
  return Reply{.streamed = true};
}

Result<Reply> show_host(const Call& call) {
  const auto& services = call.context.manager.services();
  utsname names{};
  ::uname(&names);
  json controllers = json::array();
  for (const auto& each : services.host.unified_controllers) controllers.push_back(each);
  json v1 = json::object();
  for (const auto& hierarchy : services.host.v1)
    for (const auto& controller : hierarchy.controllers) v1[controller] = hierarchy.mount;
  std::size_t running = 0;
  auto all = services.registry.list();
  for (const auto& container : all) running += is_running(container->state()) ? 1 : 0;
  return Reply{.body = dump({{"version", VPS_VERSION},
                             {"api", "v1"},
                             {"protocol", supervisor::kProtocolVersion},
                             {"kernel", names.release},
                             {"architecture", names.machine},
                             {"hostname", names.nodename},
                             {"cpus", services.facts.cpus},
                             {"cgroupLayout", services.host.layout == cgroups::Layout::kUnified ? "unified" : "hybrid"},
                             {"cgroupRoot", services.host.unified_root},
                             {"controllers", controllers},
                             {"v1Controllers", v1},
                             {"recipes", storage::TemplateStore::recipes()},
                             {"containers", {{"all", all.size()}, {"running", running}}},
                             {"idRanges", {{"used", services.idmap.used()}, {"base", services.config.idmap_base},
                                           {"count", services.config.idmap_count}}},
                             {"events", {{"last", services.ledger->last()}, {"trouble", services.ledger->trouble()}}},
                             {"stateDir", services.config.roots.state},
                             {"runDir", services.config.roots.run}})};
}

Result<Reply> doctor(const Call& call) {
  json list = json::array();
  for (const auto& finding : examine_host(call.context.manager.services()))
    list.push_back({{"check", finding.check},
                    {"status", finding_status_name(finding.status)},
                    {"message", finding.message},
                    {"fix", finding.fix}});
  return Reply{.body = dump(list)};
}

Result<Reply> shut_down_host(const Call& call) {
  auto body = VPS_TRY(Body::parse(call.request.body, call.route.body));
  auto timeout = VPS_TRY(body.duration("timeout"));
  auto operation = VPS_TRY(call.context.manager.shut_down_host(timeout));
  return operation_reply(call, operation);
}

}  // namespace vps::daemon::api
