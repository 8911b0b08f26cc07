#include "cli/oci/resources.h"

#include <algorithm>

#include "base/log.h"
#include "namespaces/capabilities.h"

namespace vps::vpsrun {
namespace {

template <class T>
void drop_zero(std::optional<T>& value) {
  if (value && *value == 0) value.reset();
}

// "a-b-c.slice" lies in "a.slice/a-b.slice"; "-.slice" is the root (systemd.slice(5)).
Result<std::string> slice_path(const std::string& slice) {
  constexpr std::string_view kSuffix = ".slice";
  auto bad = [&] { return fail(Code::kUsage, "linux.cgroupsPath: '{}' is not the name of a slice", slice); };
  if (slice == "-.slice" || slice.empty()) return std::string();
  if (!slice.ends_with(kSuffix) || slice.find('/') != std::string::npos) return bad();
  std::string name = slice.substr(0, slice.size() - kSuffix.size());
  std::string path;
  for (std::size_t at = 0; at <= name.size(); ++at) {
    if (at < name.size() && name[at] != '-') continue;
    if (at == 0 || name[at - 1] == '-') return bad();
    if (!path.empty()) path += "/";
    path += name.substr(0, at) + std::string(kSuffix);
  }
  return path;
}

oci::DeviceRule rule(std::string type, std::optional<std::int64_t> major, std::optional<std::int64_t> minor, std::string access) {
  return {.allow = true, .type = std::move(type), .major = major, .minor = minor, .access = std::move(access)};
}

}  // namespace

Result<std::string> cgroup_path(const std::string& cgroups_path, const std::string& id) {
  if (cgroups_path.empty()) return "vpsrun/" + id;
  if (std::ranges::count(cgroups_path, ':') != 2) {
    auto begin = cgroups_path.find_first_not_of('/');
    if (begin == std::string::npos) return fail(Code::kUsage, "linux.cgroupsPath: '{}' is the root", cgroups_path);
    return cgroups_path.substr(begin);
  }
  auto first = cgroups_path.find(':');
  auto second = cgroups_path.find(':', first + 1);
  auto slice = cgroups_path.substr(0, first);
  auto prefix = cgroups_path.substr(first + 1, second - first - 1);
  auto name = cgroups_path.substr(second + 1);
  if (name.empty()) return fail(Code::kUsage, "linux.cgroupsPath: '{}' has no name", cgroups_path);
  auto path = VPS_TRY(slice_path(slice.empty() ? "system.slice" : slice));
  if (!path.empty()) path += "/";
  if (name.ends_with(".slice")) return path + name;
  return path + (prefix.empty() ? "" : prefix + "-") + name + ".scope";
}

oci::Resources without_unset(oci::Resources resources) {
  if (auto& memory = resources.memory) {
    drop_zero(memory->limit);
    drop_zero(memory->reservation);
    drop_zero(memory->swap);
    memory->kernel.reset();
    memory->kernel_tcp.reset();
    memory->use_hierarchy.reset();
    if (memory->disable_oom_killer && !*memory->disable_oom_killer) memory->disable_oom_killer.reset();
  }
  if (auto& cpu = resources.cpu) {
    drop_zero(cpu->shares);
    drop_zero(cpu->quota);
    drop_zero(cpu->period);
    drop_zero(cpu->realtime_runtime);
    drop_zero(cpu->realtime_period);
  }
  if (auto& pids = resources.pids) drop_zero(pids->limit);
  if (auto& io = resources.block_io) {
    drop_zero(io->weight);
    drop_zero(io->leaf_weight);
  }
  if (auto& network = resources.network) drop_zero(network->class_id);
  return resources;
}

std::vector<oci::DeviceRule> with_default_devices(std::vector<oci::DeviceRule> rules) {
  const auto any = std::optional<std::int64_t>();
  // Nodes may be made, not used: what a node may be used for is decided when it is opened.
  for (const char* type : {"c", "b"}) rules.push_back(rule(type, any, any, "m"));
  for (std::int64_t minor : {3, 5, 7, 8, 9}) rules.push_back(rule("c", 1, minor, "rwm"));  // null zero full random urandom
  for (std::int64_t minor : {0, 1, 2}) rules.push_back(rule("c", 5, minor, "rwm"));        // tty console ptmx
  rules.push_back(rule("c", 136, any, "rwm"));                                             // pts/*
  return rules;
}

void settle_ambient(oci::Process& process) {
  if (!process.capabilities || process.capabilities->ambient.empty()) return;
  auto& sets = *process.capabilities;
  std::vector<std::string> unknown;
  auto masks = namespaces::parse_capabilities(sets, &unknown);
  auto alone = masks.ambient & ~(masks.permitted & masks.inheritable);
  if (alone == 0) return;
  sets.ambient = namespaces::capability_names(masks.ambient & ~alone);
  std::string names;
  for (const auto& name : namespaces::capability_names(alone)) names += (names.empty() ? "" : ", ") + name;
  // Not a warning: without --log that goes to standard error, and so into what every step of a build prints.
  log::debug("process.capabilities.ambient: left out, not both permitted and inheritable: {}", names);
}

Result<> require_enforced(const std::vector<cgroups::Enforcement>& limits) {
  std::string missing;
  for (const auto& limit : limits) {
    if (limit.kind != cgroups::Enforcement::Kind::kUnavailable) continue;
    if (!missing.empty()) missing += "; ";
    missing += fmt::format("{} = {}: {}", limit.limit, limit.value, limit.reason);
  }
  if (!missing.empty()) return fail(Code::kUnavailable, "linux.resources: {}", missing);
  return {};
}

}  // namespace vps::vpsrun
