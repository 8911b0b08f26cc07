#include "cli/vpsctl/changes.h"

#include "cli/common/table.h"

namespace vps::cli {
namespace {

std::string shown(const Value& value) { return value.text().empty() ? "(not set)" : value.text(); }

}  // namespace

Result<int> print_changes(Context& context, std::string_view id, const Value& answer, std::string_view done) {
  if (!answer.get("changes").is_array()) return fail(Code::kFailed, "vpsd's answer is malformed: no changes");
  Output& output = context.output;
  if (output.format() == Format::kJson || output.format() == Format::kYaml) {
    output.document(answer);
    return 0;
  }
  if (output.format() == Format::kName) {
    output.line(visible(id));
    return 0;
  }
  const auto& changes = answer.get("changes").items();
  output.line(changes.empty() ? fmt::format("{}: nothing to change", visible(id)) : fmt::format("{}: {}", visible(id), done));
  for (const auto& change : changes) {
    std::string when = change.get("effect").text();
    if (when == "nextStart") when = "at the next start";
    output.line(visible(fmt::format("  {}: {} -> {}{}", change.get("key").text(), shown(change.get("from")), shown(change.get("to")),
                                    when.empty() ? "" : " (" + when + ")")));
  }
  for (const auto& warning : answer.get("warnings").items()) output.warning(fmt::format("{}: {}", id, warning.text()));
  const auto& restart = answer.get("restartRequired");
  if (!restart.items().empty()) output.note(fmt::format("{}: a restart is needed for {}", id, restart.text()));
  if (restart.truth()) output.note(fmt::format("{}: a restart is needed", id));
  return 0;
}

}  // namespace vps::cli
