// The steps of the init half that work on the root file system (init_mounts.cc) and on the process (init_process.cc).
#pragma once

#include "runtime/init.h"

namespace vps::runtime {

// Where a program is looked for, and PATH of what vpsd runs in a VPS, when nothing else is said: dpkg(1) does nothing without.
inline constexpr std::string_view kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

Result<> load_filter(const namespaces::SeccompProgram& program, const SyncChannel* channel);

// Nothing blocked and nothing ignored, whatever our own parent has made of it: both would outlive execve.
void default_signals();

namespace steps {
Result<> attach_root(InitContext& context);
Result<> mounts(InitContext& context);
Result<> devices(InitContext& context);
Result<> console(InitContext& context);
Result<> etc_files(InitContext& context);
Result<> pivot_root(InitContext& context);
Result<> root_propagation(InitContext& context);
Result<> sysctl(InitContext& context);
Result<> root_readonly(InitContext& context);
Result<> masked_paths(InitContext& context);
Result<> readonly_paths(InitContext& context);
Result<> stdio(InitContext& context);
}  // namespace steps

}  // namespace vps::runtime
