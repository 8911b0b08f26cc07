// Any text as a container's state.json: refused, or a record that is the same after being written and read again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cli/oci/record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto record = vps::vpsrun::parse_record({reinterpret_cast<const char*>(data), size});
  if (!record) return 0;
  auto again = vps::vpsrun::parse_record(vps::vpsrun::format_record(*record));
  if (!again || *again != *record) std::abort();
  (void)vps::vpsrun::state_json(*record, "running");
  return 0;
}
