// The compiled plan for a person's eyes, in the order in which the launcher works.
#include <fmt/ranges.h>

#include "specs/vps/compile.h"

namespace vps {
namespace {

using Lines = std::vector<std::string>;

std::string size_text(std::int64_t bytes) {
  return bytes < 0 ? "unlimited" : format_size(Bytes{static_cast<std::uint64_t>(bytes)});
}

void describe_throttles(const oci::BlockIo& io, Lines& lines) {
  const std::pair<const char*, const std::vector<oci::ThrottleDevice>*> lists[] = {
      {"bytes/s read from", &io.throttle_read_bps},
      {"bytes/s written to", &io.throttle_write_bps},
      {"reads/s of", &io.throttle_read_iops},
      {"writes/s to", &io.throttle_write_iops}};
  for (const auto& [what, list] : lists)
    for (const auto& entry : *list)
      lines.push_back(fmt::format("limit io: {} {} device {}:{}", entry.rate, what, entry.major, entry.minor));
}

void describe_limits(const oci::Resources& resources, Lines& lines) {
  if (const auto& cpu = resources.cpu) {
    if (cpu->quota && cpu->period)
      lines.push_back(fmt::format("limit cpu: {} us in each {} us", *cpu->quota, *cpu->period));
    if (!cpu->cpus.empty()) lines.push_back(fmt::format("limit cpu: on {} only", cpu->cpus));
  }
  if (const auto& memory = resources.memory) {
    if (memory->limit) lines.push_back(fmt::format("limit memory: {}", size_text(*memory->limit)));
    if (memory->swap) lines.push_back(fmt::format("limit memory and swap together: {}", size_text(*memory->swap)));
  }
  if (resources.pids && resources.pids->limit) lines.push_back(fmt::format("limit processes: {}", *resources.pids->limit));
  if (resources.block_io) describe_throttles(*resources.block_io, lines);
  for (const auto& [file, value] : resources.unified) lines.push_back(fmt::format("set {} to {}", file, value));
  Lines allowed;
  for (const auto& rule : resources.devices) {
    if (!rule.allow) continue;
    auto number = [](const std::optional<std::int64_t>& value) { return value ? fmt::format("{}", *value) : std::string("*"); };
    allowed.push_back(fmt::format("{} {}:{} {}", rule.type, number(rule.major), number(rule.minor), rule.access));
  }
  lines.push_back(fmt::format("refuse all devices but: {}", fmt::join(allowed, ", ")));
}

void describe_ids(const oci::Linux& section, Lines& lines) {
  Lines types;
  for (const auto& entry : section.namespaces) types.push_back(entry.type);
  lines.push_back(fmt::format("clone its first process into new namespaces: {}", fmt::join(types, ", ")));
  for (const auto& map : section.uid_mappings)
    lines.push_back(fmt::format("map ids {}-{} to {}-{} of the host", map.container_id, map.container_id + (map.size - 1),
                                map.host_id, map.host_id + (map.size - 1)));
  for (const auto& [clock, offset] : section.time_offsets)
    lines.push_back(fmt::format("shift its {} clock by {} s", clock, offset.secs));
}

void describe_root(const RootfsPlan& rootfs, Lines& lines) {
  const auto* idmapped = rootfs.idmapped ? ", ids mapped" : "";
  if (rootfs.upper.empty())
    lines.push_back(fmt::format("root: {}{}", fmt::join(rootfs.lower, ":"), idmapped));
  else
    lines.push_back(fmt::format("root: overlay of {} over {}{}", rootfs.upper, fmt::join(rootfs.lower, ":"), idmapped));
}

void describe_mount(const oci::Mount& mount, Lines& lines) {
  auto options = mount.options.empty() ? std::string() : fmt::format(" ({})", fmt::join(mount.options, ","));
  if (mount.type == "bind" && mount.source == mount.destination && mount.source.starts_with("/proc/"))
    lines.push_back(fmt::format("keep {} writable", mount.destination));
  else if (mount.type == "bind")
    lines.push_back(fmt::format("bind {} on {}{}", mount.source, mount.destination, options));
  else
    lines.push_back(fmt::format("mount {} on {}{}", mount.type, mount.destination, options));
}

void describe_hooks(std::string_view name, const std::vector<oci::Hook>& hooks, Lines& lines) {
  for (const auto& hook : hooks) lines.push_back(fmt::format("run {} hook {}", name, hook.path));
}

}  // namespace

std::vector<std::string> describe_start(const Compiled& compiled) {
  Lines lines;
  const auto& spec = compiled.spec;
  const auto& section = *spec.linux_;
  lines.push_back(fmt::format("make cgroup {}", section.cgroups_path));
  if (section.resources) describe_limits(*section.resources, lines);
  describe_ids(section, lines);
  describe_root(compiled.rootfs, lines);
  for (const auto& mount : spec.mounts) describe_mount(mount, lines);
  for (const auto& device : section.devices)
    lines.push_back(fmt::format("make {} ({} {}:{})", device.path, device.type, device.major, device.minor));
  if (spec.process->terminal) lines.emplace_back("open its console as /dev/console");
  lines.push_back(fmt::format("host name: {}", spec.hostname));
  if (spec.hooks) describe_hooks("prestart", spec.hooks->prestart, lines);
  if (!section.masked_paths.empty()) lines.push_back(fmt::format("mask: {}", fmt::join(section.masked_paths, " ")));
  if (!section.readonly_paths.empty()) lines.push_back(fmt::format("read-only: {}", fmt::join(section.readonly_paths, " ")));
  if (const auto& sets = spec.process->capabilities)
    lines.push_back(fmt::format("keep capabilities: {}", fmt::join(sets->bounding, " ")));
  if (spec.process->no_new_privileges) lines.emplace_back("no new privileges");
  if (section.seccomp)
    lines.push_back(fmt::format("filter system calls: {} for all but {} rules", section.seccomp->default_action,
                                section.seccomp->syscalls.size()));
  else
    lines.emplace_back("no filter of system calls");
  lines.push_back(fmt::format("execute {}", fmt::join(spec.process->args, " ")));
  if (spec.hooks) describe_hooks("poststart", spec.hooks->poststart, lines);
  for (const auto& warning : compiled.warnings) lines.push_back("warning: " + warning);
  return lines;
}

}  // namespace vps
