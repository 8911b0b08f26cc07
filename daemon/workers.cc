#include "daemon/workers.h"

#include <exception>
#include <system_error>
#include <thread>

#include "base/log.h"

namespace vps::daemon {

bool Workers::post(std::function<void()> job) {
  std::scoped_lock lock(mutex_);
  if (stopping_) return false;
  jobs_.push_back(std::move(job));
  // An idle thread that has been woken for an earlier job still counts as idle until it runs, so compare with the queue.
  if (idle_ < jobs_.size() && threads_ < max_) {
    try {
      std::thread([this] { run(); }).detach();
      ++threads_;
    } catch (const std::system_error& e) {
      log::warning("cannot start a worker thread: {}", e.what());
      if (threads_ == 0) {
        jobs_.pop_back();
        return false;
      }
    }
  }
  work_.notify_one();
  return true;
}

void Workers::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (jobs_.empty()) {
      if (stopping_) break;
      ++idle_;
      bool woken = work_.wait_for(lock, idle_for_, [&] { return stopping_ || !jobs_.empty(); });
      --idle_;
      if (!woken) break;
      continue;
    }
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    try {
      job();
    } catch (const std::exception& e) {
      log::error("internal error in a worker: {}", e.what());
    }
    job = nullptr;  // what it holds must go before the lock is taken again
    lock.lock();
  }
  --threads_;
  // Under the lock: stop() may destroy this object as soon as it sees zero.
  if (threads_ == 0) ended_.notify_all();
}

void Workers::stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  work_.notify_all();
  ended_.wait(lock, [&] { return threads_ == 0; });
}

std::size_t Workers::threads() const {
  std::scoped_lock lock(mutex_);
  return threads_;
}

}  // namespace vps::daemon
