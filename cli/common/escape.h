// The escapes of a console, as ssh(1) has them: at the beginning of a line "~." leaves, "~?" shows help, "~~" sends one "~".
// A state machine over bytes; pure.
#pragma once

#include <string>
#include <string_view>

namespace vps::cli {

class EscapeMachine {
 public:
  struct Step {
    std::string forward;  // for the other side; nothing of what comes after "~."
    bool leave = false;
    bool help = false;
  };
  Step feed(std::string_view bytes);

 private:
  enum class At { kLineStart, kInLine, kTilde };
  At at_ = At::kLineStart;
};

// What of a replayed log is new to somebody who has seen output that ended in `tail`: all of it when the tail is not found.
std::string_view unseen_part(std::string_view replay, std::string_view tail);

}  // namespace vps::cli
