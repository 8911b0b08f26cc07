// Live figures of VPSes: read on demand, and what lists show once per interval for all running ones, so that they need not touch a
// thousand cgroups. Thread-safe.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "base/error.h"
#include "daemon/container.h"
#include "daemon/services.h"

namespace vps::daemon {

class Sampler {
 public:
  explicit Sampler(Services& services) : services_(services) {}

  // From now on every `config.stats_interval`.
  void start();
  // The traffic counters of all VPSes, now.
  void refresh_traffic();
  // All figures, now; kWrongState when it does not run.
  Result<Sample> sample(const ContainerPtr& container);
  // Those of lists, now, and remembered.
  Result<cgroups::Usage> look(const ContainerPtr& container);

 private:
  void schedule();
  void look_at_all();

  Services& services_;
  std::atomic<bool> busy_ = false;
};

}  // namespace vps::daemon
