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
  for (const auto& interface : definition.network.interfaces) {
    if (++names[interface.name] == 2)
      return Conflict{"network.interfaces", fmt::format("two interfaces named {}", interface.name)};
    auto above = [](const std::optional<BitRate>& guarantee, const std::optional<BitRate>& rate) {
      return guarantee && rate && *guarantee > *rate;
    };
    if (above(interface.guarantee_in, interface.rate_in) || above(interface.guarantee_out, interface.rate_out))
      return Conflict{"network.interfaces", fmt::format("{}: a guarantee is more than its rate", interface.name)};
  }
  return {};
}

Found firewall_conflict(const Definition& definition) {
  const auto& firewall = definition.network.firewall;
  std::map<std::uint32_t, int> numbers;
  for (const auto& rule : firewall.rules) {
    if (rule.number != 0 && ++numbers[rule.number] == 2)
      return Conflict{"network.firewall.rules", fmt::format("two rules with the number {}", rule.number)};
    if (!rule.ports.empty() && rule.protocol != net::Protocol::kTcp && rule.protocol != net::Protocol::kUdp)
      return Conflict{"network.firewall.rules", "ports are those of tcp or udp: a rule with ports needs one of these as protocol"};
    for (const auto& peer : rule.peers) {
      const bool icmp = rule.protocol == net::Protocol::kIcmp, icmp6 = rule.protocol == net::Protocol::kIcmp6;
      if ((icmp && peer.family() == Family::kV6) || (icmp6 && peer.family() == Family::kV4))
        return Conflict{"network.firewall.rules", fmt::format("nobody at {} speaks {}", format_prefix(peer), icmp ? "icmp" : "icmp6")};
    }
  }
  for (std::size_t i = 0; i < firewall.forwards.size(); ++i) {
    const auto& forward = firewall.forwards[i];
    if (forward.number != 0 && ++numbers[forward.number] == 2)
      return Conflict{"network.firewall.forwards", fmt::format("two entries with the number {}", forward.number)};
    if (forward.port == 0 || forward.guest_port == 0) return Conflict{"network.firewall.forwards", "port and guestPort are needed"};
    if (forward.listen && forward.guest && forward.listen->family != forward.guest->family)
      return Conflict{"network.firewall.forwards", "listen and guest are of two families"};
    for (std::size_t j = 0; j < i; ++j) {
      const auto& other = firewall.forwards[j];
      bool same = other.protocol == forward.protocol && other.port == forward.port &&
                  (!other.listen || !forward.listen || *other.listen == *forward.listen);
      if (same) return Conflict{"network.firewall.forwards", fmt::format("port {} is forwarded twice", forward.port)};
    }
  }
  return {};
}

Found init_conflict(const Definition& definition) {
  if (definition.init.empty() || definition.init[0].starts_with('/')) return {};
  return Conflict{"init", fmt::format("expected an absolute path as program, found '{}'",
                                      quote_for_message(definition.init[0]))};
}

}  // namespace

std::optional<Conflict> find_conflict(const Definition& definition) {
  for (auto* find : {memory_conflict, cpu_conflict, capability_conflict, mount_conflict, interface_conflict, firewall_conflict, init_conflict})
    if (auto conflict = find(definition)) return conflict;
  return {};
}

}  // namespace schema

void number_firewall(Definition& definition) {
  auto& firewall = definition.network.firewall;
  auto& last = firewall.last_number;
  for (const auto& rule : firewall.rules) last = std::max(last, rule.number);
  for (const auto& forward : firewall.forwards) last = std::max(last, forward.number);
  for (auto& rule : firewall.rules)
    if (rule.number == 0) rule.number = ++last;
  for (auto& forward : firewall.forwards)
    if (forward.number == 0) forward.number = ++last;
}

Result<> validate_definition(const Definition& definition) {
  schema::Where where;
  VPS_TRY(schema::check_required(schema::rows(), definition, where));
  for (const auto& row : schema::rows()) VPS_TRY(row.check(definition, where.key(row.path)));
  if (auto conflict = schema::find_conflict(definition)) return where.key(conflict->path).refuse(conflict->message);
  return {};
}

}  // namespace vps
