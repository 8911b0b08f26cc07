#include "cgroups/systemd_unit.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/files.h"
#include "base/units.h"
#include "cgroups/plan.h"

namespace vps::cgroups {
namespace {

constexpr std::string_view kPath = "/org/freedesktop/systemd1";
constexpr std::string_view kManager = "org.freedesktop.systemd1.Manager";
constexpr std::string_view kScope = ".scope";

std::uint64_t amount(std::int64_t value) { return value < 0 ? UINT64_MAX : static_cast<std::uint64_t>(value); }

// "0-2,7" as systemd takes sets: bit n of byte n / 8. Lists are validated before.
std::vector<std::uint8_t> set_of(std::string_view list) {
  std::vector<std::uint8_t> bits;
  while (!list.empty()) {
    auto comma = std::min(list.find(','), list.size());
    auto range = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    auto dash = range.find('-');
    auto first = parse_u64(range.substr(0, dash)).value_or(0);
    auto last = dash == std::string_view::npos ? first : parse_u64(range.substr(dash + 1)).value_or(first);
    constexpr std::uint64_t kMost = 8191;
    for (auto i = first; i <= std::min(last, kMost); ++i) {
      if (bits.size() <= i / 8) bits.resize(i / 8 + 1);
      bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | 1U << (i % 8));
    }
  }
  return bits;
}

void add_memory(const oci::MemoryLimits& memory, std::vector<DbusProperty>& out) {
  if (memory.limit) out.emplace_back("MemoryMax", amount(*memory.limit));
  if (memory.reservation) out.emplace_back("MemoryLow", *memory.reservation < 0 ? std::uint64_t{0} : amount(*memory.reservation));
  if (!memory.swap) return;
  if (*memory.swap < 0)
    out.emplace_back("MemorySwapMax", UINT64_MAX);
  else if (memory.limit && *memory.limit >= 0)
    out.emplace_back("MemorySwapMax", amount(*memory.swap - *memory.limit));
}

constexpr std::uint64_t kDefaultPeriod = 100'000;

// CPUQuotaPerSecUSec; `quota` at most 0: no limit.
std::uint64_t quota_per_second(std::int64_t quota, std::uint64_t period) {
  constexpr std::uint64_t kSecond = 1'000'000;
  // systemd keeps hundredths of a second per second: rounded up, so that it is never less than asked for.
  constexpr std::uint64_t kGrain = 10'000;
  if (quota <= 0 || period == 0) return UINT64_MAX;
  return (static_cast<std::uint64_t>(quota) * kSecond / period + kGrain - 1) / kGrain * kGrain;
}

void add_cpu(const oci::CpuLimits& cpu, std::vector<DbusProperty>& out) {
  if (cpu.shares) out.emplace_back("CPUWeight", weight_from_shares(*cpu.shares));
  if (cpu.period) out.emplace_back("CPUQuotaPeriodUSec", *cpu.period);
  if (cpu.quota) out.emplace_back("CPUQuotaPerSecUSec", quota_per_second(*cpu.quota, cpu.period.value_or(kDefaultPeriod)));
  if (!cpu.cpus.empty()) out.emplace_back("AllowedCPUs", set_of(cpu.cpus));
  if (!cpu.mems.empty()) out.emplace_back("AllowedMemoryNodes", set_of(cpu.mems));
}

struct Known {
  std::string_view file, property;
};

// "QUOTA PERIOD", "max PERIOD" or "QUOTA" of cpu.max.
void add_cpu_max(std::string_view text, std::vector<DbusProperty>& out) {
  auto blank = std::min(text.find(' '), text.size());
  auto period = blank == text.size() ? Result<std::uint64_t>(kDefaultPeriod) : parse_u64(text.substr(blank + 1));
  auto quota = text.substr(0, blank) == "max" ? Result<std::uint64_t>(0) : parse_u64(text.substr(0, blank));
  if (!period || !quota || *quota > INT64_MAX) return;
  out.emplace_back("CPUQuotaPeriodUSec", *period);
  out.emplace_back("CPUQuotaPerSecUSec", quota_per_second(static_cast<std::int64_t>(*quota), *period));
}

// systemd writes what it thinks a file has whenever it writes another: what it can be told it must be told, or the limit is lost.
// A value that no file takes is no property either; the kernel refuses it afterwards.
void add_unified(const oci::StringMap& files, std::vector<DbusProperty>& out) {
  constexpr auto kKnown = std::to_array<Known>({{"memory.max", "MemoryMax"}, {"memory.high", "MemoryHigh"}, {"memory.low", "MemoryLow"}, {"memory.min", "MemoryMin"},
                                                {"memory.swap.max", "MemorySwapMax"}, {"pids.max", "TasksMax"}, {"cpu.weight", "CPUWeight"}});
  for (const auto& known : kKnown) {
    auto found = files.find(std::string(known.file));
    if (found == files.end()) continue;
    auto number = parse_u64(found->second);
    if (found->second == "max")
      out.emplace_back(known.property, UINT64_MAX);
    else if (number)
      out.emplace_back(known.property, *number);
  }
  if (auto found = files.find("cpu.max"); found != files.end()) add_cpu_max(found->second, out);
  for (const auto& known : {Known{"cpuset.cpus", "AllowedCPUs"}, Known{"cpuset.mems", "AllowedMemoryNodes"}}) {
    auto found = files.find(std::string(known.file));
    if (found != files.end() && !found->second.empty() && found->second.find_first_not_of("0123456789,-") == std::string::npos)
      out.emplace_back(known.property, set_of(found->second));
  }
  if (auto found = files.find("io.weight"); found != files.end()) {
    std::string_view text = found->second;
    if (text.starts_with("default ")) text.remove_prefix(8);
    if (auto weight = parse_u64(text)) out.emplace_back("IOWeight", *weight);
  }
}

Result<std::string> quoted(std::string_view text) {
  if (text.size() < 2 || (text[0] != '\'' && text[0] != '"') || text.back() != text[0]) return fail(Code::kUsage, "no text in quotes");
  std::string out;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] == '\\' && i + 2 < text.size()) ++i;
    else if (text[i] == text[0]) return fail(Code::kUsage, "a quote within quotes");
    out.push_back(text[i]);
  }
  return out;
}

