#include "daemon/backoff.h"

#include <algorithm>

namespace vps::daemon {

Milliseconds Backoff::next(Milliseconds ran_for) {
  if (ran_for >= policy_.reset_after) attempts_ = 0;
  Milliseconds delay = policy_.initial;
  for (unsigned i = 0; i < attempts_ && delay < policy_.max; ++i) delay *= 2;
  ++attempts_;
  return std::min(delay, policy_.max);
}

}  // namespace vps::daemon
