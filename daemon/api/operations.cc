#include <limits>

#include "daemon/api/describe.h"

#include <nlohmann/json.hpp>
#include "daemon/api/handlers.h"

namespace vps::daemon::api {

Result<Reply> operation_reply(const Call& call, const OperationPtr& operation) {
  auto wait = VPS_TRY(query_wait(call.request, "wait"));
  auto view = operation->wait(std::chrono::steady_clock::now() + wait, call.request.gone);
  Reply reply;
  reply.status = view.status == OperationStatus::kRunning ? 202 : 200;
  reply.body = dump(describe_operation(view));
  return reply;
}

Result<Reply> list_operations(const Call& call) {
  json list = json::array();
  for (const auto& operation : call.context.manager.services().operations.list())
    list.push_back(describe_operation(operation->view()));
  return Reply{.body = dump(list)};
}

Result<Reply> show_operation(const Call& call) {
  auto operation = VPS_TRY(call.context.manager.services().operations.find(call.param("op")));
  auto wait = VPS_TRY(query_wait(call.request, "wait"));
  std::optional<int> percent;
  if (auto number = VPS_TRY(query_number(call.request, "percent")))
    percent = static_cast<int>(std::min<std::uint64_t>(*number, std::numeric_limits<int>::max()));
  std::optional<std::string> step;
  if (auto it = call.request.query.find("step"); it != call.request.query.end()) step = it->second;
  auto view = operation->wait(std::chrono::steady_clock::now() + wait, call.request.gone, percent, step);
  return Reply{.body = dump(describe_operation(view))};
}

Result<Reply> cancel_operation(const Call& call) {
  auto operation = VPS_TRY(call.context.manager.services().operations.find(call.param("op")));
  VPS_TRY(operation->cancel());
  return Reply{.body = dump(describe_operation(operation->view()))};
}

}  // namespace vps::daemon::api
