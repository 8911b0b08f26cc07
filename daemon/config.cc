#include "daemon/config.h"

#include <yaml-cpp/yaml.h>

#include <functional>
#include <limits>
#include <map>
#include <set>

#include "base/files.h"
#include "daemon/idmap_pool.h"

namespace vps::daemon {
namespace {

constexpr std::size_t kMaxConfig = 256u << 10;

// One reader per key; it gets the scalar's text and stores it, or says what was expected.
using Setter = std::function<Result<>(Config&, const std::string&)>;

template <class Store>
Setter path(Store store) {
  return [=](Config& config, const std::string& value) -> Result<> {
    if (value.empty() || value[0] != '/') return fail(Code::kUsage, "expected an absolute path, found '{}'", value);
    store(config, value);
    return {};
  };
}

template <class Store>
Setter number(std::uint64_t min, std::uint64_t max, Store store) {
  return [=](Config& config, const std::string& value) -> Result<> {
    auto parsed = parse_u64(value);
    if (!parsed || *parsed < min || *parsed > max)
      return fail(Code::kUsage, "expected a number from {} to {}, found '{}'", min, max, value);
    store(config, *parsed);
    return {};
  };
}

template <class Store>
Setter duration(Milliseconds min, Store store) {
  return [=](Config& config, const std::string& value) -> Result<> {
    auto parsed = parse_duration(value);
    if (!parsed || *parsed < min)
      return fail(Code::kUsage, "expected a duration of at least {}, found '{}'", format_duration(min), value);
    store(config, *parsed);
    return {};
  };
}

Result<> set_cgroup(Config& config, const std::string& value) {
  bool good = !value.empty() && value[0] != '/' && value.find("..") == std::string::npos;
  if (!good) return fail(Code::kUsage, "expected a name below the cgroup root like 'vps', found '{}'", value);
  config.roots.cgroup_name = value;
  return {};
}

Result<> set_resolv_conf(Config& config, const std::string& value) {
  if (!value.starts_with('/') || value.ends_with('/')) return fail(Code::kUsage, "expected the absolute path of a file, found '{}'", value);
  config.resolv_conf = value;
  return {};
}

Result<> set_links(Config& config, const std::string& value) {
  bool good = !value.empty() && value.size() <= 3 && value.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == std::string::npos;
  if (!good) return fail(Code::kUsage, "expected 1 to 3 letters a-z, found '{}'", value);
  config.network_links = value;
  return {};
}

Result<> set_table(Config& config, const std::string& value) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789_-";
  bool good = !value.empty() && value.size() <= 32 && value[0] >= 'a' && value[0] <= 'z' && value.find_first_not_of(kLetters) == std::string::npos;
  if (!good) return fail(Code::kUsage, "expected at most 32 characters a-z, 0-9, _ and -, found '{}'", value);
  config.network_table = value;
  return {};
}

Result<> set_default_network(Config& config, const std::string& value) {
  if (value != "true" && value != "false") return fail(Code::kUsage, "expected true or false, found '{}'", value);
  config.network_default = value == "true";
  return {};
}

Result<> set_log_level(Config& config, const std::string& value) {
  config.log_level = VPS_TRY(parse_log_level(value));
  return {};
}

const std::map<std::string, Setter, std::less<>>& setters() {
  constexpr Milliseconds kOneMs{1};
  constexpr Milliseconds kOneSecond{1'000};
  constexpr Milliseconds kOneHour{3'600'000};
  constexpr std::uint64_t kMaxIds = (std::uint64_t{1} << 32) - kIdRangeSize;
  static const std::map<std::string, Setter, std::less<>> table = {
      {"socket", path([](Config& c, const std::string& v) { c.socket = v; })},
      {"supervisor", path([](Config& c, const std::string& v) { c.supervisor = v; })},
      {"stateDir", path([](Config& c, const std::string& v) { c.roots.state = v; })},
      {"runDir", path([](Config& c, const std::string& v) { c.roots.run = v; })},
      {"cgroup", set_cgroup},
      {"logLevel", set_log_level},
      {"idmap.base", number(kIdRangeSize, kMaxIds,
                            [](Config& c, std::uint64_t v) { c.idmap_base = static_cast<std::uint32_t>(v); })},
      {"idmap.count", number(1, kMaxIds / kIdRangeSize,
                             [](Config& c, std::uint64_t v) { c.idmap_count = static_cast<std::uint32_t>(v); })},
      {"events.keep", number(1, 100'000'000, [](Config& c, std::uint64_t v) { c.events.max_events = v; })},
      {"events.maxAge", duration(kOneHour, [](Config& c, Milliseconds v) {
         c.events.max_age = std::chrono::duration_cast<std::chrono::hours>(v);
       })},
      {"restart.backoff", duration(kOneMs, [](Config& c, Milliseconds v) { c.restart.initial = v; })},
      {"restart.maxBackoff", duration(kOneMs, [](Config& c, Milliseconds v) { c.restart.max = v; })},
      {"restart.resetAfter", duration(kOneMs, [](Config& c, Milliseconds v) { c.restart.reset_after = v; })},
      {"stats.interval", duration(kOneSecond, [](Config& c, Milliseconds v) { c.stats_interval = v; })},
      {"network.links", set_links},
      {"network.table", set_table},
      {"network.default", set_default_network},
      {"network.resolvConf", set_resolv_conf},
      {"network.coolDown", duration(Milliseconds(0), [](Config& c, Milliseconds v) { c.network_cool_down = v; })},
      {"operations.keep", number(1, 100'000, [](Config& c, std::uint64_t v) { c.operations_kept = v; })},
      {"boot.parallel", number(0, 1024, [](Config& c, std::uint64_t v) { c.start_parallel = static_cast<unsigned>(v); })},
  };
  return table;
}

bool is_section(const std::string& key) {
  auto it = setters().lower_bound(key + ".");
  return it != setters().end() && it->first.starts_with(key + ".");
}

Result<> read_map(const YAML::Node& node, const std::string& prefix, std::string_view file, Config& config) {
  auto where = [&](const YAML::Node& at) { return fmt::format("{}:{}", file, at.Mark().line + 1); };
  if (!node.IsMap())
    return fail(Code::kUsage, "{}: {}expected keys with values", where(node), prefix.empty() ? "" : prefix + " ");
  std::set<std::string> seen;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) return fail(Code::kUsage, "{}: a key must be a word", where(entry.first));
    std::string key = prefix + entry.first.Scalar();
    if (!seen.insert(key).second) return fail(Code::kUsage, "{}: {} stands there twice", where(entry.first), key);
    if (is_section(key)) {
      VPS_TRY(read_map(entry.second, key + ".", file, config));
      continue;
    }
    auto setter = setters().find(key);
    if (setter == setters().end()) return fail(Code::kUsage, "{}: unknown key {}", where(entry.first), key);
    if (!entry.second.IsScalar()) return fail(Code::kUsage, "{}: {}: expected one value", where(entry.first), key);
    VPS_TRY_CTX(fmt::format("{}: {}", where(entry.second), key), setter->second(config, entry.second.Scalar()));
  }
  return {};
}

}  // namespace

Result<log::Level> parse_log_level(std::string_view name) {
  for (auto level : {log::Level::kDebug, log::Level::kInfo, log::Level::kWarning, log::Level::kError})
    if (log::level_name(level) == name) return level;
  return fail(Code::kUsage, "expected debug, info, warning or error, found '{}'", name);
}

Result<Config> parse_config(std::string_view yaml, std::string_view file_name) {
  Config config;
  try {
    YAML::Node root = YAML::Load(std::string(yaml));
    if (!root.IsNull()) VPS_TRY(read_map(root, "", file_name, config));
  } catch (const YAML::Exception& e) {
    return fail(Code::kUsage, "{}:{}: {}", file_name, e.mark.line + 1, e.msg);
  }
  if (std::uint64_t{config.idmap_base} + std::uint64_t{config.idmap_count} * kIdRangeSize > std::uint64_t{1} << 32)
    return fail(Code::kUsage, "{}: idmap.base {} and idmap.count {} do not fit below 2^32", file_name, config.idmap_base,
                config.idmap_count);
  if (config.restart.max < config.restart.initial)
    return fail(Code::kUsage, "{}: restart.maxBackoff is shorter than restart.backoff", file_name);
  return config;
}

Result<Config> load_config(const std::string& path) {
  auto content = read_file(path, kMaxConfig);
  if (!content && content.error().code() == Code::kNotFound) return Config();
  if (!content) return std::unexpected(std::move(content).error());
  return parse_config(*content, path);
}

}  // namespace vps::daemon
