// Namespaces that config.json gives by path, and the birth of a process in them. Sources: setns(2), clone(2),
// user_namespaces(7) "Interaction of user namespaces and other types of namespaces".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "namespaces/clone.h"
#include "runtime/init_plan.h"

namespace vps::runtime {

struct JoinedNamespace {
  std::string type, path;
  std::uint64_t flag = 0;
  UniqueFd fd;
  bool done = false;  // the process is in it already
};

// kUsage when a path is no namespace, or one of another type.
Result<std::vector<JoinedNamespace>> open_joins(const std::vector<InitPlan::Join>& joins);

// clone_process(). Where the new process must be born in joined namespaces (user, pid), or joins that need the host's
// privileges come with a user namespace, a helper enters them first and clones on the caller's behalf; the caller itself
// stays where it is. In the new process `joins` tells what is done already. Not with CLONE_PARENT when a helper is needed.
Result<namespaces::CloneResult> clone_joined(const namespaces::CloneRequest& request, std::vector<JoinedNamespace>& joins);

}  // namespace vps::runtime
