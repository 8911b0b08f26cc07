// Closes descriptors in a thread of its own, one after another. Whoever drops the last reference to a mount or network
// namespace waits for a grace period of the kernel (namespace_unlock(), cleanup_net()); nobody else has to. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/fd.h"

namespace vps::daemon {

class DeferredClose {
 public:
  // Counts what was given to close; 0 is closed from the beginning.
  using Ticket = std::uint64_t;

  DeferredClose() = default;
  ~DeferredClose();  // closes what is left
  DeferredClose(const DeferredClose&) = delete;
  DeferredClose& operator=(const DeferredClose&) = delete;

  // Returns at once; without a thread to be had it closes them itself.
  Ticket close(std::vector<UniqueFd> fds);
  // Until those of `ticket` and all given before are closed.
  void wait(Ticket ticket);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::vector<UniqueFd>> waiting_;
  Ticket given_ = 0, closed_ = 0;
  bool ending_ = false;
  std::thread thread_;  // from the first close() on
};

}  // namespace vps::daemon
