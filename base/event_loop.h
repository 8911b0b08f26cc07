// A single-threaded event loop over epoll(7): fds, signals (signalfd) and timers (timerfd-free, one epoll timeout).
// Callbacks may add and remove anything, themselves included. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace vps {

class EventLoop {
 public:
  using Clock = std::chrono::steady_clock;
  using Handler = std::function<void(std::uint32_t events)>;  // EPOLLIN, EPOLLOUT, EPOLLHUP ...
  using TimerId = std::uint64_t;

  static Result<EventLoop> create();
  EventLoop(EventLoop&&) noexcept = default;

  // The caller keeps ownership of `fd` and must remove() before closing it.
  Result<> add(int fd, std::uint32_t events, Handler handler);
  Result<> modify(int fd, std::uint32_t events);
  void remove(int fd);

  TimerId after(std::chrono::milliseconds delay, std::function<void()> handler);
  void cancel(TimerId id);

  // Blocks `signals` for the process and delivers them here instead.
  Result<> handle_signals(const std::vector<int>& signals, std::function<void(int)> handler);

  // Runs until quit().
  Result<> run();
  // One wait of at most `timeout` and the callbacks due.
  Result<> step(std::chrono::milliseconds timeout);
  void quit() { quit_ = true; }

 private:
  explicit EventLoop(UniqueFd epoll) : epoll_(std::move(epoll)) {}
  struct Timer {
    Clock::time_point due;
    TimerId id;
    bool operator<(const Timer& other) const { return due != other.due ? due < other.due : id < other.id; }
  };
  UniqueFd epoll_;
  UniqueFd signal_fd_;
  struct Watch {
    std::uint32_t generation = 0;
    std::shared_ptr<Handler> handler;
  };
  std::map<int, Watch> watches_;
  std::uint32_t next_generation_ = 0;
  std::set<Timer> timers_;
  std::map<TimerId, std::function<void()>> timer_handlers_;
  TimerId next_timer_ = 1;
  bool quit_ = false;
};

}  // namespace vps
