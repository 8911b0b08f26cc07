// The disk of one VPS. Layout "overlay": <disk>/upper and <disk>/work over the template's rootfs; on disk everything stays
// uid 0 based, the launcher idmaps the layers when it mounts them (docs/design/start.md).
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "specs/vps/compile.h"
#include "specs/vps/definition.h"

namespace vps::storage {

// Makes the directories; `auto` becomes overlay. Layouts that are not available yet are kUnavailable by name; a size
// limit that this layout cannot enforce is said by explain_disk().
Result<> create_disk(const std::string& disk_dir, const Disk& disk);
Result<> remove_disk(const std::string& disk_dir);  // already gone is success
RootfsPlan rootfs_plan(const std::string& disk_dir, const std::string& template_rootfs, const Disk& disk);
// Bytes and entries that the VPS's own layer uses; walks the tree.
struct DiskUsage {
  std::uint64_t bytes = 0, entries = 0;
};
Result<DiskUsage> disk_usage(const std::string& disk_dir);
// Device number of the file system under `path` resolved to the whole block device that takes io limits.
Result<BlockDevice> backing_device(const std::string& path);
// Is the disk size enforced? Empty: yes. Otherwise the reason, for `create` and `show`.
std::string explain_disk(const Disk& disk);

}  // namespace vps::storage
