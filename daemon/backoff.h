// How long to wait before a VPS that ended badly is started again. Not thread-safe; one per VPS.
#pragma once

#include "base/units.h"

namespace vps::daemon {

struct BackoffPolicy {
  Milliseconds initial{1'000};
  Milliseconds max{60'000};
  Milliseconds reset_after{600'000};  // a run of this length counts as a success
  bool operator==(const BackoffPolicy&) const = default;
};

class Backoff {
 public:
  explicit Backoff(BackoffPolicy policy) : policy_(policy) {}

  // Told how long the run that just ended had lasted; the delay doubles from `initial` up to `max`.
  Milliseconds next(Milliseconds ran_for);
  void reset() { attempts_ = 0; }
  [[nodiscard]] unsigned attempts() const { return attempts_; }  // restarts since the last good run

 private:
  BackoffPolicy policy_;
  unsigned attempts_ = 0;
};

}  // namespace vps::daemon
