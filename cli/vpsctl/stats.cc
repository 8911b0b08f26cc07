#include <poll.h>

#include "base/units.h"
#include "cli/common/operations.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/lifecycle.h"
#include "cli/vpsctl/sampler.h"

namespace vps::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "interval", .letter = 'i', .value = "DURATION", .help = "time between samples; default 1s; 0: print the counters at once, without rates"},
    {.name = "count", .letter = 'n', .value = "N", .help = "how many times to print; default: once, or for ever when --interval is given"},
};
constexpr PositionalSpec kPositionals[] = {kOptionalIds};
constexpr ExampleSpec kExamples[] = {
    {"all running VPSes every 5 seconds", "vpsctl stats --interval 5s"},
    {"counters of one, for a script", "vpsctl stats 101 --interval 0 -o json"},
};

void print(Output& output, const std::vector<Measured>& rows, bool several) {
  if (output.format() == Format::kTable) {
    output.write_raw(render_stats(rows, output));
    if (several) output.write_raw("\n");
    return;
  }
  Value list = Value::array();
  for (const auto& row : rows) {
    if (output.format() == Format::kName) {
      output.write_raw(visible(row.id) + "\n");
      continue;
    }
    Value sample = row.sample;
    sample.set("rates", row.rates ? rates_value(*row.rates) : Value());
    list.push(std::move(sample));
  }
  if (output.format() == Format::kYaml) output.write_raw("---\n" + format_yaml(list));
  if (output.format() == Format::kJson) output.write_raw(format_json(list, several ? 0 : 2) + "\n");
}

Result<int> run(Context& context, const Arguments& arguments) {
  auto ids = unique_ids(arguments.positionals());
  VPS_TRY(check_ids(ids));
  auto interval = VPS_TRY_CTX("--interval", parse_duration(arguments.value_or("interval", "1s")));
  constexpr Milliseconds kLongest{86'400'000};
  if (interval > kLongest) return fail(Code::kUsage, "--interval: more than a day");
  bool endless = arguments.value("interval") != nullptr && interval.count() > 0;
  std::uint64_t count = endless ? 0 : 1;  // 0: for ever
  if (const auto* text = arguments.value("count")) count = VPS_TRY_CTX("--count", parse_u64(*text));
  if (interval.count() == 0 && count != 1) return fail(Code::kUsage, "--interval 0 prints once");
  Sampler sampler(context, ids);
  auto rows = VPS_TRY(sampler.round());
  for (std::uint64_t printed = 0; count == 0 || printed < count; ++printed) {
    if (interval.count() > 0) {
      ::poll(nullptr, 0, static_cast<int>(interval.count()));
      rows = VPS_TRY(sampler.round());
    }
    print(context.output, rows, count != 1);
    VPS_TRY(context.output.flush());
  }
  return 0;
}

}  // namespace

constinit const CommandSpec kStats = {
    .name = "stats",
    .summary = "what VPSes use now",
    .description =
        "Prints CPU (in percent of one CPU), memory, processes and disk traffic of the running VPSes, as rates between two samples. "
        "With -o json it is an array of samples with their rates; when it prints more than once, one array a line.",
    .options = kOptions,
    .positionals = kPositionals,
    .examples = kExamples,
    .run = run,
};

}  // namespace vps::cli
