// Files that vpsd finds at its start: any content is read or refused in one line, and what is read prints to the same again.
#include <cstdint>
#include <cstdlib>

#include "daemon/config.h"
#include "daemon/limit_words.h"
#include "daemon/records.h"

namespace {

template <class T>
void one_line(const vps::Result<T>& result) {
  if (!result && result.error().to_string().find('\n') != std::string::npos) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  one_line(vps::daemon::parse_config(text, "vpsd.yaml"));
  auto record = vps::daemon::parse_record(text);
  one_line(record);
  if (record) {
    auto again = vps::daemon::parse_record(vps::daemon::format_record(*record));
    if (!again || *again != *record) std::abort();
  }
  auto limits = vps::daemon::parse_limits(text);
  one_line(limits);
  if (limits) (void)vps::daemon::in_definition_words(*limits);
  return 0;
}
