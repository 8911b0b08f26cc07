// What vpsctl reads: the daemon's JSON, files and words of the user, keys on a console. Each input goes through all of them, and
// what must hold for every input is checked.
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "cli/common/command.h"
#include "cli/common/escape.h"
#include "cli/common/output.h"
#include "cli/common/source.h"
#include "cli/common/text.h"
#include "cli/common/value.h"
#include "cli/vpsctl/commands.h"
#include "cli/vpsctl/show_view.h"

namespace vps::cli {
namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

void json(std::string_view text) {
  auto value = parse_json(text, "input");
  if (!value) return;
  auto once = format_json(*value, 0);
  auto again = parse_json(once, "output");
  must(again && format_json(*again, 0) == once);
  (void)format_yaml(*value);
  Output output(-1, -1);
  (void)render_show(*value, output);
}

void words(std::string_view text) {
  std::vector<std::string> list(1);
  for (char c : text) {
    if (c == '\n')
      list.emplace_back();
    else
      list.back() += c;
  }
  auto parsed = parse_command_line(kProgram, list);
  if (!parsed) must(parsed.error().code() == Code::kUsage);
  for (const auto& candidate : complete(kProgram, list).known) must(!candidate.text.empty());
}

void console(std::string_view text) {
  EscapeMachine whole;
  EscapeMachine bytewise;
  auto step = whole.feed(text);
  std::string forward;
  bool leave = false;
  for (std::size_t i = 0; i < text.size() && !leave; ++i) {
    auto part = bytewise.feed(text.substr(i, 1));
    forward += part.forward;
    leave = part.leave;
  }
  must(forward == step.forward && leave == step.leave);
}

void definition(std::string_view text) {
  auto changed = with_key(text, "id", "x1");
  if (changed) must(top_level_key(*changed, "id") == "x1");
}

void shown(std::string_view text) {
  for (char c : visible(text)) must(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

}  // namespace
}  // namespace vps::cli

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  constexpr std::size_t kMost = 64u << 10;
  if (size > kMost) return 0;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  vps::cli::json(text);
  vps::cli::words(text);
  vps::cli::console(text);
  vps::cli::definition(text);
  vps::cli::shown(text);
  (void)vps::cli::parse_rfc3339(text);
  return 0;
}
