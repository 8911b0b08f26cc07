// What a command of vpsrun works with: the global options, as runc and crun spell them. Made once by main() and passed on.
#pragma once

#include <string>

#include "base/error.h"
#include "cli/common/command.h"

namespace vps::cli {

enum class CgroupManager { kCgroupfs, kSystemd, kDisabled };

struct Context {
  const CommandSpec& program;
  std::string root;           // state directories of all containers
  std::string seccomp_cache;  // compiled filters, shared by all containers; survives them
  CgroupManager cgroups = CgroupManager::kCgroupfs;
  bool rootless = false;      // without the host's rights: --rootless, or not root, or only that of a user's namespace
};

}  // namespace vps::cli

namespace vps::vpsrun {

using cli::Arguments;
using cli::CgroupManager;
using cli::CommandSpec;
using cli::Context;
using cli::OptionSpec;
using cli::PositionalSpec;

}  // namespace vps::vpsrun
