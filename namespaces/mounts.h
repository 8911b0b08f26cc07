// Mounts through the new mount API (fsopen, fsmount, open_tree, move_mount, mount_setattr), as fds until they are attached.
// Targets inside a container's root are always resolved by openat2(RESOLVE_IN_ROOT) on a pinned root fd and attached by
// fd, so that nothing in the tenant's tree can redirect them. Sources: fsopen(2), mount_setattr(2), runtime-spec mounts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "specs/oci/spec.h"

namespace vps::namespaces {

// A mount entry's options, sorted into what each kernel interface takes. Pure.
struct MountOptions {
  std::uint64_t attr_set = 0, attr_clear = 0;        // MOUNT_ATTR_* of this mount
  std::uint64_t rec_attr_set = 0, rec_attr_clear = 0;  // r-variants: of the whole tree (rro, rnosuid ...)
  bool bind = false, recursive_bind = false, remount = false;
  std::vector<std::uint64_t> propagation;            // MS_PRIVATE, MS_SLAVE|MS_REC ...
  bool idmap = false, recursive_idmap = false, tmpcopyup = false, src_nofollow = false, dest_nofollow = false;
  std::vector<std::pair<std::string, std::string>> data;  // file-system options: key, value (value may be empty: a flag)
};
Result<MountOptions> parse_mount_options(const oci::Strings& options);
std::vector<std::string> known_mount_option_names();
std::string mount_attr_names(std::uint64_t attrs);  // "nosuid,nodev"

// A new, detached file system instance.
Result<UniqueFd> make_mount(std::string_view fs_type, const std::vector<std::pair<std::string, std::string>>& data,
                            std::uint64_t attrs, std::string_view source = {});
// A detached copy of an existing mount (open_tree CLONE). `dirfd` with an empty path clones the fd's own.
Result<UniqueFd> clone_mount(int dirfd, const std::string& path, bool recursive);
Result<> set_mount_attr(int mount_fd, std::uint64_t set, std::uint64_t clear, bool recursive,
                        std::uint64_t propagation = 0);
Result<> idmap_mount(int mount_fd, int userns_fd, bool recursive);
// Attaches a detached mount on the object that `target_fd` (O_PATH) is.
Result<> attach_mount(int mount_fd, int target_fd);
// Opens (creating what is missing: directories, or a file when !directory) `path` below `root_fd` for use as a target.
Result<UniqueFd> mount_target(int root_fd, const std::string& path, bool directory);
// The same, but the last part of `path` must not be a symlink (ELOOP).
Result<UniqueFd> mount_target_nofollow(int root_fd, const std::string& path, bool directory);
// A directory, made when missing, to which no symlink leads (ELOOP).
Result<UniqueFd> directory_without_links(int root_fd, const std::string& path);
[[nodiscard]] bool is_procfs(int fd);

// Overlay from directories, of which `layer_fds` may be idmapped clones; detached. Mount it with fsuid/fsgid equal to the
// mapped root when layers are idmapped, or the kernel brings it up read-only (docs/design/start.md).
struct OverlayLayers {
  std::vector<std::string> lower;  // top to bottom
  std::string upper, work;
  bool volatile_ = false;
};
Result<UniqueFd> make_overlay(const OverlayLayers& layers);

// Makes `root_fd`'s mount the root of the calling process's mount namespace and detaches the old one (pivot_root(2) with
// "." as both arguments).
Result<> pivot_to(int root_fd);
// For roots that cannot be pivoted to (a ramfs): `root_fd`'s mount lies over "/", and becomes "/" by chroot(2).
Result<> chroot_to(int root_fd);
Result<> set_root_propagation(std::uint64_t flags);  // of "/", e.g. MS_SLAVE | MS_REC
// A procfs root fd that is verified to be procfs (f_type, inode 1) and free of overmounts where the kernel can tell.
Result<UniqueFd> open_procfs(const std::string& path = "/proc");

}  // namespace vps::namespaces
