// Any text: refused with one line, or read into a definition that is printed, as YAML and as JSON, and read back equal.
#include <cstdint>
#include <cstdlib>

#include "specs/vps/definition_yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto parsed = vps::parse_definition({reinterpret_cast<const char*>(data), size}, "f");
  if (!parsed) {
    if (parsed.error().to_string().find('\n') != std::string::npos) std::abort();
    return 0;
  }
  (void)vps::validate_definition(*parsed);
  auto yaml = vps::format_definition(*parsed);
  auto again = vps::parse_definition(yaml, "f");
  if (!again || *again != *parsed || vps::format_definition(*again) != yaml) std::abort();
  auto json = vps::parse_definition(vps::format_definition_json(*parsed), "");
  if (!json || *json != *parsed) std::abort();
  if (!vps::diff_definitions(*parsed, *again).empty()) std::abort();
  return 0;
}
