#include "cli/common/source.h"

#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "cli/common/value.h"

namespace vps::cli {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  auto begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::string_view unquoted(std::string_view text) {
  bool quoted = text.size() >= 2 && (text[0] == '"' || text[0] == '\'') && text.back() == text[0];
  return quoted ? text.substr(1, text.size() - 2) : text;
}

std::string_view without_comment(std::string_view text) {
  if (text.starts_with('"') || text.starts_with('\'')) {
    auto end = text.find(text[0], 1);
    return end == std::string_view::npos ? text : text.substr(0, end + 1);
  }
  auto hash = text.find(" #");
  return hash == std::string_view::npos ? text : text.substr(0, hash);
}

}  // namespace

Result<Source> read_source(const std::string& path) {
  if (path == "-") return Source{VPS_TRY_CTX("standard input", read_fd(STDIN_FILENO, kMaxDefinition)), "standard input"};
  auto text = read_file(path, kMaxDefinition);
  if (!text) {
    // A file of the user's that is not there is a bad value, not an unknown VPS.
    auto code = text.error().code() == Code::kNotFound ? Code::kUsage : text.error().code();
    return std::unexpected(std::move(text).error().with_code(code));
  }
  return Source{std::move(*text), path};
}

namespace {

bool is_flow(std::string_view text) {
  auto first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

struct Line {
  std::size_t begin = 0, size = 0;  // without the newline
};

std::optional<Line> find_line(std::string_view text, std::string_view key) {
  for (std::size_t begin = 0; begin < text.size();) {
    auto end = std::min(text.find('\n', begin), text.size());
    auto line = text.substr(begin, end - begin);
    auto colon = line.find(':');
    bool top = !line.empty() && line[0] != ' ' && line[0] != '\t' && line[0] != '#';
    if (top && colon != std::string_view::npos && unquoted(trimmed(line.substr(0, colon))) == key) return Line{begin, line.size()};
    begin = end + 1;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> top_level_key(std::string_view text, std::string_view key) {
  if (is_flow(text)) {
    auto value = parse_json(text, "definition");
    if (!value || !value->get(key).is_string()) return std::nullopt;
    return value->get(key).string();
  }
  auto line = find_line(text, key);
  if (!line) return std::nullopt;
  auto rest = text.substr(line->begin, line->size);
  auto value = unquoted(trimmed(without_comment(trimmed(rest.substr(rest.find(':') + 1)))));
  if (value.empty()) return std::nullopt;
  return std::string(value);
}

Result<std::string> with_key(std::string_view text, std::string_view key, std::string_view value) {
  if (is_flow(text)) {
    auto object = parse_json(text, "definition");
    if (!object) return fail(Code::kUsage, "a definition in flow style must be JSON for {} to be set in it", key);
    object->set(std::string(key), value);
    return format_json(*object);
  }
  std::string out(text);
  std::string line = fmt::format("{}: {}", key, format_json(Value(value), 0));
  if (auto found = find_line(text, key)) return out.replace(found->begin, found->size, line);
  if (!out.empty() && out.back() != '\n') out += '\n';
  return out + line + '\n';
}

}  // namespace vps::cli
