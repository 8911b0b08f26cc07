// config.json: whatever is read must be the same after a round trip, and the checks must hold still.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "specs/oci/json.h"
#include "specs/oci/validate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto spec = vps::oci::parse_spec(text)) {
    auto again = vps::oci::parse_spec(vps::oci::format_spec(*spec));
    if (!again || *again != *spec) std::abort();
    (void)vps::oci::validate(*spec);
  }
  if (auto process = vps::oci::parse_process(text)) {
    auto again = vps::oci::parse_process(vps::oci::format_process(*process));
    if (!again || *again != *process) std::abort();
    (void)vps::oci::validate_process(*process);
  }
  if (auto resources = vps::oci::parse_resources(text)) {
    auto again = vps::oci::parse_resources(vps::oci::format_resources(*resources));
    if (!again || *again != *resources) std::abort();
    (void)vps::oci::validate_resources(*resources);
  }
  if (auto seccomp = vps::oci::parse_seccomp(text)) {
    auto again = vps::oci::parse_seccomp(vps::oci::format_seccomp(*seccomp));
    if (!again || *again != *seccomp) std::abort();
  }
  return 0;
}