template <class Number>
Result<DbusValue> number_of(std::string_view text) {
  Number value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return fail(Code::kUsage, "'{}' is no number of its type", text);
  return DbusValue(value);
}

Result<DbusValue> parse_value(std::string_view text) {
  if (text == "true" || text == "false") return DbusValue(text == "true");
  if (text.starts_with("uint32 ")) return number_of<std::uint32_t>(text.substr(7));
  if (text.starts_with("uint64 ")) return number_of<std::uint64_t>(text.substr(7));
  if (text.starts_with("int32 ")) return number_of<std::int32_t>(text.substr(6));
  if (text.starts_with("int64 ")) return number_of<std::int64_t>(text.substr(6));
  if (text.starts_with('[') && text.ends_with(']')) {
    std::vector<std::string> list;
    auto rest = text.substr(1, text.size() - 2);
    while (!rest.empty()) {
      auto comma = std::min(rest.find(','), rest.size());
      auto item = rest.substr(0, comma);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      while (item.starts_with(' ')) item.remove_prefix(1);
      while (item.ends_with(' ')) item.remove_suffix(1);
      list.push_back(VPS_TRY(quoted(item)));
    }
    return DbusValue(std::move(list));
  }
  if (text.starts_with('\'') || text.starts_with('"')) return DbusValue(VPS_TRY(quoted(text)));
  return number_of<std::int32_t>(text);
}

}  // namespace

Result<ScopeName> parse_scope_name(const std::string& cgroups_path, const std::string& id, const std::string& default_slice) {
  if (cgroups_path.empty()) return ScopeName{default_slice, "vpsrun-" + id + std::string(kScope)};
  auto first = cgroups_path.find(':');
  auto second = first == std::string::npos ? first : cgroups_path.find(':', first + 1);
  if (second == std::string::npos || cgroups_path.find(':', second + 1) != std::string::npos)
    return fail(Code::kUsage, "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"{}\" instead", cgroups_path);
  ScopeName name{cgroups_path.substr(0, first), ""};
  auto prefix = cgroups_path.substr(first + 1, second - first - 1);
  auto last = cgroups_path.substr(second + 1);
  if (last.empty() || last.find('/') != std::string::npos || prefix.find('/') != std::string::npos)
    return fail(Code::kUsage, "linux.cgroupsPath: '{}' has no usable name", cgroups_path);
  if (last.ends_with(".slice")) return fail(Code::kUnavailable, "linux.cgroupsPath: '{}': a slice holds no processes of its own under systemd", cgroups_path);
  if (name.slice.empty()) name.slice = default_slice;
  name.unit = prefix + (prefix.empty() ? "" : "-") + last + std::string(kScope);
  return name;
}

std::vector<DbusProperty> unit_properties(const oci::Resources& resources) {
  std::vector<DbusProperty> out;
  if (resources.memory) add_memory(*resources.memory, out);
  if (resources.cpu) add_cpu(*resources.cpu, out);
  if (resources.pids && resources.pids->limit) out.emplace_back("TasksMax", *resources.pids->limit <= 0 ? UINT64_MAX : amount(*resources.pids->limit));
  if (resources.block_io && resources.block_io->weight.value_or(0) != 0) out.emplace_back("IOWeight", io_weight_from_oci(*resources.block_io->weight));
  add_unified(resources.unified, out);
  return out;
}

