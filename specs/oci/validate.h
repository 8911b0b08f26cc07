// What the specification demands of a config.json beyond its types, as a list of small checks; the first violation is
// returned (kUsage), named by its JSON path.
#pragma once

#include "base/error.h"
#include "specs/oci/spec.h"

namespace vps::oci {

Result<> validate(const Spec& spec);
Result<> validate_process(const Process& process);        // also exec --process; paths start with "process"
Result<> validate_resources(const Resources& resources);  // update --resources; paths start with "resources"

}  // namespace vps::oci
