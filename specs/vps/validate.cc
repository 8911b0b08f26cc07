#include "specs/vps/checks.h"
#include "specs/vps/schema.h"

namespace vps {
namespace schema {
namespace {

using Found = std::optional<Conflict>;

Found memory_conflict(const Definition& definition) {
  const auto& memory = definition.resources.memory;
  if (memory.guarantee && memory.limit && *memory.guarantee > *memory.limit)
    return Conflict{"resources.memory.guarantee", fmt::format("{} is more than the limit of {}",
                                                              format_size(*memory.guarantee), format_size(*memory.limit))};
  return {};
}

Found cpu_conflict(const Definition& definition) {
  const auto& cpu = definition.resources.cpu;
  if (!cpu.count || cpu.set.empty()) return {};
  auto size = checks::cpu_set_size(cpu.set);
  if (*cpu.count <= size) return {};
  return Conflict{"resources.cpu.count",
                  fmt::format("{} is more than the {} CPUs of resources.cpu.set '{}'", *cpu.count, size, cpu.set)};
}

Found capability_conflict(const Definition& definition) {
  const auto& names = definition.security.capabilities;
  for (const auto& name : names)
    if (name[0] == '+' && std::ranges::find(names, "-" + name.substr(1)) != names.end())
      return Conflict{"security.capabilities", fmt::format("{} is both added and removed", name.substr(1))};
  return {};
}

Found mount_conflict(const Definition& definition) {
  std::map<std::string, int> targets;
  for (const auto& mount : definition.mounts)
    if (++targets[mount.target] == 2) return Conflict{"mounts", fmt::format("two mounts on {}", mount.target)};
  return {};
}

Found interface_conflict(const Definition& definition) {
  std::map<std::string, int> names;
  for (const auto& interface : definition.network.interfaces)
    if (++names[interface.name] == 2)
      return Conflict{"network.interfaces", fmt::format("two interfaces named {}", interface.name)};
  return {};
}

Found init_conflict(const Definition& definition) {
  if (definition.init.empty() || definition.init[0].starts_with('/')) return {};
  return Conflict{"init", fmt::format("expected an absolute path as program, found '{}'",
                                      quote_for_message(definition.init[0]))};
}

}  // namespace

std::optional<Conflict> find_conflict(const Definition& definition) {
  for (auto* find : {memory_conflict, cpu_conflict, capability_conflict, mount_conflict, interface_conflict, init_conflict})
    if (auto conflict = find(definition)) return conflict;
  return {};
}

}  // namespace schema

Result<> validate_definition(const Definition& definition) {
  schema::Where where;
  VPS_TRY(schema::check_required(schema::rows(), definition, where));
  for (const auto& row : schema::rows()) VPS_TRY(row.check(definition, where.key(row.path)));
  if (auto conflict = schema::find_conflict(definition)) return where.key(conflict->path).refuse(conflict->message);
  if (!definition.network.interfaces.empty())
    return where.key("network.interfaces")
        .refuse("this version connects no VPS to a network, use 'network: none'", Code::kUnavailable);
  return {};
}

}  // namespace vps
