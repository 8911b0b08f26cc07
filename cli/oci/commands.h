// The commands of vpsrun, one file each, and the program that they belong to.
#pragma once

#include <span>
#include <string>

#include "cli/oci/context.h"

namespace vps::vpsrun {

extern constinit const CommandSpec kCreate, kStart, kRun, kExec, kKill, kDelete, kState, kList, kPs, kPause, kResume, kUpdate,
    kEvents, kFeatures, kSpec, kCheckpoint, kRestore;
extern constinit const CommandSpec kProgram;

inline constexpr PositionalSpec kOneContainer{.name = "ID", .help = "the container"};

// Standard output belongs to results; errors go to standard error and to --log. Returns the exit code.
int run_vpsrun(std::span<const std::string> words);

// All of it or an error: a truncated document is worse than none.
Result<> print(std::string_view text);

class Container;
// What delete does with one that is open and, unless forced, locked by it.
Result<> take_down(Container& container, bool force);

}  // namespace vps::vpsrun
