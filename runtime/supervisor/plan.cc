// plan.json and state.json: the two files that vpsd and a supervisor leave for each other.
#include <nlohmann/json.hpp>

#include "runtime/supervisor/client.h"
#include "runtime/supervisor/plan_network.h"

namespace vps::supervisor {
namespace {

using nlohmann::json;
constexpr int kSchema = 1;

// Library exceptions end here; a missing or mistyped key is one clear line.
template <class Function>
auto guarded(std::string_view what, Function function) -> decltype(function()) {
  try {
    return function();
  } catch (const json::exception& e) {
    return fail(Code::kUsage, "{}: {}", what, e.what());
  }
}

Result<json> parse(std::string_view text, std::string_view what) {
  auto value = json::parse(text, nullptr, false);
  if (!value.is_object()) return fail(Code::kUsage, "{}: not a JSON object", what);
  if (value.value("schema", 0) != kSchema) return fail(Code::kUsage, "{}: unknown schema version", what);
  return value;
}

}  // namespace

std::string format_plan(const Plan& plan) {
  json rootfs{{"lower", plan.rootfs.lower},
              {"upper", plan.rootfs.upper},
              {"work", plan.rootfs.work},
              {"idmapped", plan.rootfs.idmapped}};
  json value{{"schema", kSchema},
             {"id", plan.id},
             {"initKind", plan.init_kind},
             {"rootfs", rootfs},
             {"ids", {{"base", plan.ids.base}, {"size", plan.ids.size}}},
             {"notifyReady", plan.notify_ready},
             {"cgroupPayload", plan.cgroup_payload},
             {"cgroupSupervisor", plan.cgroup_supervisor},
             {"consoleLog", plan.console_log},
             {"consoleLogSize", plan.console_log_size},
             {"runState", plan.run_state},
             {"socket", plan.socket},
             {"hostDir", plan.host_dir},
             {"config", plan.config},
             {"seccompCache", plan.seccomp_cache},
             {"network", network_json(plan.network)},
             {"guest",
              {{"configure", plan.guest.configure},
               {"hostname", plan.guest.hostname},
               {"nameservers", plan.guest.nameservers},
               {"search", plan.guest.search}}},
             {"linkOwner", plan.link_owner},
             {"networkRecords", plan.network_records},
             {"etcFiles", plan.etc_files}};
  return value.dump(1);
}

Result<Plan> parse_plan(std::string_view text) {
  auto value = VPS_TRY(parse(text, "plan.json"));
  return guarded("plan.json", [&]() -> Result<Plan> {
    Plan plan;
    value.at("id").get_to(plan.id);
    value.at("initKind").get_to(plan.init_kind);
    const auto& rootfs = value.at("rootfs");
    rootfs.at("lower").get_to(plan.rootfs.lower);
    rootfs.at("upper").get_to(plan.rootfs.upper);
    rootfs.at("work").get_to(plan.rootfs.work);
    rootfs.at("idmapped").get_to(plan.rootfs.idmapped);
    value.at("ids").at("base").get_to(plan.ids.base);
    value.at("ids").at("size").get_to(plan.ids.size);
    value.at("notifyReady").get_to(plan.notify_ready);
    value.at("cgroupPayload").get_to(plan.cgroup_payload);
    value.at("cgroupSupervisor").get_to(plan.cgroup_supervisor);
    value.at("consoleLog").get_to(plan.console_log);
    value.at("consoleLogSize").get_to(plan.console_log_size);
    value.at("runState").get_to(plan.run_state);
    value.at("socket").get_to(plan.socket);
    value.at("hostDir").get_to(plan.host_dir);
    value.at("config").get_to(plan.config);
    value.at("seccompCache").get_to(plan.seccomp_cache);
    plan.network = VPS_TRY_CTX("plan.json: network", parse_network(value.at("network")));
    const auto& guest = value.at("guest");
    guest.at("configure").get_to(plan.guest.configure);
    guest.at("hostname").get_to(plan.guest.hostname);
    guest.at("nameservers").get_to(plan.guest.nameservers);
    guest.at("search").get_to(plan.guest.search);
    value.at("linkOwner").get_to(plan.link_owner);
    value.at("networkRecords").get_to(plan.network_records);
    value.at("etcFiles").get_to(plan.etc_files);
    return plan;
  });
}

std::string limit_json(const LimitLine& limit) {
  json value{{"limit", limit.limit}, {"value", limit.value}, {"state", limit.state}, {"file", limit.file}, {"reason", limit.reason}};
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string format_run_state(const RunState& state) {
  const Status& s = state.status;
  json value{{"schema", kSchema},
             {"id", state.id},
             {"bootId", state.boot_id},
             {"pidStartTime", state.pid_start_time},
             {"supervisorStartTime", state.supervisor_start_time},
             {"phase", phase_name(s.phase)},
             {"paused", s.paused},
             {"ready", s.ready},
             {"pid", s.pid},
             {"supervisorPid", s.supervisor_pid},
             {"startedUnixMs", s.started_unix_ms},
             {"exit", {{"code", s.exit.code}, {"signal", s.exit.signal}}},
             {"reason", exit_reason_name(s.reason)},
             {"statusText", s.status_text},
             {"limits", s.limits}};
  if (s.has_error)
    value["error"] = {{"code", code_name(s.error.code())}, {"errno", s.error.err()}, {"message", s.error.message()}};
  return value.dump(1, ' ', false, json::error_handler_t::replace);
}

Result<RunState> parse_run_state(std::string_view text) {
  auto value = VPS_TRY(parse(text, "state.json"));
  return guarded("state.json", [&]() -> Result<RunState> {
    RunState state;
    Status& s = state.status;
    value.at("id").get_to(state.id);
    value.at("bootId").get_to(state.boot_id);
    value.at("pidStartTime").get_to(state.pid_start_time);
    value.at("supervisorStartTime").get_to(state.supervisor_start_time);
    auto phase = value.at("phase").get<std::string>();
    bool known = false;
    for (auto candidate : {Phase::kStarting, Phase::kRunning, Phase::kStopping, Phase::kExited, Phase::kFailed})
      if (phase_name(candidate) == phase) {
        s.phase = candidate;
        known = true;
      }
    if (!known) return fail(Code::kUsage, "state.json: unknown phase '{}'", phase);
    value.at("paused").get_to(s.paused);
    value.at("ready").get_to(s.ready);
    value.at("pid").get_to(s.pid);
    value.at("supervisorPid").get_to(s.supervisor_pid);
    value.at("startedUnixMs").get_to(s.started_unix_ms);
    value.at("exit").at("code").get_to(s.exit.code);
    value.at("exit").at("signal").get_to(s.exit.signal);
    auto reason = value.at("reason").get<std::string>();
    for (auto candidate : {ExitReason::kExited, ExitReason::kPoweroff, ExitReason::kReboot, ExitReason::kKilled,
                           ExitReason::kOom, ExitReason::kStartFailed})
      if (exit_reason_name(candidate) == reason) s.reason = candidate;
    value.at("statusText").get_to(s.status_text);
    value.at("limits").get_to(s.limits);
    if (auto error = value.find("error"); error != value.end()) {
      s.has_error = true;
      s.error = Error(code_from_name(error->at("code").get<std::string>()), error->at("errno").get<int>(),
                      error->at("message").get<std::string>());
    }
    return state;
  });
}

}  // namespace vps::supervisor
