// Messages of the kernel, as every reader of netns/ takes them, records of lent devices, frames from a wire.
#include <cstdint>
#include <cstdlib>

#include "netns/announce.h"
#include "netns/devices.h"
#include "netns/dump.h"
#include "netns/tc_messages.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vps;
  using namespace vps::netns;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string_view rest = text;
  while (auto message = next_message(rest)) {
    (void)parse_link(*message);
    (void)parse_neighbour(*message);
    (void)parse_acknowledgement(*message);
    (void)parse_qdisc(*message);
    (void)parse_class_id(*message);
    (void)parse_filter(*message);
    if (auto address = parse_address(*message); address && address->prefix.length > address_bits(address->prefix.family())) std::abort();
    if (auto route = parse_route(*message)) {
      if (route->destination.length > address_bits(route->destination.family())) std::abort();
      (void)route->destination.last();
    }
  }
  if (auto device = parse_lent(text)) {
    auto again = parse_lent(format_lent(*device));
    if (!again || *again != *device) std::abort();
  }
  for (const auto* address : {"10.0.0.2", "fd00::2"}) (void)claims(text, *parse_ip(address));
  return 0;
}
