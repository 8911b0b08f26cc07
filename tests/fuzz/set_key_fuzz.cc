// Each line an assignment: a refused one changes nothing, an accepted one survives printing and reading.
#include <cstdint>
#include <cstdlib>

#include "specs/vps/definition_yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  vps::Definition definition;
  definition.id = "101";
  definition.template_name = "busybox";
  constexpr int kMaxLines = 64;
  for (int i = 0; i < kMaxLines && !text.empty(); ++i) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() == text.size() ? line.size() : line.size() + 1);
    auto before = definition;
    auto result = vps::set_key(definition, line);
    if (!result && (definition != before || result.error().to_string().find('\n') != std::string::npos)) std::abort();
  }
  if (!vps::validate_definition(definition)) return 0;  // conflicts between keys are legal on the way, not in a file
  auto parsed = vps::parse_definition(vps::format_definition(definition), "f");
  if (!parsed || *parsed != definition) std::abort();
  return 0;
}
