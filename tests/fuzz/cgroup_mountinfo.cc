// /proc/self/mountinfo and /proc/self/cgroup as cgroups/host.h reads them. Mount points are chosen by whoever may mount.
#include <cstdint>
#include <cstdlib>

#include "cgroups/host.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto host = vps::cgroups::parse_mountinfo(text);
  if (host) {
    if (host->unified_root.empty() || host->unified_root.front() != '/') std::abort();
    for (const auto& hierarchy : host->v1)
      if (hierarchy.controllers.empty() || host->find_v1(hierarchy.controllers.front()) != &hierarchy) std::abort();
  }
  for (const char* controller : {"", "memory", "name=systemd"}) (void)vps::cgroups::own_cgroup(text, controller);
  return 0;
}
