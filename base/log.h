// The log facade. Libraries log at debug only; who ends an operation logs its outcome once. Programs install a sink at
// start (vpsd: spdlog; the supervisor: its control channel; vpsrun: --log); without one, warnings and errors go to stderr.
// Thread-safety: set_sink before threads start; log() from any thread if the sink allows it.
#pragma once

#include <fmt/core.h>

#include <functional>
#include <string_view>

namespace vps::log {

enum class Level { kDebug, kInfo, kWarning, kError };
[[nodiscard]] std::string_view level_name(Level level);

using Sink = std::function<void(Level, std::string_view)>;
void set_sink(Sink sink, Level threshold);
[[nodiscard]] bool enabled(Level level);
void write(Level level, std::string_view message);

template <class... Args>
void at(Level level, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(level)) write(level, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  at(Level::kDebug, format, std::forward<Args>(args)...);
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  at(Level::kInfo, format, std::forward<Args>(args)...);
}
template <class... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  at(Level::kWarning, format, std::forward<Args>(args)...);
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  at(Level::kError, format, std::forward<Args>(args)...);
}

}  // namespace vps::log
