// How long work tells what it does and learns that it is no longer wanted.
#pragma once

#include <functional>
#include <string_view>

#include "base/error.h"

namespace vps::storage {

// Told while long work goes on: what is being done, and how far (0..100, or -1 where that is not known).
// Returning false cancels: the work ends with kFailed "cancelled" and leaves nothing. An empty text only asks whether
// to go on. Called from the working thread.
using Progress = std::function<bool(std::string_view what, int percent)>;

inline Result<> report(const Progress& progress, std::string_view what, int percent = -1) {
  if (progress && !progress(what, percent)) return fail(Code::kFailed, "cancelled");
  return {};
}

}  // namespace vps::storage
