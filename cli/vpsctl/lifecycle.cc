#include "cli/vpsctl/lifecycle.h"

#include <algorithm>
#include <map>

#include "base/units.h"
#include "cli/common/table.h"

namespace vps::cli {

Result<std::vector<std::string>> ids_or_all(const Arguments& arguments) {
  auto ids = unique_ids(arguments.positionals());
  VPS_TRY(check_ids(ids));
  if (arguments.flag("all") && !ids.empty()) return fail(Code::kUsage, "--all and ids exclude each other");
  if (!arguments.flag("all") && ids.empty()) return fail(Code::kUsage, "missing ID (or --all)");
  return ids;
}

Result<std::vector<std::vector<std::string>>> boot_groups(Context& context, bool (*wanted)(std::string_view state)) {
  auto answer = VPS_TRY(context.api.get(api_path({"containers"}, {{"all", "1"}})));
  auto list = VPS_TRY(expect_array(std::move(answer), "the list of VPSes"));
  std::map<double, std::vector<std::string>> by_order;
  for (const auto& item : list.items())
    if (wanted(item.get("state").string())) by_order[item.get("bootOrder").number().value_or(0)].push_back(item.get("id").string());
  std::vector<std::vector<std::string>> groups;
  for (auto& [order, ids] : by_order) {
    std::ranges::sort(ids, natural_less);
    groups.push_back(std::move(ids));
  }
  return groups;
}

Result<std::string> duration_option(const Arguments& arguments, std::string_view name) {
  const auto* text = arguments.value(name);
  if (text == nullptr) return std::string();
  return format_duration(VPS_TRY_CTX(fmt::format("--{}", name), parse_duration(*text)));
}

Result<> print_steps(Context& context, const Value& answer) {
  const auto& steps = answer.get("steps");
  if (!steps.is_array()) return fail(Code::kFailed, "vpsd's answer is malformed: no steps");
  auto format = context.output.format();
  if (format == Format::kJson || format == Format::kYaml) {
    context.output.document(answer);
    return {};
  }
  std::size_t number = 0;
  for (const auto& step : steps.items()) context.output.write_raw(fmt::format("{:>3}  {}\n", ++number, visible(step.text())));
  for (const auto& warning : answer.get("warnings").items()) context.output.warning(warning.text());
  return {};
}

}  // namespace vps::cli
