#include "daemon/networks/firewall.h"

#include <nlohmann/json.hpp>
#include "daemon/api/body.h"
#include "daemon/api/describe.h"
#include "daemon/api/handlers.h"
#include "daemon/password.h"
#include "specs/vps/definition_yaml.h"

namespace vps::daemon::api {
namespace {

// Counters of what runs: of each rule, and under 0 what the defaults have dropped.
json counters_of(const std::vector<netns::RuleCounter>& counters, std::uint32_t number, std::optional<net::Direction> direction) {
  std::uint64_t packets = 0, bytes = 0;
  for (const auto& counter : counters)
    if (counter.number == number && (!direction || counter.direction == *direction)) {
      packets += counter.packets;
      bytes += counter.bytes;
    }
  return {{"packets", packets}, {"bytes", bytes}};
}

Result<Reply> changed(const FirewallChange& change) {
  auto body = describe_changes(change.result);
  if (change.number != 0) body["number"] = change.number;
  return Reply{.body = dump(body)};
}

}  // namespace

Result<Reply> show_firewall(const Call& call) {
  auto& services = call.context.manager.services();
  auto container = VPS_TRY(call.context.manager.find(call.param("vps")));
  auto definition = json::parse(format_definition_json(container->snapshot().definition), nullptr, false);
  json firewall = json::object();
  if (definition.contains("network") && definition["network"].is_object() && definition["network"].contains("firewall"))
    firewall = definition["network"]["firewall"];
  for (const char* key : {"rules", "forwards"})
    if (!firewall.contains(key)) firewall[key] = json::array();
  for (const char* key : {"in", "out"})
    if (!firewall.contains(key)) firewall[key] = "accept";
  firewall.erase("lastNumber");
  if (!services.networks->running(container->id)) return Reply{.body = dump(firewall)};
  auto counters = services.networks->host().rule_counters(container->id);
  if (!counters) return Reply{.body = dump(firewall)};
  for (auto& rule : firewall["rules"]) rule.update(counters_of(*counters, rule.value("number", 0u), std::nullopt));
  firewall["refused"] = {{"in", counters_of(*counters, 0, net::Direction::kIn)}, {"out", counters_of(*counters, 0, net::Direction::kOut)}};
  return Reply{.body = dump(firewall)};
}

Result<Reply> change_firewall(const Call& call) {
  auto body = VPS_TRY(Body::parse(call.request.body, call.route.body));
  auto turn = VPS_TRY(query_wait(call.request, "wait"));
  auto in = VPS_TRY(body.string("in"));
  auto out = VPS_TRY(body.string("out"));
  if (static_cast<int>(body.has("rule")) + static_cast<int>(body.has("forward")) + static_cast<int>(in.has_value()) + static_cast<int>(out.has_value()) != 1)
    return fail(Code::kUsage, "body: expected one of rule, forward, in and out");
  auto before = VPS_TRY(body.number("before"));
  if (before && !body.has("rule")) return fail(Code::kUsage, "body: before goes with rule");
  auto& manager = call.context.manager;
  const auto& vps = call.param("vps");
  if (body.has("rule")) {
    auto change = VPS_TRY_CTX("rule", add_rule(manager, vps, dump(body.raw("rule")), before.value_or(0), turn));
    return changed(change);
  }
  if (body.has("forward")) {
    auto change = VPS_TRY_CTX("forward", add_forward(manager, vps, dump(body.raw("forward")), turn));
    return changed(change);
  }
  auto change = VPS_TRY(set_default(manager, vps, in ? net::Direction::kIn : net::Direction::kOut, in ? *in : *out, turn));
  return changed(change);
}

Result<Reply> delete_firewall_entry(const Call& call) {
  auto turn = VPS_TRY(query_wait(call.request, "wait"));
  auto number = parse_u64(call.param("number"));
  constexpr std::uint64_t kMost = 4'000'000'000;
  if (!number || *number == 0 || *number > kMost) return fail(Code::kUsage, "'{}' is no number of a rule", call.param("number"));
  auto change = VPS_TRY(delete_entry(call.context.manager, call.param("vps"), static_cast<std::uint32_t>(*number), turn));
  return changed(change);
}

Result<Reply> set_password(const Call& call) {
  auto body = VPS_TRY(Body::parse(call.request.body, call.route.body));
  auto turn = VPS_TRY(query_wait(call.request, "wait"));
  auto user = VPS_TRY(body.string("user"));
  auto password = VPS_TRY(body.required_string("password"));
  VPS_TRY(call.context.manager.set_password(call.param("vps"), user.value_or("root"), password, turn));
  return Reply{.body = "{}"};
}

}  // namespace vps::daemon::api
