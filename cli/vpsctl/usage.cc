#include "cli/common/context.h"
#include "cli/common/operations.h"
#include "cli/common/table.h"
#include "cli/common/text.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "from", .value = "TIME", .help = "first hour, like 2026-11-01 or 2026-11-01T10:00:00Z (UTC)"},
    {.name = "to", .value = "TIME", .help = "the hours before this one"},
    {.name = "by", .value = "SPAN", .help = "hour, day (the default), month or total", .choices = "hour day month total"},
};
constexpr PositionalSpec kPositionals[] = {kOneId};
constexpr ExampleSpec kExamples[] = {
    {"November's traffic as a spreadsheet", "vpsctl -o csv usage 101 --from 2026-11-01 --to 2026-12-01"},
};
constexpr const char* kColumns[] = {"from", "direction", "family", "class", "packets", "bytes"};

Result<int> run(Context& context, const Arguments& arguments) {
  const auto& id = arguments.positionals()[0];
  context.subject = id;
  VPS_TRY(check_ids({id}));
  const auto from = arguments.value_or("from", ""), to = arguments.value_or("to", ""), by = arguments.value_or("by", "");
  auto answer = VPS_TRY(context.api.get(api_path({"containers", id, "usage"}, {{"from", from}, {"to", to}, {"by", by}})));
  auto usage = VPS_TRY(expect_object(std::move(answer), "the usage"));
  Output& output = context.output;
  const auto& rows = usage.get("traffic").items();
  switch (output.format()) {
    case Format::kJson:
    case Format::kYaml: output.document(usage); return 0;
    case Format::kName: output.write_raw(visible(usage.get("id").text()) + "\n"); return 0;
    case Format::kCsv: {
      output.write_raw("from,direction,family,class,packets,bytes\n");
      for (const auto& row : rows) {
        std::string line;
        for (const char* column : kColumns) line += (line.empty() ? "" : ",") + row.get(column).text();
        output.write_raw(visible(line) + "\n");
      }
      return 0;
    }
    case Format::kTable: break;
  }
  Table table({{"FROM"}, {"DIRECTION"}, {"FAMILY"}, {"CLASS", Align::kRight}, {"PACKETS", Align::kRight}, {"BYTES", Align::kRight}, {"SIZE", Align::kRight}});
  for (const auto& row : rows)
    table.add({{short_time(row.get("from").text())}, {row.get("direction").text()}, {row.get("family").text()}, {row.get("class").text()},
               {row.get("packets").text()}, {row.get("bytes").text()}, {human_bytes(row.get("bytes"))}});
  output.write_raw(table.render(output));
  return 0;
}

}  // namespace

constinit const CommandSpec kUsage = {
    .name = "usage",
    .summary = "what a VPS has sent and received, for the bill",
    .description =
        "Shows the traffic of a VPS by hour, day or month of UTC, direction, family and class. Classes are those of "
        "/etc/vps/traffic-classes.yaml: 0 is this host's own networks, 1 what no class names. Bytes are those of IP packets at the VPS's "
        "port. The figures are kept in the ledger; they grow over restarts of the VPS and of vpsd.",
    .options = kOptions,
    .positionals = kPositionals,
    .examples = kExamples,
    .run = run,
};

}  // namespace vps::cli
