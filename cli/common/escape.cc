#include "cli/common/escape.h"

namespace vps::cli {

EscapeMachine::Step EscapeMachine::feed(std::string_view bytes) {
  Step step;
  for (char c : bytes) {
    if (at_ == At::kLineStart && c == '~') {
      at_ = At::kTilde;
      continue;
    }
    if (at_ == At::kTilde) {
      if (c == '.') {
        at_ = At::kLineStart;
        step.leave = true;
        return step;
      }
      if (c == '?') {
        at_ = At::kLineStart;
        step.help = true;
        continue;
      }
      step.forward += '~';
      if (c == '~') {
        at_ = At::kInLine;
        continue;
      }
    }
    step.forward += c;
    at_ = c == '\r' || c == '\n' ? At::kLineStart : At::kInLine;
  }
  return step;
}

std::string_view unseen_part(std::string_view replay, std::string_view tail) {
  if (tail.empty()) return replay;
  auto found = replay.rfind(tail);
  return found == std::string_view::npos ? replay : replay.substr(found + tail.size());
}

}  // namespace vps::cli
