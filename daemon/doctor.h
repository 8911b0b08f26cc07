// `vpsctl doctor`: what this host can and cannot do, each finding with what to do about it. Reads only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/services.h"

namespace vps::daemon {

enum class FindingStatus { kOk, kWarning, kError };
std::string_view finding_status_name(FindingStatus status);  // "ok" "warning" "error"

struct Finding {
  std::string check;
  FindingStatus status = FindingStatus::kOk;
  std::string message;
  std::string fix;  // empty when ok
};

// Where the facts are read; tests pass trees of their own.
struct DoctorRoots {
  std::string proc = "/proc";
};
// networks/doctor.cc: what keeps the packets of networks from passing.
void examine_networks(const Services& services, const std::string& proc, std::vector<Finding>& findings);

std::vector<Finding> examine_host(const Services& services, const DoctorRoots& roots = {});

}  // namespace vps::daemon
