#include "cli/vpsctl/sampler.h"

#include <algorithm>

#include "cli/common/table.h"
#include "cli/common/text.h"

namespace vps::cli {
namespace {

// A limit at the top of the number's range is none.
std::string limit_text(const Value& limit, bool bytes) {
  auto number = limit.u64();
  constexpr std::uint64_t kNoLimit = 1ull << 60;
  if (!number || *number == 0 || *number >= kNoLimit) return "";
  return bytes ? human_bytes(limit) : limit.text();
}

std::string with_limit(std::string current, const std::string& limit) { return limit.empty() ? current : current + " / " + limit; }

std::string percent(const std::optional<Rates>& rates) { return rates ? fmt::format("{:.1f}%", rates->cpu_percent) : ""; }

}  // namespace

Result<std::vector<Value>> Sampler::fetch() {
  if (ids_.empty()) {
    auto got = VPS_TRY(context_.api.get(api_path({"stats"})));
    auto answer = VPS_TRY(expect_array(std::move(got), "the list of samples"));
    return answer.items();
  }
  std::vector<Value> samples;
  for (const auto& id : ids_) {
    auto sample = context_.api.get(api_path({"containers", id, "stats"}));
    if (!sample && !before_.empty() && (sample.error().code() == Code::kNotFound || sample.error().code() == Code::kWrongState)) continue;
    if (!sample) {
      context_.subject = id;
      return std::unexpected(std::move(sample).error());
    }
    samples.push_back(VPS_TRY(expect_object(std::move(*sample), "the sample")));
  }
  return samples;
}

Result<std::vector<Measured>> Sampler::round() {
  auto samples = VPS_TRY(fetch());
  std::map<std::string, Value> now;
  std::vector<Measured> rows;
  for (auto& sample : samples) {
    std::string id = sample.get("id").string();
    Measured row{.id = id, .sample = sample, .rates = {}};
    if (auto found = before_.find(id); found != before_.end()) row.rates = rates_between(found->second, sample);
    rows.push_back(std::move(row));
    now.emplace(id, std::move(sample));
  }
  before_ = std::move(now);
  sort_measured(rows, SortBy::kId);
  return rows;
}

void sort_measured(std::vector<Measured>& rows, SortBy by) {
  std::ranges::stable_sort(rows, [](const Measured& a, const Measured& b) { return natural_less(a.id, b.id); });
  auto key = [by](const Measured& row) -> double {
    if (by == SortBy::kMemory) return row.sample.path("memory.current").number().value_or(0);
    if (!row.rates) return 0;
    return by == SortBy::kCpu ? row.rates->cpu_percent : row.rates->read + row.rates->written;
  };
  if (by != SortBy::kId) std::ranges::stable_sort(rows, [&](const Measured& a, const Measured& b) { return key(a) > key(b); });
}

std::string render_stats(const std::vector<Measured>& rows, const Output& output) {
  Table table({{"ID"},
               {"CPU", Align::kRight},
               {"MEMORY", Align::kRight},
               {"SWAP", Align::kRight},
               {"PIDS", Align::kRight},
               {"READ", Align::kRight},
               {"WRITTEN", Align::kRight},
               {"OOM", Align::kRight}});
  for (const auto& row : rows) {
    const Value& s = row.sample;
    table.add({{row.id},
               {percent(row.rates)},
               {with_limit(human_bytes(s.path("memory.current")), limit_text(s.path("memory.limit"), true))},
               {human_bytes(s.path("memory.swap"))},
               {with_limit(s.path("pids.current").text(), limit_text(s.path("pids.limit"), false))},
               {row.rates ? human_rate(row.rates->read) : human_bytes(s.path("io.readBytes"))},
               {row.rates ? human_rate(row.rates->written) : human_bytes(s.path("io.writeBytes"))},
               {s.path("memory.oomKills").text()}});
  }
  return table.render(output);
}

}  // namespace vps::cli
