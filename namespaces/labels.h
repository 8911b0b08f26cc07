// What the security modules and the keyrings of the host are told about a process. Sources: apparmor(7) and the attr files of
// proc(5), keyctl(2). Each call changes the calling process.
#pragma once

#include <string>

#include "base/error.h"

namespace vps::namespaces {

[[nodiscard]] bool apparmor_enabled();
[[nodiscard]] bool selinux_enabled();

// Empty labels change nothing. Written through a /proc that is verified to be procfs (CVE-2019-16884).
Result<> label_next_exec(const std::string& apparmor_profile, const std::string& selinux_label);

// A new session keyring of that name; kernels without keyrings have nothing to share either.
Result<> join_session_keyring(const std::string& name);

}  // namespace vps::namespaces
