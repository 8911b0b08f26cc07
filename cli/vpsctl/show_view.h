// The long form of one VPS for people. Pure.
#pragma once

#include <string>

#include "cli/common/output.h"
#include "cli/common/value.h"

namespace vps::cli {

std::string render_show(const Value& vps, const Output& output);
// What is enforced, and by which kernel file, or why not.
std::string render_limits(const Value& limits, const Output& output);

}  // namespace vps::cli
