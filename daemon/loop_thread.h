// An EventLoop with a thread of its own. post() may be called from any thread; all else happens in the loop's thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/fd.h"

namespace vps::daemon {

class LoopThread {
 public:
  static Result<std::unique_ptr<LoopThread>> start();
  ~LoopThread() { stop(); }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  // Runs `job` in the loop's thread, in order of posting. After stop() it is dropped.
  void post(std::function<void()> job);
  void stop();  // not from the loop's own thread
  // For jobs that run in the loop's thread only.
  EventLoop& loop() { return loop_; }

 private:
  LoopThread(EventLoop loop, UniqueFd wake) : loop_(std::move(loop)), wake_(std::move(wake)) {}
  void run_jobs();

  EventLoop loop_;
  UniqueFd wake_;
  std::mutex mutex_;
  std::vector<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace vps::daemon