Result<std::vector<DbusProperty>> annotated_properties(const oci::StringMap& annotations) {
  constexpr std::string_view kPrefix = "org.systemd.property.";
  std::vector<DbusProperty> out;
  for (const auto& [key, text] : annotations) {
    if (!key.starts_with(kPrefix)) continue;
    std::string name = key.substr(kPrefix.size());
    auto value = VPS_TRY_CTX("annotation " + key, parse_value(text));
    // Times are given in seconds under their public name; systemd takes microseconds.
    constexpr std::uint64_t kMicros = 1'000'000;
    if (name.ends_with("Sec") && !name.ends_with("USec")) {
      name = name.substr(0, name.size() - 3) + "USec";
      if (auto* seconds = std::get_if<std::int32_t>(&value)) value = static_cast<std::uint64_t>(std::max(*seconds, 0)) * kMicros;
    }
    out.emplace_back(std::move(name), std::move(value));
  }
  return out;
}

Host host_of_units(Host host) {
  host.unified_base = host.unified_root;
  for (auto& hierarchy : host.v1) hierarchy.base = hierarchy.mount;
  if (::geteuid() != 0) host.v1.clear();
  return host;
}

Result<std::string> unit_cgroup_of(const Host& host, pid_t pid) {
  auto text = VPS_TRY(read_file(fmt::format("/proc/{}/cgroup", pid)));
  // On hosts where systemd runs on v1 hierarchies the v2 tree may be beside them, without its units.
  auto path = own_cgroup(text, "");
  if (path.empty() || path == "/") path = own_cgroup(text, "name=systemd");
  std::string_view rest = path;
  if (host.unified_mounted != "/" && rest.starts_with(host.unified_mounted)) rest.remove_prefix(host.unified_mounted.size());
  while (rest.starts_with('/')) rest.remove_prefix(1);
  if (rest.empty() || rest.starts_with("../")) return fail(Code::kUnavailable, "systemd has put the process into cgroup '{}'", path);
  return std::string(rest);
}

std::string Systemd::default_slice() { return ::geteuid() == 0 ? "system.slice" : "user.slice"; }

Result<Systemd> Systemd::connect() {
  std::string socket = "/run/systemd/private";
  if (::geteuid() != 0) {
    const char* own = ::getenv("XDG_RUNTIME_DIR");
    socket = fmt::format("{}/systemd/private", own != nullptr && *own == '/' ? own : fmt::format("/run/user/{}", ::geteuid()));
  }
  auto connection = DbusConnection::connect(socket);
  if (!connection)
    return fail(Code::kUnavailable, "the cgroup manager systemd: {}; systemd does not run here: use --cgroup-manager cgroupfs", connection.error().to_string());
  return Systemd(std::move(*connection));
}

// The answer is the job's path; the signal that tells its end is (id, path, unit, result).
Result<> Systemd::wait_job(const DbusMessage& answer, const std::string& unit) {
  auto job = DbusReader(answer.body).string();
  while (true) {
    auto signal = VPS_TRY_CTX(unit, connection_.wait_signal("JobRemoved"));
    DbusReader r(signal.body);
    r.u32();
    auto path = r.string();
    r.string();
    auto result = r.string();
    if (path != job) continue;
    if (result != "done") return fail(Code::kFailed, "systemd could not do its job with {}: {}", unit, result);
    return {};
  }
}

Result<> Systemd::start_scope(const ScopeName& name, pid_t pid, std::vector<DbusProperty> properties) {
  properties.insert(properties.begin(), {{"Description", "container " + name.unit},
                                         {"Slice", name.slice},
                                         {"PIDs", std::vector<std::uint32_t>{static_cast<std::uint32_t>(pid)}},
                                         {"Delegate", true},
                                         {"DefaultDependencies", false},
                                         {"CollectMode", std::string("inactive-or-failed")},
                                         {"MemoryAccounting", true},
                                         {"CPUAccounting", true},
                                         {"IOAccounting", true},
                                         {"TasksAccounting", true}});
  DbusWriter body;
  body.string(name.unit).string("replace").properties(properties).no_units();
  auto answer = VPS_TRY_CTX("start " + name.unit, connection_.call(kPath, kManager, "StartTransientUnit", "ssa(sv)a(sa(sv))", body.data()));
  return wait_job(answer, name.unit);
}

Result<> Systemd::set_properties(const std::string& unit, const std::vector<DbusProperty>& properties) {
  if (properties.empty()) return {};
  DbusWriter body;
  body.string(unit).boolean(true).properties(properties);
  VPS_TRY_CTX("change " + unit, connection_.call(kPath, kManager, "SetUnitProperties", "sba(sv)", body.data()));
  return {};
}

Result<> Systemd::stop(const std::string& unit) {
  DbusWriter body;
  body.string(unit).string("replace");
  auto answer = connection_.call(kPath, kManager, "StopUnit", "ss", body.data());
  if (!answer) {
    if (answer.error().message().find("NoSuchUnit") != std::string::npos) return {};
    return std::unexpected(std::move(answer).error().wrap("stop " + unit));
  }
  return wait_job(*answer, unit);
}

}  // namespace vps::cgroups
