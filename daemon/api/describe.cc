#include "daemon/api/describe.h"

#include <nlohmann/json.hpp>

#include "daemon/api/http.h"
#include "daemon/limit_words.h"
#include "daemon/restart_policy.h"

namespace vps::daemon::api {
namespace {

json text_or_null(const std::string& text) { return text.empty() ? json() : json(text); }

double uptime_of(const ContainerFacts& facts) {
  if (!is_running(facts.state) || !facts.status || facts.status->started_unix_ms == 0) return 0;
  auto now = unix_ms(std::chrono::system_clock::now());
  auto ms = now - static_cast<std::int64_t>(facts.status->started_unix_ms);
  return ms > 0 ? static_cast<double>(ms) / 1000 : 0;
}

int pid_of(const ContainerFacts& facts) { return is_running(facts.state) && facts.status ? facts.status->pid : 0; }

json pressure(const cgroups::Pressure& value) {
  if (!value.known) return nullptr;
  return {{"someAvg10", value.some_avg10},
          {"fullAvg10", value.full_avg10},
          {"someTotalUsec", value.some_total_usec},
          {"fullTotalUsec", value.full_total_usec}};
}

}  // namespace

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

json describe_error(const Error& error) { return json::parse(error_json(error)); }

json describe_operation(const OperationView& view) {
  return {{"id", view.id},
          {"kind", view.kind},
          {"vps", view.vps},
          {"status", operation_status_name(view.status)},
          {"percent", view.percent},
          {"step", view.step},
          {"created", format_time(view.created)},
          {"ended", view.status == OperationStatus::kRunning ? json() : json(format_time(view.ended))},
          {"error", view.error ? describe_error(*view.error) : json()},
          {"result", view.result.empty() ? json() : json::parse(view.result, nullptr, false)},
          {"warnings", view.warnings}};
}

json describe_summary(const Container& container, const ContainerFacts& facts, const std::vector<Lease>& leases) {
  json addresses = json::array();
  for (const auto& lease : leases) addresses.push_back(format_ip(lease.address.address));
  const auto& definition = facts.definition;
  return {{"id", container.id},
          {"name", definition.name},
          {"uuid", facts.record.uuid},
          {"state", state_name(facts.state)},
          {"pid", pid_of(facts)},
          {"hostname", definition.hostname.empty() ? container.id : definition.hostname},
          {"template", definition.template_name},
          {"addresses", addresses},
          {"uptime", uptime_of(facts)},
          {"onboot", definition.onboot},
          {"bootOrder", definition.boot_order},
          {"labels", definition.labels},
          {"memory", is_running(facts.state) && facts.usage ? json(facts.usage->memory_bytes) : json()},
          {"cpuUsage", is_running(facts.state) && facts.usage ? json(facts.usage->cpu_usec) : json()},
          {"init", text_or_null(facts.init_kind)},
          {"restartRequired", !restart_required(facts).empty()}};
}

json describe_status(const Container& container, const ContainerFacts& facts) {
  json status{{"state", state_name(facts.state)},
              {"pid", pid_of(facts)},
              {"supervisorPid", is_running(facts.state) && facts.status ? facts.status->supervisor_pid : 0},
              {"started", nullptr},
              {"uptime", uptime_of(facts)},
              {"ready", is_running(facts.state) && facts.status && facts.status->ready},
              {"statusText", facts.status ? facts.status->status_text : ""},
              {"exit", nullptr},
              {"idmap", nullptr},
              {"init", {{"kind", facts.init_kind}, {"path", facts.init_path}}},
              {"restarts", facts.restarts},
              {"restartAt", facts.restart_at ? json(format_time(*facts.restart_at)) : json()},
              {"restartRequired", restart_required(facts)},
              {"console", container.paths.console_log},
              {"cgroup", container.paths.cgroup_payload},
              {"rootfs", container.paths.disk},
              {"created", facts.record.created},
              {"templateDigest", facts.record.template_digest},
              {"error", text_or_null(facts.error)}};
  if (facts.status && facts.status->started_unix_ms != 0)
    status["started"] = format_time(from_unix_ms(static_cast<std::int64_t>(facts.status->started_unix_ms)));
  if (facts.status && facts.status->phase == supervisor::Phase::kExited)
    status["exit"] = {{"code", facts.status->exit.code},
                      {"signal", facts.status->exit.signal},
                      {"reason", exit_reason_name(facts.status->reason)},
                      {"text", describe_exit(facts.status->reason, facts.status->exit)}};
  if (facts.record.ids.size != 0) status["idmap"] = {{"base", facts.record.ids.base}, {"size", facts.record.ids.size}};
  return status;
}

json describe_security(const ContainerFacts& facts, const Compiled& compiled) {
  json security{{"userNamespace", facts.record.ids.size != 0}, {"idmap", nullptr}, {"noNewPrivileges", false}};
  if (facts.record.ids.size != 0) security["idmap"] = {{"base", facts.record.ids.base}, {"size", facts.record.ids.size}};
  security["capabilities"] = json::array();
  if (const auto& process = compiled.spec.process) {
    security["noNewPrivileges"] = process->no_new_privileges;
    if (process->capabilities) security["capabilities"] = process->capabilities->bounding;
  }
  security["seccomp"] = {{"profile", facts.definition.security.seccomp}, {"allowed", 0}, {"errno", nullptr}};
  for (const char* key : {"deviceRules", "devices", "maskedPaths", "readonlyPaths", "namespaces"}) security[key] = json::array();
  if (!compiled.spec.linux_) return security;
  const auto& spec = *compiled.spec.linux_;
  if (spec.seccomp) {
    std::size_t allowed = 0;
    for (const auto& rule : spec.seccomp->syscalls)
      if (rule.action == "SCMP_ACT_ALLOW") allowed += rule.names.size();
    security["seccomp"]["allowed"] = allowed;
    if (spec.seccomp->default_errno_ret) security["seccomp"]["errno"] = *spec.seccomp->default_errno_ret;
  }
  if (spec.resources)
    for (const auto& rule : spec.resources->devices) {
      auto number = [](const std::optional<std::int64_t>& value) { return value ? std::to_string(*value) : std::string("*"); };
      security["deviceRules"].push_back(fmt::format("{} {} {}:{} {}", rule.allow ? "allow" : "deny",
                                                    rule.type.empty() ? "a" : rule.type, number(rule.major),
                                                    number(rule.minor), rule.access.empty() ? "rwm" : rule.access));
    }
  // Every container has the standard ones; those of the spec come on top (runtime-spec, "Default Devices").
  for (const char* path : {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/console"})
    security["devices"].push_back(path);
  for (const auto& device : spec.devices) security["devices"].push_back(device.path);
  for (const auto& path : spec.masked_paths) security["maskedPaths"].push_back(path);
  for (const auto& path : spec.readonly_paths) security["readonlyPaths"].push_back(path);
  for (const auto& each : spec.namespaces) security["namespaces"].push_back(each.type);
  return security;
}

json describe_sample(const std::string& id, const Sample& sample) {
  const auto& s = sample.stats;
  return {{"id", id},
          {"time", format_time(sample.time)},
          {"cpu",
           {{"usageUsec", s.cpu.usage_usec},
            {"userUsec", s.cpu.user_usec},
            {"systemUsec", s.cpu.system_usec},
            {"throttledUsec", s.cpu.throttled_usec}}},
          {"memory",
           {{"current", s.memory.current},
            {"peak", s.memory.peak},
            {"limit", s.memory.limit},
            {"swap", s.memory.swap_current},
            {"anon", s.memory.anon},
            {"file", s.memory.file},
            {"oomKills", s.memory.oom_kills}}},
          {"pids", {{"current", s.pids_current}, {"limit", s.pids_limit}, {"maxEvents", s.pids_max_events}}},
          {"io",
           {{"readBytes", s.io.read_bytes},
            {"writeBytes", s.io.write_bytes},
            {"readOps", s.io.read_ops},
            {"writeOps", s.io.write_ops}}},
          {"pressure",
           {{"cpu", pressure(s.cpu_pressure)}, {"memory", pressure(s.memory_pressure)}, {"io", pressure(s.io_pressure)}}},
          {"network",
           {{"rxBytes", sample.network.in_bytes},
            {"txBytes", sample.network.out_bytes},
            {"rxPackets", sample.network.in_packets},
            {"txPackets", sample.network.out_packets}}}};
}

json describe_event(const Event& event) {
  return {{"seq", event.seq},
          {"time", format_time(event.time)},
          {"type", event.type},
          {"vps", event.vps},
          {"message", event.message},
          {"data", event.data.empty() ? json::object() : json::parse(event.data, nullptr, false)}};
}

json describe_template(const storage::Template& info, const std::vector<std::string>& used_by) {
  return {{"name", info.name},
          {"digest", info.digest},
          {"distribution", info.distribution},
          {"architecture", info.architecture},
          {"init", storage::init_kind_name(info.init)},
          {"size", info.size},
          {"entries", info.entries},
          {"created", info.created},
          {"source", info.source},
          {"usedBy", used_by}};
}

json describe_limits(const std::vector<cgroups::Enforcement>& limits) {
  json list = json::array();
  for (const auto& limit : in_definition_words(limits)) list.push_back(json::parse(enforcement_json(limit)));
  return list;
}

json describe_limits(const std::vector<std::string>& limits) {
  std::vector<cgroups::Enforcement> known;
  for (const auto& limit : limits)
    if (auto parsed = parse_enforcement(limit)) known.push_back(std::move(*parsed));
  return describe_limits(known);
}

json describe_network(const Network& network, const std::vector<std::string>& users, const std::vector<Lease>& leases) {
  json addresses = json::array();
  for (const auto& lease : leases)
    addresses.push_back({{"address", format_prefix(lease.address)}, {"vps", lease.vps}, {"interface", lease.interface}, {"fixed", lease.fixed}});
  auto described = json::parse(format_network_json(network), nullptr, false);
  for (const char* key : {"subnets", "uplinks"})
    if (!described.contains(key)) described[key] = json::array();
  described["gateways"] = json::array();
  for (const auto& subnet : network.subnets)
    if (auto gateway = subnet_gateway(network, subnet)) described["gateways"].push_back(format_ip(*gateway));
  described["nat"] = network.nat;
  described["isolated"] = network.isolated;
  described["probe"] = probe_policy_name(network.probe);
  if (network.rate_in) described["rateIn"] = format_bit_rate(*network.rate_in);
  if (network.rate_out) described["rateOut"] = format_bit_rate(*network.rate_out);
  described["usedBy"] = users;
  described["addresses"] = addresses;
  return described;
}

json describe_limit(const netns::LimitReport& limit) {
  const bool packets = limit.limit == "packetRate";
  return {{"limit", fmt::format("network.{}.{}", limit.port, limit.limit)},
          {"value", packets ? fmt::format("{} packets/s", limit.value) : format_bit_rate(BitRate{limit.value})},
          {"state", limit.enforced ? "enforced" : "unavailable"},
          {"file", limit.enforced ? limit.by : ""},
          {"reason", limit.enforced ? "" : limit.by}};
}

json describe_interfaces(const net::VpsPlan& plan) {
  json list = json::array();
  for (const auto& port : plan.ports) {
    json addresses = json::array(), routes = json::array(), guards = json::array();
    for (const auto& address : port.addresses) addresses.push_back(format_prefix(address));
    for (const auto& route : port.routes)
      routes.push_back({{"to", route.destination.length == 0 ? "default" : format_prefix(route.destination)},
                        {"via", route.via ? json(format_ip(*route.via)) : json()}});
    if (netns::covered(port.mode))
      for (const auto& [on, name] : {std::pair(port.guard.mac, "mac"), {port.guard.ip, "ip"}, {port.guard.arp, "arp"}, {port.guard.router, "router"}})
        if (on) guards.push_back(name);
    list.push_back({{"name", port.guest_link},
                    {"network", port.network},
                    {"mode", mode_name(port.mode)},
                    {"mac", format_mac(port.mac)},
                    {"hostLink", port.host_link},
                    {"addresses", addresses},
                    {"routes", routes},
                    {"guards", guards}});
  }
  return list;
}

json describe_changes(const ChangeResult& result) {
  json changes = json::array();
  for (const auto& change : result.changes)
    changes.push_back({{"key", change.key},
                       {"from", change.from},
                       {"to", change.to},
                       {"effect", change.effect == ChangeEffect::kLive ? "live" : "nextStart"}});
  return {{"changes", changes},
          {"limits", describe_limits(result.limits)},
          {"warnings", result.warnings},
          {"restartRequired", result.restart_required}};
}

}  // namespace vps::daemon::api
