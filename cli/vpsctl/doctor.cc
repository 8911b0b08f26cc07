#include "cli/common/context.h"
#include "cli/common/table.h"
#include "cli/vpsctl/commands.h"

namespace vps::cli {
namespace {

Value unreachable(const Error& error) {
  Value check = Value::object();
  check.set("check", "vpsd").set("status", "error").set("message", error.to_string());
  check.set("fix", "start it: systemctl start vpsd (or vpsd --daemon)");
  return Value::array().push(std::move(check));
}

std::string render(const Value& checks, const Output& output) {
  Table table({{"CHECK"}, {"STATUS"}, {"MESSAGE"}});
  std::string fixes;
  for (const auto& check : checks.items()) {
    std::string status = check.get("status").text();
    Colour colour = status == "ok" ? Colour::kGreen : status == "error" ? Colour::kRed : Colour::kYellow;
    table.add({{check.get("check").text()}, {status, colour}, {check.get("message").text()}});
    const auto& fix = check.get("fix").string();
    if (!fix.empty() && status != "ok") fixes += fmt::format("  {}: {}\n", visible(check.get("check").text()), visible(fix));
  }
  return table.render(output) + (fixes.empty() ? "" : "\nTo mend:\n" + fixes);
}

Result<int> run(Context& context, const Arguments&) {
  auto answer = context.api.get(api_path({"host", "doctor"}));
  Value checks = answer ? std::move(*answer) : unreachable(answer.error());
  checks = VPS_TRY(expect_array(std::move(checks), "the list of checks"));
  if (context.output.format() == Format::kTable || context.output.format() == Format::kName)
    context.output.write_raw(render(checks, context.output));
  else
    context.output.document(checks);
  for (const auto& check : checks.items())
    if (check.get("status").string() == "error") return static_cast<int>(Code::kFailed);
  return 0;
}

}  // namespace

constinit const CommandSpec kDoctor = {
    .name = "doctor",
    .summary = "check this host",
    .description =
        "Checks what VPSes need of this host: the kernel's abilities, control groups, id ranges, directories. What is missing is told "
        "with a way to mend it.",
    .exits = "1 when a check found an error; warnings do not count.",
    .run = run,
};

}  // namespace vps::cli
