#include "cli/common/operations.h"

#include <signal.h>

#include <algorithm>
#include <cerrno>

#include "cli/common/terminal.h"

namespace vps::cli {
namespace {

constexpr std::chrono::seconds kRound{60};  // one long poll; another follows
constexpr std::chrono::seconds kGrace{30};  // beyond it the daemon is stuck

void show_progress(Context& context, const Value& operation, std::string_view label) {
  std::string text = fmt::format("{}: {}%", label, operation.get("percent").u64().value_or(0));
  const auto& step = operation.get("step").string();
  if (!step.empty()) text += " " + step;
  context.output.progress(text);
}

Result<Value> ended(Context& context, Value operation) {
  const auto& status = operation.get("status").string();
  if (status == "done") return operation;
  if (status == "failed" || status == "cancelled") {
    if (operation.get("error").is_object()) return std::unexpected(context.api.take_error(operation.get("error")));
    return fail(Code::kFailed, "{}", status);
  }
  return fail(Code::kFailed, "vpsd's answer is malformed: operation status '{}'", status);
}

Result<Value> look(Context& context, const Value& operation, int interrupt_fd) {
  std::string seconds = fmt::format("{}", kRound.count());
  std::string percent;
  std::string step;
  if (context.output.shows_progress()) {
    percent = operation.get("percent").text();
    step = operation.get("step").string();
  }
  auto path = api_path({"operations", operation.get("id").string()}, {{"wait", seconds}, {"percent", percent}});
  if (!percent.empty()) path += "&step=" + percent_encode(step);  // also when it is empty: it says what we know
  return context.api.get(path, {.timeout = kRound + kGrace, .interrupt_fd = interrupt_fd});
}

}  // namespace

Result<Value> await_operation(Context& context, Value operation, std::string_view label, OnInterrupt on_interrupt) {
  const std::string id = operation.get("id").string();
  if (id.empty()) return fail(Code::kFailed, "vpsd's answer is malformed: no operation");
  auto signals = VPS_TRY(Signals::take({SIGINT, SIGTERM}));
  bool cancelling = false;
  while (operation.get("status").string() == "running") {
    show_progress(context, operation, cancelling ? fmt::format("cancel {}", label) : std::string(label));
    auto next = look(context, operation, signals.fd());
    if (next) {
      operation = std::move(*next);
      continue;
    }
    context.output.end_progress();
    if (!is_interrupt(next.error()))
      return std::unexpected(std::move(next).error().wrap(fmt::format("while waiting for operation {}", id)));
    auto signo = signals.next().value_or(SIGINT);
    if (on_interrupt == OnInterrupt::kCancel && !cancelling) {
      cancelling = true;
      auto asked = context.api.remove(api_path({"operations", id}));
      if (asked) continue;
      context.output.note(fmt::format("cannot cancel operation {}: {}", id, asked.error().to_string()));
    }
    context.output.note(fmt::format("no longer waiting; it goes on in vpsd: vpsctl operation wait {}", id));
    return std::unexpected(Error(Code::kFailed, EINTR, fmt::format("signal {}", signo)));
  }
  context.output.end_progress();
  return ended(context, std::move(operation));
}

std::vector<std::string> unique_ids(const std::vector<std::string>& ids) {
  std::vector<std::string> unique;
  for (const auto& id : ids)
    if (std::ranges::find(unique, id) == unique.end()) unique.push_back(id);
  return unique;
}

Result<> check_ids(const std::vector<std::string>& ids) {
  for (const auto& id : ids) {
    if (id.empty()) return fail(Code::kUsage, "an id is empty");
    if (!is_utf8(id) || id.find('/') != std::string::npos) return fail(Code::kUsage, "'{}' is no id, name or uuid", id);
  }
  return {};
}

void JobRunner::report(const std::string& id, const Result<Value>& outcome) {
  Value result = Value::object();
  result.set("id", id).set("action", job_.action).set("status", outcome ? "done" : "failed");
  if (outcome) {
    const auto& operation = outcome->get("id").string();
    if (!operation.empty()) result.set("operation", operation);
    if (!outcome->get("warnings").items().empty()) result.set("warnings", outcome->get("warnings"));
    for (const auto& warning : outcome->get("warnings").items())
      context_.output.warning(fmt::format("{} {}: {}", job_.action, id, warning.string()));
    if (context_.output.format() == Format::kTable) context_.output.line(fmt::format("{}: {}", visible(id), job_.done));
    if (context_.output.format() == Format::kName) context_.output.line(visible(id));
  } else {
    Value error = Value::object();
    error.set("code", code_name(outcome.error().code())).set("message", outcome.error().to_string());
    result.set("error", std::move(error));
    int code = report_error(context_, job_.action, id, outcome.error());
    if (exit_code_ == 0) exit_code_ = code;
  }
  results_.push(std::move(result));
}

Result<> JobRunner::run(const std::vector<std::string>& ids) {
  std::vector<Started> started;
  for (const auto& id : ids) {
    auto path = api_path({"containers", id}) + (job_.path.empty() || job_.path[0] == '?' ? "" : "/") + job_.path;
    context_.api.clear_details();
    auto answer = job_.method == "DELETE" ? context_.api.remove(path) : context_.api.send(job_.method, path, job_.body);
    started.push_back({id, std::move(answer), context_.api.details()});
  }
  for (std::size_t i = 0; i < started.size(); ++i) {
    auto& item = started[i];
    if (!item.operation) {
      context_.api.set_details(std::move(item.details));
      report(item.id, item.operation);
      continue;
    }
    std::string label = fmt::format("{} {}", job_.action, item.id);
    if (ids.size() > 1) label = fmt::format("[{}/{}] {}", i + 1, ids.size(), label);
    auto outcome = await_operation(context_, std::move(*item.operation), label, OnInterrupt::kLeave);
    if (!outcome && is_interrupt(outcome.error())) {
      std::string others;
      for (std::size_t k = i + 1; k < started.size(); ++k)
        if (started[k].operation) others += " " + started[k].operation->get("id").string();
      if (!others.empty()) context_.output.note(fmt::format("so do operations{}", others));
      return std::unexpected(std::move(outcome).error());
    }
    report(item.id, outcome);
  }
  return {};
}

Result<int> JobRunner::finish() {
  auto format = context_.output.format();
  if (format == Format::kJson || format == Format::kYaml) context_.output.document(results_);
  return exit_code_;
}

}  // namespace vps::cli
