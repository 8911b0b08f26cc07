#include <algorithm>

#include "cli/common/context.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/list_view.h"

namespace vps::cli {
namespace {

constexpr std::string_view kDefaultColumns = "id,name,state,hostname,template,addresses,memory,uptime";

constexpr OptionSpec kOptions[] = {
    {.name = "all", .letter = 'a', .help = "also those that do not run"},
    {.name = "columns", .letter = 'c', .value = "COLUMN,...", .help = "which columns, in this order: id, name, uuid, state, pid, hostname, template, addresses, memory, cpu, uptime, onboot, order, init, restart, labels, labels.NAME"},
    {.name = "sort", .letter = 's', .value = "COLUMN", .help = "order of the rows; -COLUMN reverses; default: id"},
    {.name = "filter", .letter = 'f', .value = "KEY=VALUE", .help = "only rows whose column matches (* and ? are wildcards, KEY!=VALUE negates); a filter on state implies --all", .repeated = true},
    {.name = "no-headers", .letter = 'H', .help = "leave out the line of headers"},
};
constexpr ExampleSpec kExamples[] = {
    {"what runs, the longest-running first", "vpsctl list --sort -uptime"},
    {"ids of a customer's VPSes, for a script", "vpsctl list -a --filter labels.customer=42 -o name"},
};

Result<int> run(Context& context, const Arguments& arguments) {
  auto columns = VPS_TRY(parse_columns(arguments.value_or("columns", kDefaultColumns)));
  std::vector<Filter> filters;
  bool all = arguments.flag("all");
  for (const auto& text : arguments.values("filter")) {
    filters.push_back(VPS_TRY(parse_filter(text)));
    all = all || filters.back().key == "state";
  }
  std::vector<Value> rows;
  VPS_TRY(sort_rows(rows, arguments.value_or("sort", "id")));  // a bad column is told before anything is asked
  auto answer = VPS_TRY(context.api.get(api_path({"containers"}, {{"all", all ? "1" : ""}})));
  auto list = VPS_TRY(expect_array(std::move(answer), "the list of VPSes"));
  for (const auto& row : list.items())
    if (std::ranges::all_of(filters, [&](const Filter& filter) { return matches(filter, row); })) rows.push_back(row);
  VPS_TRY(sort_rows(rows, "id"));
  VPS_TRY(sort_rows(rows, arguments.value_or("sort", "id")));
  switch (context.output.format()) {
    case Format::kTable:
      context.output.write_raw(render_list(rows, columns, context.output, !arguments.flag("no-headers")));
      break;
    case Format::kName:
      for (const auto& row : rows) context.output.write_raw(visible(row.get("id").string()) + "\n");
      break;
    default: {
      Value out = Value::array();
      for (auto& row : rows) out.push(std::move(row));
      context.output.document(out);
    }
  }
  return 0;
}

}  // namespace

constinit const CommandSpec kList = {
    .name = "list",
    .summary = "list VPSes",
    .description =
        "Lists the VPSes that run (also paused, starting and stopping ones), or all. With -o json it is an array of objects with "
        "everything that is known of each; with -o name one id a line.",
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace vps::cli
