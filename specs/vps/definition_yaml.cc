#include "specs/vps/definition_yaml.h"

#include "specs/vps/schema.h"

namespace vps {

Result<Definition> parse_definition(std::string_view yaml, std::string_view file_name) {
  auto root = VPS_TRY(parse_yaml(yaml, file_name));
  schema::Where where{.file = file_name, .line = root.line};
  Definition definition;
  schema::Lines lines;
  VPS_TRY(schema::parse_members(schema::rows(), "", root, where, definition, &lines));
  if (auto conflict = schema::find_conflict(definition)) {
    auto line = lines.find(conflict->path);
    where.line = line == lines.end() ? 0 : line->second;
    where.path = conflict->path;
    return where.refuse(conflict->message);
  }
  return definition;
}

std::string format_definition(const Definition& definition) {
  return print_yaml(schema::print_members(schema::rows(), definition));
}

std::string format_definition_json(const Definition& definition) {
  return print_json(schema::print_members(schema::rows(), definition));
}

std::vector<KeyInfo> definition_keys() {
  std::vector<KeyInfo> keys;
  for (const auto& row : schema::rows()) {
    KeyInfo info;
    info.key = row.path;
    for (auto rest = row.short_names; !rest.empty();) {
      auto end = std::min(rest.find(' '), rest.size());
      info.short_names.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    info.effect = row.has(schema::kNextStart) ? ChangeEffect::kNextStart : ChangeEffect::kLive;
    info.settable = !row.has(schema::kFixed);
    keys.push_back(std::move(info));
  }
  return keys;
}

}  // namespace vps
