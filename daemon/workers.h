// Threads that do the blocking work: requests and operations. A job starts in the order of submission; a new thread is
// made whenever none is idle, up to `max`, and ends after a while without work. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>

#include "base/units.h"

namespace vps::daemon {

class Workers {
 public:
  explicit Workers(std::size_t max, Milliseconds idle_for = Milliseconds(10'000)) : max_(max), idle_for_(idle_for) {}
  ~Workers() { stop(); }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // False after stop(), or when no thread could be made at all.
  bool post(std::function<void()> job);
  // Takes no new jobs, runs what is queued, returns when all threads have ended. Whoever calls this has told the jobs to end.
  void stop();
  [[nodiscard]] std::size_t threads() const;

 private:
  void run();

  const std::size_t max_;
  const Milliseconds idle_for_;
  mutable std::mutex mutex_;
  std::condition_variable work_, ended_;
  std::deque<std::function<void()>> jobs_;
  std::size_t threads_ = 0, idle_ = 0;
  bool stopping_ = false;
};

}  // namespace vps::daemon
