#include "base/event_loop.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

namespace vps {

Result<EventLoop> EventLoop::create() {
  int fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) return fail_errno(errno, "epoll_create1");
  return EventLoop(UniqueFd(fd));
}

namespace {

// A descriptor number closed and opened again within one round of callbacks must not get the old one's events.
std::uint64_t tag(int fd, std::uint32_t generation) {
  return static_cast<std::uint64_t>(generation) << 32 | static_cast<std::uint32_t>(fd);
}

}  // namespace

Result<> EventLoop::add(int fd, std::uint32_t events, Handler handler) {
  Watch watch{++next_generation_, std::make_shared<Handler>(std::move(handler))};
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag(fd, watch.generation);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno(errno, "watch descriptor {}", fd);
  watches_[fd] = std::move(watch);
  return {};
}

Result<> EventLoop::modify(int fd, std::uint32_t events) {
  auto watch = watches_.find(fd);
  if (watch == watches_.end()) return fail_errno(ENOENT, "watch descriptor {}", fd);
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag(fd, watch->second.generation);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) return fail_errno(errno, "watch descriptor {}", fd);
  return {};
}

void EventLoop::remove(int fd) {
  if (watches_.erase(fd) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::TimerId EventLoop::after(std::chrono::milliseconds delay, std::function<void()> handler) {
  TimerId id = next_timer_++;
  timers_.insert({Clock::now() + delay, id});
  timer_handlers_[id] = std::move(handler);
  return id;
}

void EventLoop::cancel(TimerId id) {
  if (timer_handlers_.erase(id) == 0) return;
  std::erase_if(timers_, [&](const Timer& timer) { return timer.id == id; });
}

Result<> EventLoop::handle_signals(const std::vector<int>& signals, std::function<void(int)> handler) {
  sigset_t set;
  sigemptyset(&set);
  for (int signo : signals) sigaddset(&set, signo);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return fail_errno(errno, "block signals");
  int fd = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return fail_errno(errno, "signalfd");
  if (signal_fd_) remove(signal_fd_.get());
  signal_fd_.reset(fd);
  return add(fd, EPOLLIN, [fd, handler = std::move(handler)](std::uint32_t) {
    signalfd_siginfo info{};
    while (::read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) handler(static_cast<int>(info.ssi_signo));
  });
}

Result<> EventLoop::run() {
  while (!quit_) VPS_TRY(step(std::chrono::milliseconds(-1)));
  return {};
}

Result<> EventLoop::step(std::chrono::milliseconds timeout) {
  auto wait = timeout;
  if (!timers_.empty()) {
    auto due = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->due - Clock::now());
    due = std::max(due, std::chrono::milliseconds(0));
    wait = wait.count() < 0 ? due : std::min(wait, due);
  }
  std::array<epoll_event, 32> events{};
  int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), static_cast<int>(std::min<std::int64_t>(wait.count(), INT_MAX)));
  if (count < 0 && errno != EINTR) return fail_errno(errno, "epoll_wait");
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    auto watch = watches_.find(static_cast<int>(event.data.u64 & 0xffffffff));
    // Removed, or removed and added anew, by an earlier callback of this round.
    if (watch == watches_.end() || watch->second.generation != event.data.u64 >> 32) continue;
    auto handler = watch->second.handler;  // keeps it alive if it removes itself
    (*handler)(event.events);
  }
  auto now = Clock::now();
  while (!timers_.empty() && timers_.begin()->due <= now) {
    TimerId id = timers_.begin()->id;
    timers_.erase(timers_.begin());
    auto node = timer_handlers_.extract(id);
    if (node) node.mapped()();
  }
  return {};
}

}  // namespace vps
