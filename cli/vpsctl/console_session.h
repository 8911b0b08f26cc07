// The console of a VPS on the local terminal, over stops and starts of the VPS.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "base/seqpacket.h"
#include "cli/common/context.h"
#include "cli/common/escape.h"
#include "cli/common/terminal.h"

namespace vps::cli {

class ConsoleSession {
 public:
  // in, out, err stay the caller's; `id` is the id proper (events carry no names).
  ConsoleSession(Context& context, std::string id, bool readonly, int in, int out, int err)
      : context_(context), id_(std::move(id)), readonly_(readonly), in_(in), out_(out), err_(err) {}

  // Until the user leaves (0), a signal (128 + n) or an error; a VPS that is destroyed meanwhile is kNotFound.
  Result<int> run();

 private:
  using Done = std::optional<int>;  // the exit code, when it is over

  Result<bool> attach();            // false: it does not run
  Result<Done> follow();            // until the user leaves, or the run of the VPS ends (nullopt)
  Result<> try_again(bool* attached);
  Result<Done> wait_for_start();    // until it runs again (nullopt)
  Result<Done> take_input();
  Result<Done> take_signals();
  Result<bool> take_packet();       // false: the session is over
  Result<> show(std::string_view output);
  Result<> flush_replay();
  void send_pending();
  void send_size();
  void say(std::string_view text);

  Context& context_;
  std::string id_;
  bool readonly_;
  int in_, out_, err_;
  std::optional<Signals> signals_;
  std::optional<RawMode> raw_;
  EscapeMachine escape_;
  Seqpacket session_;
  std::string pending_;    // input for the VPS
  std::string seen_;       // the end of what was shown
  std::string replay_;     // of an attach after the first: shown without what was seen
  bool collecting_ = false, attached_before_ = false, in_ended_ = false, waiting_ = false;
};

}  // namespace vps::cli
