// Any bytes as a message from systemd: refused or read, never beyond the input.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cgroups/dbus.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)vps::cgroups::dbus_message_size(bytes.substr(0, 16));
  auto message = vps::cgroups::parse_dbus_message(bytes);
  if (!message) return 0;
  if (message->body.size() > size) std::abort();
  vps::cgroups::DbusReader reader(message->body);
  while (reader.ok() && reader.position() < message->body.size()) {
    auto text = reader.string();
    if (text.size() > size) std::abort();
  }
  return 0;
}
