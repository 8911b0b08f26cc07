#include "daemon/slot.h"

#include <algorithm>

namespace vps::daemon {

bool OperationSlot::try_acquire(const Holder& holder) {
  std::scoped_lock lock(mutex_);
  if (taken_ || !queue_.empty()) return false;
  taken_ = true;
  holder_ = holder;
  return true;
}

Result<> OperationSlot::acquire(const Holder& holder, SteadyTime deadline, const std::stop_token& cancelled) {
  std::unique_lock lock(mutex_);
  const std::uint64_t ticket = next_ticket_++;
  queue_.push_back(ticket);
  bool mine = freed_.wait_until(lock, cancelled, deadline, [&] { return !taken_ && queue_.front() == ticket; });
  std::erase(queue_, ticket);
  if (mine) {
    taken_ = true;
    holder_ = holder;
    return {};
  }
  // Whoever is next now may be able to go on.
  freed_.notify_all();
  if (cancelled.stop_requested()) return fail(Code::kFailed, "cancelled while waiting for its turn");
  return std::unexpected(busy_locked());
}

void OperationSlot::release() {
  {
    std::scoped_lock lock(mutex_);
    taken_ = false;
    holder_ = {};
  }
  freed_.notify_all();
}

OperationSlot::Holder OperationSlot::holder() const {
  std::scoped_lock lock(mutex_);
  return holder_;
}

Error OperationSlot::busy_error() const {
  std::scoped_lock lock(mutex_);
  return busy_locked();
}

Error OperationSlot::busy_locked() const {
  if (!taken_) return {Code::kBusy, "other requests are waiting for their turn"};
  return {Code::kBusy, fmt::format("{} is under way ({})", holder_.kind, holder_.operation)};
}

}  // namespace vps::daemon
