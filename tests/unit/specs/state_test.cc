#include "specs/vps/state.h"

#include <gtest/gtest.h>

#include <string>

namespace vps {
namespace {

// The whole table, one row a state, one column a transition, as a person reads it. "-" is not legal.
constexpr const char* kGolden =
    "          create   start    started  pause    resume   stop     exited   failed   destroy\n"
    "creating  stopped  -        -        -        -        -        -        -        -       \n"
    "stopped   -        starting -        -        -        -        -        -        stopped \n"
    "starting  -        -        running  -        -        stopping stopped  failed   -       \n"
    "running   -        -        -        paused   -        stopping stopped  -        -       \n"
    "paused    -        -        -        -        running  stopping stopped  -        -       \n"
    "stopping  -        -        stopping -        -        stopping stopped  stopped  -       \n"
    "failed    -        starting -        -        -        stopped  -        -        stopped \n";

std::string pad(std::string_view text, std::size_t width) {
  std::string padded(text);
  padded.resize(width, ' ');
  return padded;
}

TEST(State, AllPairsGolden) {
  std::string table = "          create   start    started  pause    resume   stop     exited   failed   destroy\n";
  for (int s = 0; s < kStateCount; ++s) {
    auto state = static_cast<State>(s);
    table += pad(state_name(state), 10);
    for (int t = 0; t < kTransitionCount; ++t) {
      auto to = next_state(state, static_cast<Transition>(t));
      table += pad(to ? state_name(*to) : "-", 8) + (t + 1 < kTransitionCount ? " " : "");
    }
    table += "\n";
  }
  EXPECT_EQ(table, kGolden);
}

TEST(State, ApplyAgreesWithTheTable) {
  for (int s = 0; s < kStateCount; ++s) {
    for (int t = 0; t < kTransitionCount; ++t) {
      auto state = static_cast<State>(s);
      auto transition = static_cast<Transition>(t);
      auto next = next_state(state, transition);
      auto applied = apply_transition(state, transition);
      ASSERT_EQ(next.has_value(), applied.has_value());
      if (next) {
        EXPECT_EQ(*next, *applied);
      } else {
        EXPECT_EQ(applied.error().code(), Code::kWrongState);
      }
    }
  }
}

TEST(State, ErrorsAreSentences) {
  EXPECT_EQ(apply_transition(State::kStopped, Transition::kPause).error().to_string(), "cannot pause: it is stopped");
  EXPECT_EQ(apply_transition(State::kRunning, Transition::kStart).error().to_string(), "cannot start: it is running");
  EXPECT_EQ(apply_transition(State::kRunning, Transition::kDestroy).error().to_string(), "cannot destroy: it is running");
  EXPECT_EQ(apply_transition(State::kCreating, Transition::kStart).error().to_string(),
            "cannot start: it is still being created");
  EXPECT_EQ(apply_transition(State::kFailed, Transition::kResume).error().to_string(),
            "cannot resume: its last start failed");
}

TEST(State, NamesRoundTrip) {
  for (int s = 0; s < kStateCount; ++s) {
    auto state = static_cast<State>(s);
    EXPECT_EQ(state_from_name(state_name(state)), state);
  }
  EXPECT_FALSE(state_from_name("Running"));
  EXPECT_FALSE(state_from_name(""));
}

}  // namespace
}  // namespace vps
