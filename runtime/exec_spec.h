// What an exec needs of a container's config.json. Reading all of it for every exec costs more than the rest of the work, and
// nearly all of it are the names of system calls in the seccomp profile; so the first exec leaves a short form beside it, which
// names the compiled filter instead (`config.json.exec`). It is bound to the very file that it was made from, and anything wrong
// with it means the long way, never another result.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "namespaces/seccomp.h"
#include "specs/oci/spec.h"

namespace vps::runtime {

struct ExecSpec {
  oci::Spec spec;                             // of seccomp.syscalls only rules that notify, when `seccomp` is there
  std::optional<namespaces::SeccompProgram> seccomp;  // nullopt: compile it from the spec
};

// `directory`, `name`: where config.json is, a directory that belongs to us alone. `seccomp_cache` as in ExecRequest.
Result<ExecSpec> read_exec_spec(int directory, const std::string& name, const std::string& seccomp_cache);

}  // namespace vps::runtime
