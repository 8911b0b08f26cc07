#include "specs/vps/schema.h"

namespace vps {
namespace {

std::string shown(const Node& node) {
  if (node.kind == Node::Kind::kNull) return {};
  return node.scalar() ? node.text : print_flow(node);
}

Node member_of(const Node& map, const std::string& key) {
  auto found = std::ranges::find(map.members, key, &Node::Member::key);
  return found == map.members.end() ? Node() : found->value;
}

}  // namespace

std::vector<Change> diff_definitions(const Definition& from, const Definition& to) {
  std::vector<Change> changes;
  for (const auto& row : schema::rows()) {
    if (row.has(schema::kShorthand)) continue;  // the keys below it say it all
    Node before = row.get(from), after = row.get(to);
    if (before == after) continue;
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
  return in_force;
}

}  // namespace vps
