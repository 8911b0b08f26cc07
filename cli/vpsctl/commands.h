// The commands of vpsctl, one file each.
#pragma once

#include "cli/common/command.h"

namespace vps::cli {

extern const CommandSpec kApply, kCompletion, kConsole, kCreate, kDestroy, kDoctor, kEdit, kEnter, kEvents, kExec, kFirewall, kHelp, kList,
    kLogs, kNetwork, kOperation, kPasswd, kPause, kRename, kRestart, kResume, kSet, kShow, kStart, kStats, kStop, kTemplate, kTop, kUsage, kVersion,
    kComplete;

// vpsctl itself: global options and the list of commands.
extern const CommandSpec kProgram;

// The whole program: parses, runs, prints errors; the exit code. `words` without the program's name.
int run_vpsctl(std::span<const std::string> words, int out_fd, int err_fd);

}  // namespace vps::cli
