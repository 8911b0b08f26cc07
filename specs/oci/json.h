// config.json <-> oci::Spec. Unknown keys are ignored, as the specification asks; a known key with a value of the wrong
// type is a kUsage error that names its path ("process.rlimits[0].soft: expected an unsigned number").
// Limits: 16 MiB of text, 64 levels of nesting.
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

}  // namespace vps::oci
