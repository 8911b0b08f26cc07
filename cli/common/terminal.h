// The local terminal: its size, and raw mode that is always given back (termios(3), tty_ioctl(4)).
#pragma once

#include <signal.h>
#include <termios.h>

#include <initializer_list>
#include <optional>

#include "base/error.h"
#include "base/fd.h"

namespace vps::cli {

[[nodiscard]] bool is_terminal(int fd);

struct WindowSize {
  unsigned short rows = 0, columns = 0;
};
std::optional<WindowSize> window_size(int fd);  // nullopt: no terminal, or it does not know
Result<> set_window_size(int fd, WindowSize size);

// Raw mode of a terminal from enter() to restore() or destruction. On what is no terminal it does nothing.
class RawMode {
 public:
  RawMode() = default;
  static Result<RawMode> enter(int fd);  // the descriptor stays the caller's
  RawMode(RawMode&& other) noexcept;
  RawMode& operator=(RawMode&&) = delete;
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;
  ~RawMode() { restore(); }

  void restore();
  void again();  // after a stop of the whole program, or restore()
  [[nodiscard]] bool active() const { return active_; }

 private:
  int fd_ = -1;
  bool active_ = false;
  termios saved_{}, raw_{};
};

// Signals as a readable descriptor (signalfd(2)) for as long as it lives; the mask before is put back. For single-threaded
// programs.
class Signals {
 public:
  static Result<Signals> take(std::initializer_list<int> signals);
  Signals(Signals&& other) noexcept;
  Signals& operator=(Signals&&) = delete;
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();

  [[nodiscard]] int fd() const { return fd_.get(); }
  std::optional<int> next() const;  // nullopt: none is pending

 private:
  Signals() = default;
  UniqueFd fd_;
  sigset_t before_{};
  bool restore_ = true;
};

}  // namespace vps::cli
