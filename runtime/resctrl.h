// linux.intelRdt: cache and memory bandwidth shares by the resctrl file system. Sources: runtime-spec config-linux.md "IntelRdt",
// kernel Documentation/arch/x86/resctrl.rst. `root` is where it is mounted, "/sys/fs/resctrl".
#pragma once

#include <sys/types.h>

#include <string>

#include "base/error.h"
#include "specs/oci/spec.h"

namespace vps::runtime {

inline constexpr const char* kResctrlRoot = "/sys/fs/resctrl";

[[nodiscard]] bool resctrl_mounted(const std::string& root);
// The lines that go into the group's "schemata". Pure.
std::string resctrl_schemata(const oci::IntelRdt& rdt);
// Puts the process into the group closID, or one of the container's own name, which is made. A group that is there already must have
// the schemata that are asked for; without any it must be there. On an error nothing that was made is left.
Result<> enter_resctrl(const std::string& root, const oci::IntelRdt& rdt, const std::string& id, pid_t pid);
// Other schemata for a container's group; returns what they were.
Result<std::string> change_resctrl(const std::string& root, const oci::IntelRdt& rdt, const std::string& id, const std::string& schemata);
// Removes what enter_resctrl() has made: the monitoring group, and the group when it has the container's name. Already gone is success.
Result<> leave_resctrl(const std::string& root, const oci::IntelRdt& rdt, const std::string& id);

}  // namespace vps::runtime
