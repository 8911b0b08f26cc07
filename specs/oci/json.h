// config.json <-> oci::Spec. Unknown keys are ignored, as the specification asks; a known key with a value of the wrong
// type is a kUsage error that names its path ("process.rlimits[0].soft: expected an unsigned number"), as is a required
// key that is missing, a key that stands twice and a string with a NUL character. null is the same as absent.
// Limits: 16 MiB of text, 64 levels of nesting. What the values mean is checked by validate.h.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "specs/oci/spec.h"

namespace vps::oci {

Result<Spec> parse_spec(std::string_view json);
std::string format_spec(const Spec& spec);  // round-trips through parse_spec

Result<Process> parse_process(std::string_view json);      // exec --process
std::string format_process(const Process& process);
Result<Resources> parse_resources(std::string_view json);  // update --resources
std::string format_resources(const Resources& resources);
Result<Seccomp> parse_seccomp(std::string_view json);
std::string format_seccomp(const Seccomp& seccomp);

}  // namespace vps::oci
