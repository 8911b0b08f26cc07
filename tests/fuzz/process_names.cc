// Names and lists that a definition or a command line brings: CPU lists, signals, sysctl keys, capabilities.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "namespaces/capabilities.h"
#include "namespaces/process.h"

using namespace vps::namespaces;

namespace {

// What the parsers promise, held against every input.
void check(bool promise) {
  if (!promise) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (auto cpus = parse_cpu_list(text)) {
    check(!cpus->empty() && cpus->back() <= 8191);
    for (std::size_t i = 1; i < cpus->size(); ++i) check((*cpus)[i - 1] < (*cpus)[i]);
  }
  if (auto number = signal_by_name(text)) {
    check(*number >= 1 && *number <= 64);
    // 32 and 33 belong to the C library; they have no name and print as numbers, which lead back as well.
    check(signal_by_name(signal_name(*number)).value() == *number);
  }
  if (validate_sysctl(text, true, true, true)) check(text.find("..") == std::string::npos || text.find('/') != std::string::npos);
  if (auto mask = parse_capability(text)) check(*mask != 0 && (*mask & (*mask - 1)) == 0);
  return 0;
}
