// Messages of nftables as netns/nft_batch.h reads them.
#include <cstdint>
#include <cstdlib>

#include "netns/filter_kernel.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vps::netns;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (auto message = next_message(rest)) {
    if (auto elements = nft::parse_elements(*message))
      for (const auto& each : elements->elements) {
        auto set = filter::traffic_set(elements->set);
        auto sample = filter::sample_of(set.value_or(filter::TrafficSet{}), each);
        if (sample && sample->id.empty()) std::abort();
      }
    if (auto rule = nft::parse_rule(*message)) {
      (void)nft::counter_of(*rule);
      (void)filter::rule_counters({*rule}, "1");
      (void)filter::caps_in({*rule});
    }
    (void)nft::parse_chain(*message);
    std::string table;
    std::uint8_t family = 0;
    (void)nft::parse_set(*message, table, family);
  }
  return 0;
}
