#include "daemon/api/body.h"

#include <nlohmann/json.hpp>
#include "daemon/api/describe.h"
#include "daemon/api/handlers.h"

namespace vps::daemon::api {
namespace {

Result<json> described(Services& services, const Network& network) {
  auto leases = VPS_TRY(services.networks->leases().of_network(network.name));
  return describe_network(network, network_users(services, network.name), leases);
}

Result<Reply> changed(Services& services, const NetworkResult& result) {
  auto network = VPS_TRY(described(services, result.network));
  return Reply{.body = dump({{"network", network}, {"warnings", result.warnings}})};
}

}  // namespace

Result<Reply> list_networks(const Call& call) {
  auto& services = call.context.manager.services();
  json list = json::array();
  for (const auto& [name, network] : services.networks->all()) {
    auto entry = VPS_TRY(described(services, network));
    list.push_back(std::move(entry));
  }
  return Reply{.body = dump(list)};
}

Result<Reply> create_network(const Call& call) {
  auto body = VPS_TRY(Body::parse(call.request.body, call.route.body));
  auto yaml = VPS_TRY(body.string("yaml"));
  auto file = VPS_TRY(body.string("file"));
  if (yaml && body.has("definition")) return fail(Code::kUsage, "body: definition and yaml exclude each other");
  if (!yaml && !body.has("definition")) return fail(Code::kUsage, "body: definition or yaml is missing");
  auto network = yaml ? parse_network_definition(*yaml, file.value_or("network.yaml")) : parse_network_definition(dump(body.raw("definition")), "");
  if (!network) return std::unexpected(std::move(network).error());
  auto& services = call.context.manager.services();
  auto result = VPS_TRY(services.networks->create(*std::move(network)));
  return changed(services, result);
}

Result<Reply> show_network(const Call& call) {
  auto& services = call.context.manager.services();
  auto all = services.networks->all();
  auto found = all.find(call.param("network"));
  if (found == all.end()) return fail(Code::kNotFound, "no network {}", call.param("network"));
  auto format = call.request.query.find("format");
  if (format != call.request.query.end() && format->second == "yaml") {
    Reply reply;
    reply.content_type = "text/yaml";
    reply.body = format_network(found->second);
    return reply;
  }
  if (format != call.request.query.end() && format->second != "json")
    return fail(Code::kUsage, "query: format: expected json or yaml, found '{}'", format->second);
  auto network = VPS_TRY(described(services, found->second));
  return Reply{.body = dump(network)};
}

Result<Reply> change_network(const Call& call) {
  auto body = VPS_TRY(Body::parse(call.request.body, call.route.body));
  auto assignments = VPS_TRY(body.strings("set"));
  if (assignments.empty()) return fail(Code::kUsage, "body: set is missing");
  auto& services = call.context.manager.services();
  const auto& name = call.param("network");
  auto result = VPS_TRY(services.networks->change(name, assignments, network_users(services, name)));
  return changed(services, result);
}

Result<Reply> delete_network(const Call& call) {
  auto& services = call.context.manager.services();
  const auto& name = call.param("network");
  VPS_TRY(services.networks->remove(name, network_users(services, name)));
  return Reply{.body = "{}"};
}

}  // namespace vps::daemon::api
