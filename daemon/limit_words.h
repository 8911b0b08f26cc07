// What the cgroup model says of a container's limits, in the words and units of the definition: "cpu.quota" is cpu.limit there,
// "memory.swap" counts swap alone, a throttle names its key and the device stands with the kernel's file. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cgroups/plan.h"

namespace vps::daemon {

std::vector<cgroups::Enforcement> in_definition_words(std::vector<cgroups::Enforcement> limits);

// One sentence for each that the kernel does not hold as asked.
std::vector<std::string> enforcement_warnings(const std::vector<cgroups::Enforcement>& limits);

// {limit,value,state,file,reason}, as the supervisor sends them and the API shows them.
std::string enforcement_json(const cgroups::Enforcement& limit);
Result<cgroups::Enforcement> parse_enforcement(std::string_view json);
// limits.json of a run: what live changes have made of the limits that its start applied.
std::string format_limits(const std::vector<cgroups::Enforcement>& limits);
Result<std::vector<cgroups::Enforcement>> parse_limits(std::string_view json);

}  // namespace vps::daemon
