#include "daemon/api/router.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <exception>

#include "base/log.h"
#include "daemon/api/handlers.h"

namespace vps::daemon::api {
namespace {

std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty() && path.front() == '/') {
    path.remove_prefix(1);
    auto end = path.find('/');
    parts.push_back(path.substr(0, end));
    if (end == std::string_view::npos) break;
    path = path.substr(end);
  }
  return parts;
}

bool matches(const Route& route, const std::vector<std::string_view>& parts, std::map<std::string, std::string>* params) {
  auto pattern = segments(route.path);
  if (pattern.size() != parts.size()) return false;
  std::map<std::string, std::string> found;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (pattern[i].starts_with('{')) {
      if (parts[i].empty()) return false;
      found[std::string(pattern[i].substr(1, pattern[i].size() - 2))] = parts[i];
    } else if (pattern[i] != parts[i]) {
      return false;
    }
  }
  *params = std::move(found);
  return true;
}

}  // namespace

std::span<const Route> routes() {
  using enum Method;
  static const std::vector<Route> table = {
      {kGet, "/v1/operations", "listOperations", {}, {}, list_operations},
      {kGet, "/v1/operations/{op}", "showOperation", {"wait", "percent", "step"}, {}, show_operation},
      {kDelete, "/v1/operations/{op}", "cancelOperation", {}, {}, cancel_operation},

      {kGet, "/v1/containers", "listContainers", {"all"}, {}, list_containers},
      {kPost, "/v1/containers", "createContainer", {"wait"}, {"definition", "yaml", "file", "set", "start", "dryRun", "sshKeys"},
       create_container},
      {kGet, "/v1/containers/{vps}", "showContainer", {"format"}, {}, show_container},
      {kPatch, "/v1/containers/{vps}", "changeContainer", {"wait"}, {"set", "mode", "dryRun"}, change_container},
      {kPut, "/v1/containers/{vps}", "replaceContainer", {"wait"}, {"definition", "yaml", "file", "dryRun"}, replace_container},
      {kDelete, "/v1/containers/{vps}", "destroyContainer", {"wait", "force"}, {}, destroy_container},
      {kPost, "/v1/containers/{vps}/start", "startContainer", {"wait"}, {"dryRun", "wait", "timeout"}, start_container},
      {kPost, "/v1/containers/{vps}/stop", "stopContainer", {"wait"}, {"force", "timeout"}, stop_container},
      {kPost, "/v1/containers/{vps}/restart", "restartContainer", {"wait"}, {"force", "timeout", "wait"}, restart_container},
      {kPost, "/v1/containers/{vps}/pause", "pauseContainer", {"wait"}, {}, pause_container},
      {kPost, "/v1/containers/{vps}/resume", "resumeContainer", {"wait"}, {}, resume_container},
      {kPost, "/v1/containers/{vps}/rename", "renameContainer", {"wait"}, {"name"}, rename_container},
      {kPost, "/v1/containers/{vps}/exec", "execInContainer", {},
       {"argv", "env", "cwd", "user", "tty", "detach", "login"}, exec_in_container},
      {kPost, "/v1/containers/{vps}/console", "openConsole", {}, {"readonly"}, console_of_container},
      {kGet, "/v1/containers/{vps}/firewall", "showFirewall", {}, {}, show_firewall},
      {kPost, "/v1/containers/{vps}/firewall", "changeFirewall", {"wait"}, {"rule", "before", "forward", "in", "out"}, change_firewall},
      {kDelete, "/v1/containers/{vps}/firewall/{number}", "deleteFirewallEntry", {"wait"}, {}, delete_firewall_entry},
      {kPost, "/v1/containers/{vps}/password", "setPassword", {"wait"}, {"user", "password"}, set_password},
      {kGet, "/v1/containers/{vps}/log", "showLog", {"tail", "follow"}, {}, container_log},
      {kGet, "/v1/containers/{vps}/stats", "showStats", {}, {}, container_stats},
      {kGet, "/v1/containers/{vps}/usage", "showUsage", {"from", "to", "by"}, {}, show_usage},
      {kGet, "/v1/stats", "listStats", {}, {}, all_stats},

      {kGet, "/v1/templates", "listTemplates", {}, {}, list_templates},
      {kPost, "/v1/templates", "makeTemplate", {"wait"}, {"action", "recipe", "name", "path"}, make_template},
      {kGet, "/v1/templates/{template}", "showTemplate", {}, {}, show_template},
      {kDelete, "/v1/templates/{template}", "removeTemplate", {}, {}, remove_template},

      {kGet, "/v1/networks", "listNetworks", {}, {}, list_networks},
      {kPost, "/v1/networks", "createNetwork", {}, {"definition", "yaml", "file"}, create_network},
      {kGet, "/v1/networks/{network}", "showNetwork", {"format"}, {}, show_network},
      {kPatch, "/v1/networks/{network}", "changeNetwork", {}, {"set"}, change_network},
      {kDelete, "/v1/networks/{network}", "deleteNetwork", {}, {}, delete_network},

      {kGet, "/v1/events", "streamEvents", {"since", "follow", "vps"}, {}, stream_events},

      {kGet, "/v1/host", "showHost", {}, {}, show_host},
      {kGet, "/v1/host/doctor", "doctor", {}, {}, doctor},
      {kPost, "/v1/host/shutdown", "shutDownHost", {"wait"}, {"timeout"}, shut_down_host},
  };
  return table;
}

const Route* match(Method method, std::string_view path, std::map<std::string, std::string>* params, Reply* refusal) {
  auto parts = segments(path);
  std::string allow;
  for (const auto& route : routes()) {
    if (!matches(route, parts, params)) continue;
    if (route.method == method) return &route;
    allow += (allow.empty() ? "" : ", ") + std::string(method_name(route.method));
  }
  *refusal = error_reply(allow.empty() ? Error(Code::kNotFound, fmt::format("no such path {}", path))
                                       : Error(Code::kUsage, fmt::format("{} cannot be used with {}", method_name(method), path)));
  if (!allow.empty()) refusal->status = 405;
  refusal->allow = allow;
  return nullptr;
}

Reply handle(Context& context, Request request, Stream& stream) {
  Reply refusal;
  const Route* route = match(request.method, request.path, &request.params, &refusal);
  if (route == nullptr) return refusal;
  for (const auto& [key, value] : request.query)
    if (std::ranges::find(route->query, key) == route->query.end())
      return error_reply(Error(Code::kUsage, fmt::format("query: unknown key {}", key)));
  if (route->body.empty() && request.body.find_first_not_of(" \t\r\n{}") != std::string::npos)
    return error_reply(Error(Code::kUsage, "body: this path takes none"));
  try {
    auto reply = route->handler(Call{context, *route, request, stream});
    if (!reply) return error_reply(reply.error());
    return std::move(*reply);
  } catch (const std::exception& e) {
    log::error("internal error in {} {}: {}", method_name(request.method), request.path, e.what());
    return error_reply(Error(Code::kFailed, "internal error, see the log of vpsd"));
  }
}

}  // namespace vps::daemon::api
