#include "base/log.h"

#include <unistd.h>

#include <string>
#include <utility>

namespace vps::log {
namespace {
struct State {
  Sink sink;
  Level threshold = Level::kWarning;
};
// The one process-wide object of the code base: a log that had to be passed to every leaf would be passed to none.
State& state() {
  static State instance;
  return instance;
}
}  // namespace

std::string_view level_name(Level level) {
  switch (level) {
    case Level::kDebug: return "debug";
    case Level::kInfo: return "info";
    case Level::kWarning: return "warning";
    case Level::kError: return "error";
  }
  return "error";
}

void set_sink(Sink sink, Level threshold) {
  state().sink = std::move(sink);
  state().threshold = threshold;
}

bool enabled(Level level) { return level >= state().threshold; }

void write(Level level, std::string_view message) {
  if (!enabled(level)) return;
  if (state().sink) {
    state().sink(level, message);
    return;
  }
  std::string line = fmt::format("{}: {}\n", level_name(level), message);
  (void)!::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace vps::log
