// One operation per VPS at a time: whoever changes a VPS holds its slot. Waiting is first come, first served. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <stop_token>
#include <string>
#include <utility>

#include "base/error.h"
#include "daemon/clock.h"

namespace vps::daemon {

class OperationSlot {
 public:
  struct Holder {
    std::string operation;  // "op-1a2b-7"; empty: free, or vpsd's own work
    std::string kind;       // "start"; empty: free
  };
  // Of the work that vpsd does by itself when a run has ended.
  static constexpr const char* kCleanUp = "clean-up";

  bool try_acquire(const Holder& holder);
  // kBusy, naming the holder, when the turn has not come by `deadline`; kFailed when `cancelled` is asked to stop.
  Result<> acquire(const Holder& holder, SteadyTime deadline, const std::stop_token& cancelled);
  void release();
  [[nodiscard]] Holder holder() const;
  [[nodiscard]] Error busy_error() const;

 private:
  [[nodiscard]] Error busy_locked() const;

  mutable std::mutex mutex_;
  std::condition_variable_any freed_;
  Holder holder_;
  bool taken_ = false;
  std::deque<std::uint64_t> queue_;  // tickets of those who wait
  std::uint64_t next_ticket_ = 1;
};

// Gives the slot back when it goes out of scope, or earlier.
class SlotLease {
 public:
  SlotLease() = default;
  explicit SlotLease(OperationSlot& slot) : slot_(&slot) {}
  SlotLease(SlotLease&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  SlotLease& operator=(SlotLease&&) = delete;
  SlotLease(const SlotLease&) = delete;
  SlotLease& operator=(const SlotLease&) = delete;
  ~SlotLease() { release(); }
  void release() {
    if (slot_ != nullptr) std::exchange(slot_, nullptr)->release();
  }

 private:
  OperationSlot* slot_ = nullptr;
};

}  // namespace vps::daemon
