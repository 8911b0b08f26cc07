// Texts that storage/ reads: the sources of apt, the record of a template, os-release of a foreign tree, the head of a program.
#include <cstdint>
#include <cstdlib>

#include "storage/apt_sources.h"
#include "storage/template_record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)vps::storage::debian_list_entries(text, "bookworm");
  (void)vps::storage::debian_deb822_stanzas(text, "bookworm");
  (void)vps::storage::distribution_of(text);
  (void)vps::storage::elf_architecture(text);
  auto record = vps::storage::parse_template(text, "t");
  if (!record) return record.error().to_string().find('\n') == std::string::npos ? 0 : (std::abort(), 0);
  auto again = vps::storage::parse_template(vps::storage::format_template(*record), "t");
  if (!again || vps::storage::format_template(*again) != vps::storage::format_template(*record)) std::abort();
  return 0;
}
