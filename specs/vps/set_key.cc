#include "specs/vps/network_rows.h"
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

constexpr std::string_view kInterfacePrefix = "network.interfaces.";

// Short names of keys of the first interface, which is made where there is none.
std::optional<std::string_view> short_interface_key(std::string_view key) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kNames{
      {{"ip", "addresses"}, {"rateIn", "rateIn"}, {"rateOut", "rateOut"}}};
  for (const auto& [name, row] : kNames)
    if (name == key) return row;
  return {};
}

// "auto,10.0.0.2/24" as the list that it is.
Node address_list(std::string_view value) {
  Node list = Node::list();
  while (!value.empty()) {
    auto end = std::min(value.find(','), value.size());
    list.items.push_back(Node::of_text(std::string(value.substr(0, end))));
    value.remove_prefix(std::min(end + 1, value.size()));
  }
  return list;
}

Result<> set_interface_key(Interface& interface, std::string_view key, std::string_view value, const Where& where) {
  auto rows = schema::interface_rows();
  auto row = std::ranges::find(rows, key, &Row<Interface>::path);
  if (row == rows.end()) return schema::unknown_key(rows, key, where);
  if (row->has(schema::kRequired)) return where.refuse("cannot be set");
  if (value.empty()) {
    row->copy(interface, Interface{});
    return {};
  }
  auto node = VPS_TRY(parse_value(value, row->shape == Shape::kScalar, where));
  return row->set(interface, node, where);
}

// "network.interfaces.eth0.rateIn=50M" and the short names; false: it is none of these.
Result<bool> set_of_interface(Definition& definition, std::string_view key, std::string_view value) {
  auto& interfaces = definition.network.interfaces;
  auto short_key = short_interface_key(key);
  if (!short_key && !key.starts_with(kInterfacePrefix)) return false;
  Where where{.path = quote_for_message(key)};
  if (!short_key) {
    key.remove_prefix(kInterfacePrefix.size());
    for (auto& interface : interfaces) {  // names may hold dots
      if (!key.starts_with(interface.name + ".")) continue;
      VPS_TRY(set_interface_key(interface, key.substr(interface.name.size() + 1), value, where));
      return true;
    }
    return where.refuse("it has no such interface");
  }
  const bool addresses = *short_key == "addresses";
  if (addresses && value == "none") {
    definition.network.interfaces.clear();
    definition.network.none = true;
    return true;
  }
  if (interfaces.empty()) {
    if (!addresses) return where.refuse("it has no interface");
    Interface first;
    first.name = "eth0";
    first.network = "default";
    interfaces.push_back(std::move(first));
    definition.network.none = false;
  }
  std::string list = addresses && !value.starts_with('[') ? print_flow(address_list(value)) : std::string(value);
  VPS_TRY(set_interface_key(interfaces.front(), *short_key, list, where));
  return true;
}

}  // namespace

Result<> set_key(Definition& definition, std::string_view assignment) {
  auto equals = assignment.find('=');
  if (equals == std::string_view::npos)
    return fail(Code::kUsage, "expected KEY=VALUE, found '{}'", quote_for_message(assignment));
  auto key = assignment.substr(0, equals);
  auto value = assignment.substr(equals + 1);
  if (key.empty()) return fail(Code::kUsage, "expected KEY=VALUE, found '{}'", quote_for_message(assignment));
  Definition changed = definition;  // all or nothing
  if (utf8_prefix(value) == value.size() && VPS_TRY(set_of_interface(changed, key, value))) {
    definition = std::move(changed);
    return {};
  }
  auto target = VPS_TRY(find_target(key));
  const auto& row = *target.row;
  auto where = Where{.path = std::string(row.path)};
  if (row.has(schema::kFixed)) return where.refuse("cannot be set");
  if (utf8_prefix(value) != value.size()) return where.refuse("not UTF-8 text");

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
