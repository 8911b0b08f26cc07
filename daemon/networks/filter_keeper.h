// Notices when somebody else changes or flushes our tables, and has them put right (Networks::repair).
#pragma once

#include <atomic>
#include <memory>

#include "daemon/services.h"

namespace vps::daemon {

class FilterKeeper {
 public:
  explicit FilterKeeper(Services& services) : services_(services) {}
  // In the loop thread from now on, until the loop ends.
  void start();

 private:
  void on_change();

  Services& services_;
  std::unique_ptr<netns::FilterWatch> watch_;
  std::atomic<bool> busy_ = false, again_ = false;
};

}  // namespace vps::daemon
