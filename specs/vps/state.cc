#include "specs/vps/state.h"

#include <array>
#include <cstddef>

namespace vps {
namespace {

constexpr std::array<std::string_view, kStateCount> kStateNames = {"creating", "stopped",  "starting", "running",
                                                                   "paused",   "stopping", "failed"};
constexpr std::array<std::string_view, kStateCount> kStateSentences = {
    "it is still being created", "it is stopped",  "it is starting", "it is running",
    "it is paused",              "it is stopping", "its last start failed"};
constexpr std::array<std::string_view, kTransitionCount> kTransitionNames = {
    "finish create", "start", "report started", "pause", "resume", "stop", "report exit", "report start failure", "destroy"};

struct Row {
  State from;
  Transition what;
  State to;
};

// Reports of the supervisor (kStarted, kExited, kStartFailed) may cross a request of the operator's on the way, so they are
// legal while a stop is under way; an exit in kStarting means that init ran and ended before anyone said so.
// kStop in kFailed acknowledges the failure and takes back a pending restart; in kStopping it is the second, harder request.
constexpr std::array kTable = {
    Row{State::kCreating, Transition::kCreated, State::kStopped},
    Row{State::kStopped, Transition::kStart, State::kStarting},
    Row{State::kStopped, Transition::kDestroy, State::kStopped},
    Row{State::kStarting, Transition::kStarted, State::kRunning},
    Row{State::kStarting, Transition::kStartFailed, State::kFailed},
    Row{State::kStarting, Transition::kStop, State::kStopping},
    Row{State::kStarting, Transition::kExited, State::kStopped},
    Row{State::kRunning, Transition::kPause, State::kPaused},
    Row{State::kRunning, Transition::kStop, State::kStopping},
    Row{State::kRunning, Transition::kExited, State::kStopped},
    Row{State::kPaused, Transition::kResume, State::kRunning},
    Row{State::kPaused, Transition::kStop, State::kStopping},
    Row{State::kPaused, Transition::kExited, State::kStopped},
    Row{State::kStopping, Transition::kStop, State::kStopping},
    Row{State::kStopping, Transition::kStarted, State::kStopping},
    Row{State::kStopping, Transition::kStartFailed, State::kStopped},
    Row{State::kStopping, Transition::kExited, State::kStopped},
    Row{State::kFailed, Transition::kStart, State::kStarting},
    Row{State::kFailed, Transition::kStop, State::kStopped},
    Row{State::kFailed, Transition::kDestroy, State::kStopped},
};

}  // namespace

std::string_view state_name(State state) { return kStateNames[static_cast<std::size_t>(state)]; }

std::optional<State> state_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kStateNames.size(); ++i)
    if (kStateNames[i] == name) return static_cast<State>(i);
  return std::nullopt;
}

std::string_view transition_name(Transition transition) {
  return kTransitionNames[static_cast<std::size_t>(transition)];
}

std::optional<State> next_state(State state, Transition transition) {
  for (const Row& row : kTable)
    if (row.from == state && row.what == transition) return row.to;
  return std::nullopt;
}

Result<State> apply_transition(State state, Transition transition) {
  if (auto to = next_state(state, transition)) return *to;
  return fail(Code::kWrongState, "cannot {}: {}", transition_name(transition),
              kStateSentences[static_cast<std::size_t>(state)]);
}

}  // namespace vps
