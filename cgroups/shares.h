// Weights and guarantees divide what siblings compete for. Those of a group inside a container's own folder would only compete
// with the container's supervisor: they have to stand on the folder, whose siblings are the other containers.
#pragma once

#include <string>

#include "base/error.h"
#include "cgroups/host.h"
#include "specs/oci/spec.h"

namespace vps::cgroups {

// The part of `resources` that divides: cpu and io weights, memory.low and memory.min.
oci::Resources shares_of(const oci::Resources& resources);

// Puts that part on the group `path` ("vps/101"; kNotFound when there is none); what is absent stays as it is, as with
// Group::apply. Guarantees are worth nothing below a parent without one: `path`'s parent gets the sum over its groups.
// Thread-safe, also between processes (a lock on the parent).
Result<> apply_shares(const Host& host, const std::string& path, const oci::Resources& resources);

}  // namespace vps::cgroups
