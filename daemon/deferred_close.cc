#include "daemon/deferred_close.h"

#include <system_error>

namespace vps::daemon {

DeferredClose::~DeferredClose() {
  {
    std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

DeferredClose::Ticket DeferredClose::close(std::vector<UniqueFd> fds) {
  std::scoped_lock lock(mutex_);
  if (fds.empty()) return 0;
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error&) {
      return 0;  // `fds` are closed here
    }
  }
  waiting_.push_back(std::move(fds));
  changed_.notify_all();
  return ++given_;
}

void DeferredClose::wait(Ticket ticket) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return closed_ >= ticket; });
}

void DeferredClose::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    auto fds = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    fds.clear();
    lock.lock();
    ++closed_;
    changed_.notify_all();
  }
}

}  // namespace vps::daemon
