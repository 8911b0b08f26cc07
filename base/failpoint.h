// Named places where tests make the program fail or die: VPS_FAILPOINTS="step-name=error:ENOSPC;other=kill;x=sleep:200".
// Actions: error[:ERRNO] (the call returns that error), kill (SIGKILL to this process), sleep:MS. "name*2=..." acts on
// the second pass only. Read once by configure(); a program that never calls it has none. Cost when unused: one branch.
#pragma once

#include <string_view>

#include "base/error.h"

namespace vps::failpoint {

// Parses `spec` (usually getenv("VPS_FAILPOINTS")); an empty or malformed spec clears all. Thread-safe, also against hit().
Result<> configure(std::string_view spec);
// An error when the failpoint `name` is set to fail; may not return when it is set to kill.
Result<> hit(std::string_view name);

}  // namespace vps::failpoint
