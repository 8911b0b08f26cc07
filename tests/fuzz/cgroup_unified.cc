// `resources.unified` as a config.json brings it: "key=value" lines, planned for a v2 host and translated for a hybrid one.
#include <cstdint>
#include <cstdlib>

#include "cgroups/plan.h"

namespace {

vps::cgroups::Host hybrid() {
  vps::cgroups::Host host;
  host.layout = vps::cgroups::Layout::kHybrid;
  for (const char* controller : {"blkio", "cpu", "cpuset", "hugetlb", "memory", "pids", "rdma"}) {
    vps::cgroups::V1Hierarchy hierarchy;
    hierarchy.controllers = {controller};
    host.v1.push_back(hierarchy);
  }
  return host;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  vps::oci::Resources resources;
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() < text.size() ? line.size() + 1 : text.size());
    auto equals = line.find('=');
    if (equals != std::string_view::npos) resources.unified[std::string(line.substr(0, equals))] = line.substr(equals + 1);
  }
  vps::cgroups::Host unified;
  unified.unified_controllers = {"cpu", "cpuset", "io", "memory", "pids"};
  for (const auto& host : {unified, hybrid()}) {
    auto plan = vps::cgroups::plan_limits(host, resources);
    if (!plan) continue;
    (void)vps::cgroups::format_plan(*plan);
    // Nothing but plain names of controllers' files is ever written.
    for (const auto& write : plan->writes)
      if (write.file.find('/') != std::string::npos || write.file.starts_with("cgroup.") || write.value.empty()) std::abort();
  }
  return 0;
}
