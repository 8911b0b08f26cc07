#include <algorithm>

#include "specs/vps/network_rows.h"
#include "specs/vps/schema.h"

namespace vps {
namespace {

constexpr std::string_view kInterfaces = "network.interfaces";

bool same_interfaces(const Definition& from, const Definition& to) {
  return std::ranges::equal(from.network.interfaces, to.network.interfaces, {}, &Interface::name, &Interface::name);
}

std::string shown(const Node& node) {
  if (node.kind == Node::Kind::kNull) return {};
  return node.scalar() ? node.text : print_flow(node);
}

Node member_of(const Node& map, const std::string& key) {
  auto found = std::ranges::find(map.members, key, &Node::Member::key);
  return found == map.members.end() ? Node() : found->value;
}

// Interface by interface and key by key, as some keys take effect at once and others do not.
void diff_interfaces(const Definition& from, const Definition& to, std::vector<Change>& changes) {
  for (std::size_t i = 0; i < from.network.interfaces.size(); ++i)
    for (const auto& row : schema::interface_rows()) {
      const auto& interface = from.network.interfaces[i];
      Node before = row.get(interface), after = row.get(to.network.interfaces[i]);
      if (before == after) continue;
      changes.push_back({fmt::format("{}.{}.{}", kInterfaces, interface.name, row.path), shown(before), shown(after),
                         row.has(schema::kNextStart) ? ChangeEffect::kNextStart : ChangeEffect::kLive});
    }
}

}  // namespace

std::vector<Change> diff_definitions(const Definition& from, const Definition& to) {
  std::vector<Change> changes;
  for (const auto& row : schema::rows()) {
    if (row.has(schema::kShorthand)) continue;  // the keys below it say it all
    Node before = row.get(from), after = row.get(to);
    if (before == after) continue;
    if (row.path == kInterfaces && same_interfaces(from, to)) {
      diff_interfaces(from, to, changes);
      continue;
    }
    auto effect = row.has(schema::kNextStart) ? ChangeEffect::kNextStart : ChangeEffect::kLive;
    if (row.shape == schema::Shape::kScalar || row.shape == schema::Shape::kList) {
      changes.push_back({std::string(row.path), shown(before), shown(after), effect});
      continue;
    }
    std::map<std::string, std::pair<Node, Node>> entries;
    for (const Node* side : {&before, &after})
      for (const auto& member : side->members)
        entries[member.key] = {member_of(before, member.key), member_of(after, member.key)};
    for (const auto& [key, values] : entries)
      if (!(values.first == values.second))
        changes.push_back({fmt::format("{}.{}", row.path, key), shown(values.first), shown(values.second), effect});
  }
  std::ranges::sort(changes, {}, &Change::key);
  return changes;
}

Definition with_live_keys(Definition in_force, const Definition& wanted) {
  for (const auto& row : schema::rows())
    if (!row.has(schema::kNextStart) && !row.has(schema::kShorthand)) row.copy(in_force, wanted);
  if (same_interfaces(in_force, wanted))
    for (std::size_t i = 0; i < in_force.network.interfaces.size(); ++i)
      for (const auto& row : schema::interface_rows())
        if (!row.has(schema::kNextStart)) row.copy(in_force.network.interfaces[i], wanted.network.interfaces[i]);
  return in_force;
}

}  // namespace vps
