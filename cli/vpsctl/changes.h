// What set, edit and apply print about a changed definition.
#pragma once

#include <string_view>

#include "cli/common/context.h"

namespace vps::cli {

// `answer` is {changes, limits, warnings, restartRequired}. `saved` is the word for what happened: "changed", "would change".
Result<int> print_changes(Context& context, std::string_view id, const Value& answer, std::string_view done);

}  // namespace vps::cli
