// linux.netDevices of a container: into its network namespace before its hooks run, and back to the host when it goes.
#pragma once

#include "base/error.h"
#include "specs/oci/spec.h"

namespace vps::runtime {

// All or none: on an error those moved already are back.
Result<> take_net_devices(const oci::Spec& spec, int netns_fd);
// To the caller's network namespace, each under the name that it had there. One that has gone is none to give back; the first
// error is returned after all have been tried.
Result<> give_back_net_devices(const oci::Spec& spec, int netns_fd);

}  // namespace vps::runtime
