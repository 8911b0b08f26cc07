#include "specs/vps/schema.h"

namespace vps {
namespace {

using schema::Row;
using schema::Shape;
using schema::Where;

const Row<Definition>* find_short(std::string_view name) {
  for (const auto& row : schema::rows()) {
    for (auto rest = row.short_names; !rest.empty();) {
      auto end = std::min(rest.find(' '), rest.size());
      if (rest.substr(0, end) == name) return &row;
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return nullptr;
}

struct Target {
  const Row<Definition>* row = nullptr;
  std::string_view entry;  // "customer" of "labels.customer"; its own keys may hold dots
};

Result<Target> find_target(std::string_view key) {
  // A short name before a path: "disk" alone is the size, as it is among the options of create.
  if (const auto* row = find_short(key)) return Target{row, {}};
  if (const auto* row = schema::find_row(key)) return Target{row, {}};
  for (const auto& row : schema::rows())
    if ((row.shape == Shape::kTexts || row.shape == Shape::kLists) && key.size() > row.path.size() + 1 &&
        key.starts_with(row.path) && key[row.path.size()] == '.')
      return Target{&row, key.substr(row.path.size() + 1)};

  Where where{.path = quote_for_message(key)};
  std::vector<std::string> known;
  std::string below;
  for (const auto& row : schema::rows()) {
    known.emplace_back(row.path);
    if (row.path.starts_with(key) && row.path.size() > key.size() && row.path[key.size()] == '.')
      below += (below.empty() ? "" : ", ") + std::string(row.path);
  }
  for (const auto& info : definition_keys()) known.insert(known.end(), info.short_names.begin(), info.short_names.end());
  if (!key.empty() && !below.empty()) return where.refuse(fmt::format("is a group, set one of {}", below));
  auto near = schema::suggestion(key, known);
  return where.refuse(near.empty() ? "unknown key" : fmt::format("unknown key, did you mean {}?", near));
}

// Scalars are taken as they stand, so that no shell user has to know YAML's quoting; all else is YAML flow.
Result<Node> parse_value(std::string_view value, bool scalar, const Where& where) {
  if (value.size() > kMaxYamlSize) return where.refuse(fmt::format("larger than {} KiB", kMaxYamlSize >> 10));
  if (scalar) return Node::of_text(std::string(value));
  auto node = parse_yaml(value, "");
  if (!node) return where.refuse(node.error().message());
  return *std::move(node);
}

Result<> set_entry(Definition& definition, const Target& target, std::string_view value) {
  const auto& row = *target.row;
  auto where = Where{.path = std::string(row.path)};
  Node node = row.get(definition);
  if (node.kind != Node::Kind::kMap) node = Node::map();
  auto old = std::ranges::find(node.members, target.entry, &Node::Member::key);
  if (value.empty()) {
    if (old != node.members.end()) node.members.erase(old);
  } else {
    auto parsed = VPS_TRY(parse_value(value, row.shape == Shape::kTexts, where.key(target.entry)));
    if (old != node.members.end()) old->value = std::move(parsed);
    else node.put(std::string(target.entry), std::move(parsed));
  }
  return row.set(definition, node, where);
}

}  // namespace

Result<> set_key(Definition& definition, std::string_view assignment) {
  auto equals = assignment.find('=');
  if (equals == std::string_view::npos)
    return fail(Code::kUsage, "expected KEY=VALUE, found '{}'", quote_for_message(assignment));
  auto key = assignment.substr(0, equals);
  auto value = assignment.substr(equals + 1);
  if (key.empty()) return fail(Code::kUsage, "expected KEY=VALUE, found '{}'", quote_for_message(assignment));
  auto target = VPS_TRY(find_target(key));
  const auto& row = *target.row;
  auto where = Where{.path = std::string(row.path)};
  if (row.has(schema::kFixed)) return where.refuse("cannot be set");
  if (utf8_prefix(value) != value.size()) return where.refuse("not UTF-8 text");

  Definition changed = definition;  // all or nothing
  if (!target.entry.empty()) {
    VPS_TRY(set_entry(changed, target, value));
  } else if (value.empty()) {
    row.copy(changed, Definition{});
  } else {
    auto node = VPS_TRY(parse_value(value, row.shape == Shape::kScalar, where));
    VPS_TRY(row.set(changed, node, where));
  }
  definition = std::move(changed);
  return {};
}

}  // namespace vps
