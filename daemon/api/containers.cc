#include "daemon/api/body.h"

#include <nlohmann/json.hpp>
#include "daemon/api/describe.h"
#include "daemon/api/handlers.h"
#include "specs/vps/definition_yaml.h"
#include "storage/disk.h"

namespace vps::daemon::api {
namespace {

// {"definition": {...}} or {"yaml": text, "file": name}
Result<Definition> definition_of(const Body& body) {
  auto yaml = VPS_TRY(body.string("yaml"));
  auto file = VPS_TRY(body.string("file"));
  if (yaml && body.has("definition")) return fail(Code::kUsage, "body: definition and yaml exclude each other");
  if (yaml) return parse_definition(*yaml, file.value_or("vps.yaml"));
  if (!body.has("definition")) return fail(Code::kUsage, "body: definition or yaml is missing");
  if (!body.raw("definition").is_object()) return fail(Code::kUsage, "body: definition: expected an object");
  // The JSON form is read by the reader of the YAML form, of which it is a part.
  return parse_definition(dump(body.raw("definition")), "");
}

json definition_json(const Definition& definition) { return json::parse(format_definition_json(definition), nullptr, false); }

// As it runs, or as the next start would make it.
Result<net::VpsPlan> plan_of(Services& services, const ContainerFacts& facts, const Container& container) {
  if (auto running = services.networks->running(container.id)) return *running;
  if (facts.broken) return net::VpsPlan{};
  return services.networks->preview(facts.definition, facts.record.uuid);
}

Result<json> full_description(const Call& call, const ContainerPtr& container) {
  auto& services = call.context.manager.services();
  auto facts = container->snapshot();
  json usage = nullptr;
  call.context.sampler.refresh_traffic();
  if (auto sample = call.context.sampler.sample(container)) usage = describe_sample(container->id, *sample);
  if (usage.is_null()) usage = json::object();
  if (auto drops = services.networks->running(container->id) ? services.networks->host().drops() : std::vector<netns::DropCounter>{}) {
    json dropped = json::array();
    for (const auto& drop : *drops)
      if (drop.id == container->id)
        dropped.push_back({{"kind", netns::drop_kind_name(drop.kind)}, {"link", drop.link}, {"packets", drop.packets}, {"bytes", drop.bytes}});
    usage["dropped"] = dropped;
  }
  if (auto disk = storage::disk_usage(container->paths.disk))
    usage["disk"] = {{"bytes", disk->bytes}, {"entries", disk->entries}};

  const Definition& active = facts.active ? *facts.active : facts.definition;
  json limits = describe_limits(facts.limits);
  if (limits.empty() && !facts.broken)
    if (auto resources = resources_of(services, container->paths, active, facts.record.ids))
      limits = describe_limits(cgroups::Group::explain(services.host, *resources));
  if (facts.definition.disk.size) {
    auto reason = storage::explain_disk(facts.definition.disk);
    limits.push_back({{"limit", "disk.size"},
                      {"value", format_size(*facts.definition.disk.size)},
                      {"state", reason.empty() ? "enforced" : "unavailable"},
                      {"file", ""},
                      {"reason", reason}});
  }
  json interfaces = json::array();
  if (auto plan = plan_of(services, facts, *container); plan && !plan->ports.empty()) {
    interfaces = describe_interfaces(*plan);
    if (auto reports = services.networks->limits(*plan))
      for (const auto& report : *reports) limits.push_back(describe_limit(report));
  }
  json security = nullptr;
  if (!facts.broken) {
    auto compiled = compile_definition(services, container->paths, active, facts.record.ids,
                                       facts.init_path.empty() ? "/sbin/init" : facts.init_path);
    if (compiled) security = describe_security(facts, *compiled);
  }
  return json{{"definition", definition_json(facts.definition)},
              {"status", describe_status(*container, facts)},
              {"limits", limits},
              {"interfaces", interfaces},
              {"usage", usage},
              {"security", security},
              {"init", {{"kind", facts.init_kind}, {"path", facts.init_path}}}};
}

}  // namespace

Result<Reply> list_containers(const Call& call) {
  const bool all = VPS_TRY(query_flag(call.request, "all"));
  json list = json::array();
  auto& services = call.context.manager.services();
  auto leases = services.networks->leases().by_vps();
  for (const auto& container : services.registry.list()) {
    auto facts = container->snapshot();
    if (!all && (facts.state == State::kStopped || facts.state == State::kFailed)) continue;
    // One that has been started since the last round of samples.
    if (is_running(facts.state) && !facts.usage)
      if (auto usage = call.context.sampler.look(container)) facts.usage = *usage;
    list.push_back(describe_summary(*container, facts, leases ? (*leases)[container->id] : std::vector<Lease>{}));
  }
  return Reply{.body = dump(list)};
}

Result<Reply> create_container(const Call& call) {
  auto body = VPS_TRY(Body::parse(call.request.body, call.route.body));
  auto definition = VPS_TRY(definition_of(body));
  auto assignments = VPS_TRY(body.strings("set"));
  for (const auto& assignment : assignments) VPS_TRY(set_key(definition, assignment));
  const bool start = VPS_TRY(body.flag("start"));
  auto ssh_keys = VPS_TRY(body.strings("sshKeys"));
  if (VPS_TRY(body.flag("dryRun"))) {
    auto preview = VPS_TRY(call.context.manager.preview_create(definition));
    return Reply{.body = dump({{"definition", definition_json(preview.definition)},
                               {"steps", preview.steps},
                               {"limits", describe_limits(preview.limits)},
                               {"warnings", preview.warnings}})};
  }
  auto operation = VPS_TRY(call.context.manager.create(definition, start, ssh_keys));
  return operation_reply(call, operation);
}

Result<Reply> show_container(const Call& call) {
  auto container = VPS_TRY(call.context.manager.find(call.param("vps")));
  auto format = call.request.query.find("format");
  if (format != call.request.query.end() && format->second == "yaml") {
    Reply reply;
    reply.content_type = "text/yaml";
    reply.body = format_definition(container->snapshot().definition);
    return reply;
  }
  if (format != call.request.query.end() && format->second != "json")
    return fail(Code::kUsage, "query: format: expected json or yaml, found '{}'", format->second);
  auto description = VPS_TRY(full_description(call, container));
  return Reply{.body = dump(description)};
}

Result<Reply> change_container(const Call& call) {
  auto body = VPS_TRY(Body::parse(call.request.body, call.route.body));
  auto assignments = VPS_TRY(body.strings("set"));
  if (assignments.empty()) return fail(Code::kUsage, "body: set is missing");
  auto mode_name = VPS_TRY(body.string("mode"));
  auto mode = VPS_TRY(change_mode_from_name(mode_name.value_or("both")));
  const bool dry_run = VPS_TRY(body.flag("dryRun"));
  auto turn = VPS_TRY(query_wait(call.request, "wait"));
  auto result = VPS_TRY(call.context.manager.set(call.param("vps"), assignments, mode, dry_run, turn));
  return Reply{.body = dump(describe_changes(result))};
}

Result<Reply> replace_container(const Call& call) {
  auto body = VPS_TRY(Body::parse(call.request.body, call.route.body));
  auto definition = VPS_TRY(definition_of(body));
  const bool dry_run = VPS_TRY(body.flag("dryRun"));
  auto turn = VPS_TRY(query_wait(call.request, "wait"));
  auto result = VPS_TRY(call.context.manager.replace(call.param("vps"), definition, dry_run, turn));
  return Reply{.body = dump(describe_changes(result))};
}

Result<Reply> rename_container(const Call& call) {
  auto body = VPS_TRY(Body::parse(call.request.body, call.route.body));
  auto name = VPS_TRY(body.string("name"));
  if (!name) return fail(Code::kUsage, "body: name is missing");
  auto turn = VPS_TRY(query_wait(call.request, "wait"));
  auto container = VPS_TRY(call.context.manager.find(call.param("vps")));
  VPS_TRY(call.context.manager.rename(container->id, *name, turn));
  auto leases = call.context.manager.services().networks->leases().of_vps(container->id);
  return Reply{.body = dump(describe_summary(*container, container->snapshot(), leases.value_or(std::vector<Lease>{})))};
}

Result<Reply> container_stats(const Call& call) {
  auto container = VPS_TRY(call.context.manager.find(call.param("vps")));
  call.context.sampler.refresh_traffic();
  auto sample = VPS_TRY(call.context.sampler.sample(container));
  return Reply{.body = dump(describe_sample(container->id, sample))};
}

Result<Reply> all_stats(const Call& call) {
  call.context.sampler.refresh_traffic();
  json list = json::array();
  for (const auto& container : call.context.manager.services().registry.list())
    if (is_running(container->state()))
      if (auto sample = call.context.sampler.sample(container)) list.push_back(describe_sample(container->id, *sample));
  return Reply{.body = dump(list)};
}

}  // namespace vps::daemon::api
