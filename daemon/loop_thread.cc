#include "daemon/loop_thread.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <exception>

#include "base/log.h"

namespace vps::daemon {

Result<std::unique_ptr<LoopThread>> LoopThread::start() {
  auto loop = VPS_TRY(EventLoop::create());
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail_errno(errno, "eventfd");
  std::unique_ptr<LoopThread> self(new LoopThread(std::move(loop), std::move(wake)));
  LoopThread* raw = self.get();
  VPS_TRY(self->loop_.add(self->wake_.get(), EPOLLIN, [raw](std::uint32_t) { raw->run_jobs(); }));
  try {
    self->thread_ = std::thread([raw] {
      if (auto ended = raw->loop_.run(); !ended) log::error("event loop: {}", ended.error().to_string());
    });
  } catch (const std::system_error& e) {
    return fail(Code::kUnavailable, "cannot start a thread: {}", e.what());
  }
  return self;
}

void LoopThread::post(std::function<void()> job) {
  {
    std::scoped_lock lock(mutex_);
    if (stopping_) return;
    jobs_.push_back(std::move(job));
  }
  std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void LoopThread::run_jobs() {
  std::uint64_t count = 0;
  (void)!::read(wake_.get(), &count, sizeof count);
  std::vector<std::function<void()>> jobs;
  {
    std::scoped_lock lock(mutex_);
    jobs.swap(jobs_);
  }
  for (auto& job : jobs) job();
}

void LoopThread::stop() {
  if (!thread_.joinable()) return;
  post([this] { loop_.quit(); });
  {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  thread_.join();
}

}  // namespace vps::daemon
