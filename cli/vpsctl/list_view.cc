#include "cli/vpsctl/list_view.h"

#include <fnmatch.h>

#include <algorithm>

#include "cli/common/table.h"
#include "cli/common/text.h"

namespace vps::cli {
namespace {

std::string plain(const Value& value) { return value.text(); }
std::string yes_no(const Value& value) { return value.is_bool() ? (value.truth() ? "yes" : "no") : value.text(); }
std::string duration(const Value& value) {
  auto seconds = value.number();
  return seconds ? human_duration(*seconds) : value.text();
}
// A plain count, or the memory object of a sample.
std::string memory(const Value& value) { return human_bytes(value.is_object() ? value.get("current") : value); }
std::string cpu_time(const Value& value) {
  auto usec = (value.is_object() ? value.get("usageUsec") : value).number();
  return usec ? human_duration(*usec / 1e6) : value.text();
}
std::string process(const Value& value) { return value.u64() == 0 ? "" : value.text(); }

struct ColumnSpec {
  std::string_view name, member, header;
  Align align;
  std::string (*show)(const Value&);
};
constexpr ColumnSpec kColumns[] = {
    {"id", "id", "ID", Align::kLeft, plain},
    {"name", "name", "NAME", Align::kLeft, plain},
    {"uuid", "uuid", "UUID", Align::kLeft, plain},
    {"state", "state", "STATE", Align::kLeft, plain},
    {"pid", "pid", "PID", Align::kRight, process},
    {"hostname", "hostname", "HOSTNAME", Align::kLeft, plain},
    {"template", "template", "TEMPLATE", Align::kLeft, plain},
    {"addresses", "addresses", "ADDRESSES", Align::kLeft, plain},
    {"memory", "memory", "MEMORY", Align::kRight, memory},
    {"cpu", "cpuUsage", "CPU", Align::kRight, cpu_time},
    {"uptime", "uptime", "UPTIME", Align::kRight, duration},
    {"onboot", "onboot", "ONBOOT", Align::kLeft, yes_no},
    {"order", "bootOrder", "ORDER", Align::kRight, plain},
    {"init", "init", "INIT", Align::kLeft, plain},
    {"restart", "restartRequired", "RESTART", Align::kLeft, yes_no},
    {"labels", "labels", "LABELS", Align::kLeft, plain},
};

const ColumnSpec* find_column(std::string_view name) {
  auto found = std::ranges::find_if(kColumns, [&](const ColumnSpec& c) { return c.name == name || c.member == name; });
  return found == std::end(kColumns) ? nullptr : found;
}

std::string column_names() {
  std::string names;
  for (const auto& column : kColumns) names += (names.empty() ? "" : ", ") + std::string(column.name);
  return names;
}

bool is_label(std::string_view name) { return name.starts_with("labels.") && name.size() > 7; }

Result<> check_column(std::string_view name) {
  if (find_column(name) != nullptr || is_label(name)) return {};
  return fail(Code::kUsage, "unknown column '{}': expected {} or labels.NAME", name, column_names());
}

const Value& member(const Value& row, std::string_view name) {
  const auto* column = find_column(name);
  return row.path(column != nullptr ? column->member : name);
}

bool value_less(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return *a.number() < *b.number();
  return natural_less(a.text(), b.text());
}

}  // namespace

Result<Filter> parse_filter(std::string_view text) {
  auto equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return fail(Code::kUsage, "--filter {}: expected KEY=VALUE or KEY!=VALUE", text);
  Filter filter{.key = std::string(text.substr(0, equals)), .pattern = std::string(text.substr(equals + 1))};
  if (filter.key.ends_with('!')) {
    filter.negated = true;
    filter.key.pop_back();
  }
  VPS_TRY_CTX("--filter", check_column(filter.key));
  return filter;
}

bool matches(const Filter& filter, const Value& row) {
  const Value& value = member(row, filter.key);
  auto fits = [&](const Value& item) { return ::fnmatch(filter.pattern.c_str(), item.text().c_str(), 0) == 0; };
  bool found = value.is_array() && !value.items().empty() ? std::ranges::any_of(value.items(), fits) : fits(value);
  return found != filter.negated;
}

Result<> sort_rows(std::vector<Value>& rows, std::string_view by) {
  bool reverse = by.starts_with('-');
  if (reverse) by.remove_prefix(1);
  VPS_TRY_CTX("--sort", check_column(by));
  std::ranges::stable_sort(rows, [&](const Value& a, const Value& b) {
    const Value& x = member(a, by);
    const Value& y = member(b, by);
    bool no_x = x.text().empty();
    bool no_y = y.text().empty();
    if (no_x || no_y) return !no_x && no_y;
    return reverse ? value_less(y, x) : value_less(x, y);
  });
  return {};
}

Result<std::vector<std::string>> parse_columns(std::string_view text) {
  std::vector<std::string> columns;
  while (true) {
    auto comma = text.find(',');
    auto name = text.substr(0, comma);
    VPS_TRY_CTX("--columns", check_column(name));
    columns.emplace_back(name);
    if (comma == std::string_view::npos) return columns;
    text.remove_prefix(comma + 1);
  }
}

std::string render_list(const std::vector<Value>& rows, const std::vector<std::string>& columns, const Output& output, bool headers) {
  std::vector<Column> heads;
  for (const auto& name : columns) {
    const auto* spec = find_column(name);
    heads.push_back(spec != nullptr ? Column{std::string(spec->header), spec->align} : Column{name, Align::kLeft});
  }
  Table table(std::move(heads));
  for (const auto& row : rows) {
    std::vector<Cell> cells;
    for (const auto& name : columns) {
      const auto* spec = find_column(name);
      const Value& value = member(row, name);
      Cell cell{.text = spec != nullptr ? spec->show(value) : value.text()};
      if (name == "state") cell.colour = state_colour(cell.text);
      cells.push_back(std::move(cell));
    }
    table.add(std::move(cells));
  }
  return table.render(output, headers);
}

}  // namespace vps::cli
