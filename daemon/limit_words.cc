#include "daemon/limit_words.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/units.h"
#include "runtime/supervisor/client.h"

namespace vps::daemon {
namespace {

using Kind = cgroups::Enforcement::Kind;

constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kNames{{
    {"cpu.quota", "cpu.limit"},
    {"cpu.cpus", "cpu.set"},
    {"memory.low", "memory.guarantee"},
    {"memory.swap.max", "memory.swap"},
    {"blockIO.throttleReadBpsDevice", "io.read"},
    {"blockIO.throttleWriteBpsDevice", "io.write"},
    {"blockIO.throttleReadIOPSDevice", "io.readIops"},
    {"blockIO.throttleWriteIOPSDevice", "io.writeIops"},
}};

constexpr std::array<Kind, 3> kKinds{Kind::kEnforced, Kind::kAccountedOnly, Kind::kUnavailable};

std::optional<std::uint64_t> size_of(std::string_view text) {
  auto size = parse_size(text);
  return size ? std::optional(size->value) : std::nullopt;
}

Result<cgroups::Enforcement> read_limit(const nlohmann::json& value) {
  auto text = [&](const char* key) {
    auto found = value.find(key);
    return found != value.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (!value.is_object()) return fail(Code::kFailed, "a limit's description is no object");
  auto kind = std::ranges::find(kKinds, text("state"), [](Kind each) { return std::string(cgroups::kind_name(each)); });
  if (kind == kKinds.end()) return fail(Code::kFailed, "a limit's state is '{}'", text("state"));
  return cgroups::Enforcement{text("limit"), text("value"), *kind, text("file"), text("reason")};
}

}  // namespace

std::vector<cgroups::Enforcement> in_definition_words(std::vector<cgroups::Enforcement> limits) {
  auto memory = std::ranges::find(limits, "memory.limit", &cgroups::Enforcement::limit);
  auto memory_limit = memory != limits.end() ? size_of(memory->value) : std::nullopt;
  for (auto& limit : limits) {
    auto space = limit.limit.find(' ');
    std::string name = limit.limit.substr(0, space);
    std::string device = space == std::string::npos ? "" : limit.limit.substr(space + 1);
    // config.json counts memory and swap together, the definition swap alone.
    auto value = size_of(limit.value);
    if (name == "memory.swap" && value && memory_limit && *value >= *memory_limit) limit.value = format_size(Bytes{*value - *memory_limit});
    if ((name == "memory.low" || name == "memory.swap.max") && value) limit.value = format_size(Bytes{*value});
    auto known = std::ranges::find(kNames, name, &std::pair<std::string_view, std::string_view>::first);
    if (known == kNames.end()) continue;
    limit.limit = known->second;
    if (!device.empty() && !limit.file.empty()) limit.file += " " + device;
  }
  return limits;
}

std::vector<std::string> enforcement_warnings(const std::vector<cgroups::Enforcement>& limits) {
  std::vector<std::string> warnings;
  for (const auto& limit : in_definition_words(limits)) {
    if (limit.kind == Kind::kEnforced) continue;
    warnings.push_back(fmt::format("{} = {} is {}: {}", limit.limit, limit.value,
                                   limit.kind == Kind::kUnavailable ? "not available on this host" : "accounted only", limit.reason));
  }
  return warnings;
}

std::string enforcement_json(const cgroups::Enforcement& limit) {
  return supervisor::limit_json({limit.limit, limit.value, std::string(cgroups::kind_name(limit.kind)), limit.file, limit.reason});
}

Result<cgroups::Enforcement> parse_enforcement(std::string_view json) { return read_limit(nlohmann::json::parse(json, nullptr, false)); }

std::string format_limits(const std::vector<cgroups::Enforcement>& limits) {
  std::string text = "[";
  for (const auto& limit : limits) text += (text.size() > 1 ? ",\n" : "") + enforcement_json(limit);
  return text + "]";
}

Result<std::vector<cgroups::Enforcement>> parse_limits(std::string_view json) {
  auto list = nlohmann::json::parse(json, nullptr, false);
  if (!list.is_array()) return fail(Code::kFailed, "limits are no array");
  std::vector<cgroups::Enforcement> limits;
  for (const auto& limit : list) limits.push_back(VPS_TRY(read_limit(limit)));
  return limits;
}

}  // namespace vps::daemon
