// The root file system and the bind sources of a container, made by the launcher as detached mounts and handed to the init
// half as descriptors. Caller: single-threaded, CAP_SYS_ADMIN.
#pragma once

#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "runtime/init_plan.h"
#include "specs/oci/spec.h"
#include "specs/vps/compile.h"

namespace vps::runtime {

// A mount namespace of the launcher's own, a slave of the host's: what is staged in it is seen by nobody else.
Result<> enter_private_mount_namespace();

// The root mount, detached. With layers: an overlay of them, each layer idmapped to `userns_fd` when plan.idmapped and
// userns_fd >= 0 (an overlay itself cannot be idmapped). Without: a copy of the mount of spec.root.path.
Result<UniqueFd> make_rootfs(const oci::Spec& spec, const std::string& bundle, const RootfsPlan& plan,
                             const std::string& staging, int userns_fd);

// A detached copy of a bind's source with its attributes and id map applied. Without a propagation option of its own it is a
// slave of its source, unless linux.rootfsPropagation is (r)shared: then it stays what its source is.
// `source_fd` >= 0 is the source itself.
Result<UniqueFd> open_bind_source(const PlannedMount& mount, int source_fd, int container_userns_fd, bool shared_root);

// A device node on the staging area, owned by `uid`:`gid` of the host; detached.
Result<UniqueFd> make_device_node(const oci::Device& device, uid_t uid, gid_t gid, const std::string& staging);

}  // namespace vps::runtime
