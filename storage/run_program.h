// Runs a program of the host to its end, hears its output line by line, and can end it with everything that it started.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "storage/progress.h"

namespace vps::storage {

struct ProgramRun {
  std::vector<std::string> argv;         // argv[0] is a path
  std::vector<std::string> environment;  // "KEY=value", all of it
  // In mount and pid namespaces of its own: mounts that it makes are its own and end with it, and when it, or the thread
  // that called, dies, all of its processes do. Needs util-linux (setpriv, unshare).
  bool isolated = false;
  std::string search_path;               // for setpriv and unshare
  std::size_t kept_lines = 8;            // of the output's end, for the error
};

// Standard output and standard error go to `progress` as lines; standard input is empty. An error carries the last lines
// of output. When `progress` says false, the processes are killed and waited for before "cancelled" is returned.
Result<> run_program(const ProgramRun& run, const Progress& progress);
// Standard output of a short program; more than `limit` bytes is an error.
Result<std::string> program_output(const ProgramRun& run, std::size_t limit);

}  // namespace vps::storage
