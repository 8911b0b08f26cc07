// Any bytes as an answer of criu's, as what lies beside its images, and as /proc/PID/mountinfo: refused, or read to the end.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cli/oci/criu_rpc.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vps::vpsrun;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parse_criu_message(text);
  if (auto external = parse_external(text)) {
    auto again = parse_external(format_external(*external));
    if (!again || *again != *external) std::abort();
  }
  for (const auto& mount : external_mounts(text, text))
    if (mount.host.empty()) std::abort();
  return 0;
}
