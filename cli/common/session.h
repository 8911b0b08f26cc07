// The data side of exec and enter: straight to the VPS's supervisor (runtime/supervisor/protocol.h), past the daemon. Without
// a terminal the command gets our own descriptors and nothing is copied; with one we get the master of its pty and stand
// between it and the local terminal. The functions return the exit code for the shell.
#pragma once

#include <array>
#include <string>

#include "base/error.h"
#include "base/seqpacket.h"
#include "cli/common/context.h"
#include "cli/common/value.h"

namespace vps::cli {

// Connects to the {socket, token} that the API answered and attaches, handing over `fds` (may be empty).
Result<Seqpacket> attach_session(const Value& answer, std::span<const int> fds);

// Until the command ends. Signals that we get go to it.
Result<int> run_plain_session(Context& context, const Seqpacket& session);
// Returns as soon as the command runs.
Result<int> run_detached_session(Context& context, const Seqpacket& session);
// in, out: the local terminal (or files). Its modes are given back on every way out.
Result<int> run_tty_session(Context& context, const Seqpacket& session, int in, int out);

}  // namespace vps::cli
