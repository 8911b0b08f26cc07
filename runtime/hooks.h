// Hooks of the OCI runtime-spec (config.md "POSIX-platform Hooks"): run one after another with the state JSON on stdin; a
// non-zero exit, a signal or the timeout is an error that names the hook and shows the end of its stderr.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "specs/oci/spec.h"

namespace vps::runtime {

std::string hook_state(const oci::Spec& spec, const std::string& id, const std::string& bundle, pid_t pid, std::string_view status);
Result<> run_hooks(const std::vector<oci::Hook>& hooks, const std::string& state_json);
// Those that run in the runtime's namespaces before the container's process does: prestart and createRuntime.
Result<> run_runtime_hooks(const oci::Hooks& hooks, const std::string& state_json);

}  // namespace vps::runtime
