#include "cli/common/operations.h"
#include "cli/common/table.h"
#include "cli/common/text.h"
#include "cli/vpsctl/commands.h"

namespace vps::cli {
namespace {

constexpr PositionalSpec kOperationId{.name = "OPERATION", .help = "id of an operation, like op-17", .completes = Completion::kOperation};
constexpr PositionalSpec kPositionals[] = {kOperationId};

Result<Value> fetch(Context& context, const Arguments& arguments) {
  const auto& id = arguments.positionals()[0];
  context.subject = id;
  VPS_TRY(check_ids({id}));
  auto answer = VPS_TRY(context.api.get(api_path({"operations", id})));
  return expect_object(std::move(answer), "the operation");
}

void print(Context& context, const Value& operation) {
  switch (context.output.format()) {
    case Format::kName: context.output.line(visible(operation.get("id").text())); return;
    case Format::kTable: break;
    default: context.output.document(operation); return;
  }
  std::string what = operation.get("kind").text();
  if (!operation.get("vps").text().empty()) what += " " + operation.get("vps").text();
  std::string text = fmt::format("{}: {}: {}", operation.get("id").text(), what, operation.get("status").text());
  if (operation.get("status").string() == "running")
    text += fmt::format(", {}% {}", operation.get("percent").text(), operation.get("step").text());
  if (operation.get("error").is_object()) text += fmt::format(": {}", operation.get("error").get("message").text());
  context.output.line(visible(text));
}

Result<int> run_list(Context& context, const Arguments&) {
  auto answer = VPS_TRY(context.api.get(api_path({"operations"})));
  auto list = VPS_TRY(expect_array(std::move(answer), "the list of operations"));
  if (context.output.format() == Format::kJson || context.output.format() == Format::kYaml) {
    context.output.document(list);
    return 0;
  }
  Table table({{"ID"}, {"KIND"}, {"VPS"}, {"STATUS"}, {"DONE", Align::kRight}, {"STEP"}, {"CREATED"}, {"ERROR"}});
  for (const auto& item : list.items()) {
    if (context.output.format() == Format::kName) context.output.write_raw(visible(item.get("id").text()) + "\n");
    const auto& status = item.get("status").string();
    table.add({{item.get("id").text()},
               {item.get("kind").text()},
               {item.get("vps").text()},
               {status, status == "failed" ? Colour::kRed : status == "running" ? Colour::kYellow : Colour::kNone},
               {item.get("percent").text() + "%"},
               {item.get("step").text()},
               {short_time(item.get("created").text())},
               {item.get("error").get("message").text()}});
  }
  if (context.output.format() == Format::kTable) context.output.write_raw(table.render(context.output));
  return 0;
}

Result<int> run_show(Context& context, const Arguments& arguments) {
  print(context, VPS_TRY(fetch(context, arguments)));
  return 0;
}

Result<int> run_wait(Context& context, const Arguments& arguments) {
  auto operation = VPS_TRY(fetch(context, arguments));
  std::string label = fmt::format("{} {}", operation.get("kind").text(), operation.get("vps").text());
  print(context, VPS_TRY(await_operation(context, std::move(operation), label, OnInterrupt::kLeave)));
  return 0;
}

Result<int> run_cancel(Context& context, const Arguments& arguments) {
  const auto& id = arguments.positionals()[0];
  context.subject = id;
  VPS_TRY(check_ids({id}));
  auto answer = VPS_TRY(context.api.remove(api_path({"operations", id})));
  if (answer.is_object()) print(context, answer);
  return 0;
}

constexpr CommandSpec kListCommand = {.name = "list", .summary = "recent operations, newest first", .description = "Lists the operations that run, and recent ones that have ended.", .run = run_list};
constexpr CommandSpec kShowCommand = {.name = "show", .summary = "show one", .description = "Shows an operation: how far it is, or how it ended.", .positionals = kPositionals, .run = run_show};
constexpr CommandSpec kWait = {.name = "wait", .summary = "wait for its end", .description = "Waits for the end of an operation; the exit code is that of the work.", .positionals = kPositionals, .run = run_wait};
constexpr CommandSpec kCancel = {.name = "cancel", .summary = "ask for its end", .description = "Asks for an operation to be given up and undone; refused (5) when it has ended or is past the point of no return.", .positionals = kPositionals, .run = run_cancel};
constexpr const CommandSpec* kCommands[] = {&kListCommand, &kShowCommand, &kWait, &kCancel};

}  // namespace

constinit const CommandSpec kOperation = {
    .name = "operation",
    .summary = "long work of the daemon",
    .description =
        "Creating, starting, stopping and the like are operations of the daemon: they go on when vpsctl is interrupted. These commands "
        "look at them, wait for them and cancel them.",
    .commands = kCommands,
};

}  // namespace vps::cli
