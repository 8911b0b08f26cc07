// Carries a CgroupPlan out: all of it or nothing.
#pragma once

#include <functional>

#include "base/error.h"
#include "cgroups/plan.h"

namespace vps::cgroups {

// The directory fd behind a Write's hierarchy; -1 when the group has none there.
using DirOf = std::function<int(const std::string& hierarchy)>;

// Writes in the plan's order (Write::or_after_next aside). On an error everything written gets its old value back, last
// first; one that cannot be put back is named in the error. A memory limit below use reclaims first, then is kBusy.
Result<> execute_plan(const CgroupPlan& plan, const DirOf& dir_of);

}  // namespace vps::cgroups
