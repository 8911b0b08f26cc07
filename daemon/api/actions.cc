#include "daemon/api/body.h"

#include <nlohmann/json.hpp>
#include "daemon/api/describe.h"
#include "daemon/api/handlers.h"

namespace vps::daemon::api {
namespace {

Result<StartOptions> start_options(const Body& body) {
  StartOptions options;
  auto wait = VPS_TRY(body.string("wait"));
  if (wait && *wait != "started" && *wait != "ready")
    return fail(Code::kUsage, "body: wait: expected started or ready, found '{}'", *wait);
  options.wait_ready = wait && *wait == "ready";
  options.timeout = VPS_TRY(body.duration("timeout"));
  return options;
}

Result<StopOptions> stop_options(const Body& body) {
  StopOptions options;
  options.force = VPS_TRY(body.flag("force"));
  options.timeout = VPS_TRY(body.duration("timeout"));
  return options;
}

Reply session_reply(const Session& session) {
  return {.body = dump({{"socket", session.socket}, {"token", session.token}, {"session", session.number}})};
}

}  // namespace

Result<Reply> destroy_container(const Call& call) {
  const bool force = VPS_TRY(query_flag(call.request, "force"));
  auto turn = VPS_TRY(query_wait(call.request, "wait"));
  auto operation = VPS_TRY(call.context.manager.destroy(call.param("vps"), force, turn));
  return operation_reply(call, operation);
}

Result<Reply> start_container(const Call& call) {
  auto body = VPS_TRY(Body::parse(call.request.body, call.route.body));
  auto options = VPS_TRY(start_options(body));
  if (VPS_TRY(body.flag("dryRun"))) {
    auto steps = VPS_TRY(call.context.manager.preview_start(call.param("vps")));
    return Reply{.body = dump({{"steps", steps}})};
  }
  auto turn = VPS_TRY(query_wait(call.request, "wait"));
  auto operation = VPS_TRY(call.context.manager.start(call.param("vps"), options, turn));
  return operation_reply(call, operation);
}

Result<Reply> stop_container(const Call& call) {
  auto body = VPS_TRY(Body::parse(call.request.body, call.route.body));
  auto options = VPS_TRY(stop_options(body));
  auto turn = VPS_TRY(query_wait(call.request, "wait"));
  auto operation = VPS_TRY(call.context.manager.stop(call.param("vps"), options, turn));
  return operation_reply(call, operation);
}

Result<Reply> restart_container(const Call& call) {
  auto body = VPS_TRY(Body::parse(call.request.body, call.route.body));
  auto stop = VPS_TRY(stop_options(body));
  auto start = VPS_TRY(start_options(body));
  // `timeout` is the stop's; the start's readiness has its default.
  start.timeout.reset();
  auto turn = VPS_TRY(query_wait(call.request, "wait"));
  auto operation = VPS_TRY(call.context.manager.restart(call.param("vps"), stop, start, turn));
  return operation_reply(call, operation);
}

Result<Reply> pause_container(const Call& call) {
  auto turn = VPS_TRY(query_wait(call.request, "wait"));
  auto operation = VPS_TRY(call.context.manager.pause(call.param("vps"), turn));
  return operation_reply(call, operation);
}

Result<Reply> resume_container(const Call& call) {
  auto turn = VPS_TRY(query_wait(call.request, "wait"));
  auto operation = VPS_TRY(call.context.manager.resume(call.param("vps"), turn));
  return operation_reply(call, operation);
}

Result<Reply> exec_in_container(const Call& call) {
  auto body = VPS_TRY(Body::parse(call.request.body, call.route.body));
  supervisor::PrepareExec request;
  request.argv = VPS_TRY(body.strings("argv"));
  auto environment = VPS_TRY(body.string_map("env"));
  for (const auto& [key, value] : environment) request.env.push_back(key + "=" + value);
  request.cwd = VPS_TRY(body.string("cwd")).value_or("");
  request.user = VPS_TRY(body.string("user")).value_or("");
  request.tty = VPS_TRY(body.flag("tty"));
  request.detach = VPS_TRY(body.flag("detach"));
  request.login = VPS_TRY(body.flag("login"));
  if (request.argv.empty() && !request.login) return fail(Code::kUsage, "body: argv is missing");
  if (!request.argv.empty() && request.argv.front().empty()) return fail(Code::kUsage, "body: argv: the program is empty");
  // One packet has to hold it all.
  std::size_t size = request.cwd.size() + request.user.size();
  for (const auto& each : request.argv) size += each.size() + 4;
  for (const auto& each : request.env) size += each.size() + 4;
  if (size > kMaxPacket / 2) return fail(Code::kUsage, "body: argv and env together are larger than {} bytes", kMaxPacket / 2);
  auto session = VPS_TRY(call.context.manager.exec(call.param("vps"), request));
  return session_reply(session);
}

Result<Reply> console_of_container(const Call& call) {
  auto body = VPS_TRY(Body::parse(call.request.body, call.route.body));
  const bool readonly = VPS_TRY(body.flag("readonly"));
  auto session = VPS_TRY(call.context.manager.console(call.param("vps"), readonly));
  return session_reply(session);
}

}  // namespace vps::daemon::api
