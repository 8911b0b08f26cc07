// The states of a VPS and what may happen in each: one table (state.cc), tested over all pairs.
#pragma once

#include <optional>
#include <string_view>

#include "base/error.h"

namespace vps {

enum class State { kCreating, kStopped, kStarting, kRunning, kPaused, kStopping, kFailed };
enum class Transition {
  kCreated,      // create finished
  kStart,        // a start was asked for
  kStarted,      // its init runs
  kPause,
  kResume,
  kStop,         // a stop was asked for
  kExited,       // pid 1 ended, whatever the cause
  kStartFailed,
  kDestroy,      // allowed only where nothing runs
};

constexpr int kStateCount = 7;
constexpr int kTransitionCount = 9;

std::string_view state_name(State state);            // "running"
std::optional<State> state_from_name(std::string_view name);
std::string_view transition_name(Transition transition);
// nullopt: not legal in that state. kDestroy leads to kStopped where legal (the record is removed after it).
std::optional<State> next_state(State state, Transition transition);
// The same with a kWrongState error that a person understands: "cannot pause: it is stopped".
Result<State> apply_transition(State state, Transition transition);

}  // namespace vps
