// The disk of one VPS. Layout "overlay": <disk>/upper and <disk>/work over the template's rootfs. Layout "dir": <disk>/root,
// a full copy of it. On disk everything stays uid 0 based, the launcher idmaps the layers when it mounts them
// (docs/design/start.md). Thread-safety: different disks are independent.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "specs/vps/compile.h"
#include "specs/vps/definition.h"
#include "storage/progress.h"

namespace vps::storage {

// Makes the directories; `auto` becomes overlay. kExists when there is a disk, kUnavailable for layouts that are not there
// yet; a size limit that the layout cannot enforce is said by explain_disk(). After an error nothing is left.
// `template_rootfs` gives the root directory its mode, and layout dir its content.
Result<> create_disk(const std::string& disk_dir, const Disk& disk, const std::string& template_rootfs = {},
                     const Progress& progress = {});
Result<> remove_disk(const std::string& disk_dir);  // already gone is success
// Pure.
RootfsPlan rootfs_plan(const std::string& disk_dir, const std::string& template_rootfs, const Disk& disk);
// Bytes and entries that the VPS's own layer uses; walks the tree, which may be in use. kBusy when its directories are moved
// around meanwhile: try again later.
struct DiskUsage {
  std::uint64_t bytes = 0, entries = 0;
};
Result<DiskUsage> disk_usage(const std::string& disk_dir);
// Device number of the file system under `path` resolved to the whole block device that takes io limits; not `known` when
// there is none (tmpfs, network).
Result<BlockDevice> backing_device(const std::string& path, const std::string& sys_root = "/sys");
// Is the disk size enforced? Empty: yes, or none is set. Otherwise the reason, for `create` and `show`.
std::string explain_disk(const Disk& disk);

}  // namespace vps::storage
