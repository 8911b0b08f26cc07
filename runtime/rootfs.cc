#include "runtime/rootfs.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/securebits.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/files.h"
#include "namespaces/clone.h"
#include "namespaces/mounts.h"

namespace vps::runtime {
namespace {

namespace ns = namespaces;

// The overlay driver keeps the credentials of the process that mounts it and works on its layers with them. Over idmapped
// layers these must be the mapped root's, or files cannot be created in the work directory and the overlay comes up
// read-only without a word. Capabilities stay: only the file system ids change.
class ScopedFsIds {
 public:
  static Result<ScopedFsIds> enter(uid_t uid, gid_t gid) {
    ScopedFsIds scope;
    scope.securebits_ = ::prctl(PR_GET_SECUREBITS);
    auto wanted = static_cast<unsigned long>(scope.securebits_) | SECBIT_NO_SETUID_FIXUP;
    if (::prctl(PR_SET_SECUREBITS, wanted) != 0) return fail_errno(errno, "keep capabilities over setfsuid");
    scope.active_ = true;
    ::setfsuid(uid);
    ::setfsgid(gid);
    // setfsuid(2) reports errors only through the value that a second call returns.
    if (static_cast<uid_t>(::setfsuid(static_cast<uid_t>(-1))) != uid || static_cast<gid_t>(::setfsgid(static_cast<gid_t>(-1))) != gid)
      return fail(Code::kNotAllowed, "cannot take the mapped root's file system ids");
    return scope;
  }
  ScopedFsIds(ScopedFsIds&& other) noexcept : securebits_(other.securebits_), active_(std::exchange(other.active_, false)) {}
  ScopedFsIds& operator=(ScopedFsIds&&) = delete;
  ScopedFsIds(const ScopedFsIds&) = delete;
  ScopedFsIds& operator=(const ScopedFsIds&) = delete;
  ~ScopedFsIds() {
    if (!active_) return;
    ::setfsuid(0);
    ::setfsgid(0);
    ::prctl(PR_SET_SECUREBITS, static_cast<unsigned long>(securebits_));
  }

 private:
  ScopedFsIds() = default;
  int securebits_ = 0;
  bool active_ = false;
};

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }
std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Attaches a clone of `path`'s mount at staging/name, idmapped if asked for, and returns where it is.
Result<std::string> stage_layer(const std::string& path, const std::string& staging, const std::string& name, int userns_fd) {
  auto mount = VPS_TRY(ns::clone_mount(AT_FDCWD, path, false));
  VPS_TRY_CTX(path, ns::set_mount_attr(mount.get(), 0, 0, false, MS_PRIVATE));
  if (userns_fd >= 0) VPS_TRY_CTX(path, ns::idmap_mount(mount.get(), userns_fd, false));
  std::string place = staging + "/" + name;
  if (::mkdir(place.c_str(), 0755) != 0) return fail_errno(errno, "make directory {}", place);
  auto target = VPS_TRY(open_path(place, O_PATH | O_DIRECTORY));
  VPS_TRY_CTX(path, ns::attach_mount(mount.get(), target.get()));
  return place;
}

Result<UniqueFd> make_layered_rootfs(const oci::Spec& spec, const RootfsPlan& plan, const std::string& staging, int userns_fd) {
  int map_fd = plan.idmapped ? userns_fd : -1;
  auto place = VPS_TRY(ns::make_mount("tmpfs", {{"mode", "0755"}}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  auto target = VPS_TRY(open_path(staging, O_PATH | O_DIRECTORY));
  VPS_TRY_CTX(staging, ns::attach_mount(place.get(), target.get()));
  ns::OverlayLayers layers;
  for (std::size_t i = 0; i < plan.lower.size(); ++i)
    layers.lower.push_back(VPS_TRY(stage_layer(plan.lower[i], staging, fmt::format("lower{}", i), map_fd)));
  if (plan.upper.empty()) {
    if (layers.lower.size() == 1) return ns::clone_mount(AT_FDCWD, layers.lower[0], false);
  } else {
    // upperdir and workdir must be on one mount, so it is their parent that is staged.
    if (parent_of(plan.upper) != parent_of(plan.work)) return fail(Code::kUsage, "upper and work directory are not siblings");
    auto rw = VPS_TRY(stage_layer(parent_of(plan.upper), staging, "rw", map_fd));
    layers.upper = rw + "/" + name_of(plan.upper);
    layers.work = rw + "/" + name_of(plan.work);
  }
  if (map_fd < 0) return ns::make_overlay(layers);
  auto uid = ns::map_to_host(spec.linux_->uid_mappings, 0);
  auto gid = ns::map_to_host(spec.linux_->gid_mappings, 0);
  if (uid < 0 || gid < 0) return fail(Code::kUsage, "id 0 of the container is not mapped");
  auto ids = VPS_TRY(ScopedFsIds::enter(static_cast<uid_t>(uid), static_cast<gid_t>(gid)));
  return ns::make_overlay(layers);
}

}  // namespace

Result<> enter_private_mount_namespace() {
  if (::unshare(CLONE_NEWNS) != 0) return fail_errno(errno, "unshare the mount namespace");
  return ns::set_root_propagation(MS_SLAVE | MS_REC);
}

Result<UniqueFd> make_rootfs(const oci::Spec& spec, const std::string& bundle, const RootfsPlan& plan,
                             const std::string& staging, int userns_fd) {
  if (!plan.lower.empty()) return make_layered_rootfs(spec, plan, staging, userns_fd);
  if (!spec.root || spec.root->path.empty()) return fail(Code::kUsage, "config.json has no root.path");
  std::string path = spec.root->path.starts_with('/') ? spec.root->path : bundle + "/" + spec.root->path;
  auto root = VPS_TRY(ns::clone_mount(AT_FDCWD, path, true));
  // A copy of a shared mount is its peer: what is mounted in the container would appear on the host.
  VPS_TRY(ns::set_mount_attr(root.get(), 0, 0, true, MS_SLAVE));
  return root;
}

Result<UniqueFd> make_device_node(const oci::Device& device, uid_t uid, gid_t gid, const std::string& staging) {
  std::string name = device.path;
  std::ranges::replace(name, '/', '-');
  std::string place = staging + "/" + name;
  mode_t type = device.type == "b" ? S_IFBLK : device.type == "p" ? S_IFIFO : S_IFCHR;
  mode_t mode = static_cast<mode_t>(device.file_mode.value_or(0666));
  dev_t number = makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
  if (::mknod(place.c_str(), type | mode, number) != 0) return fail_errno(errno, "make device node {}", device.path);
  if (::chown(place.c_str(), uid, gid) != 0 || ::chmod(place.c_str(), mode) != 0)
    return fail_errno(errno, "hand over device node {}", device.path);
  auto mount = VPS_TRY(ns::clone_mount(AT_FDCWD, place, false));
  VPS_TRY(ns::set_mount_attr(mount.get(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NODEV, false, MS_PRIVATE));
  return mount;
}

Result<UniqueFd> open_bind_source(const PlannedMount& mount, int source_fd, int container_userns_fd, bool shared_root) {
  const auto& options = mount.options;
  UniqueFd fd;
  if (source_fd >= 0) {
    fd = VPS_TRY(ns::clone_mount(source_fd, "", options.recursive_bind));
  } else if (options.src_nofollow) {
    auto source = VPS_TRY(open_path(mount.source, O_PATH | O_NOFOLLOW));
    fd = VPS_TRY(ns::clone_mount(source.get(), "", options.recursive_bind));
  } else {
    fd = VPS_TRY(ns::clone_mount(AT_FDCWD, mount.source, options.recursive_bind));
  }
  if ((options.attr_set | options.attr_clear) != 0)
    VPS_TRY(ns::set_mount_attr(fd.get(), options.attr_set, options.attr_clear, false));
  if ((options.rec_attr_set | options.rec_attr_clear) != 0)
    VPS_TRY(ns::set_mount_attr(fd.get(), options.rec_attr_set, options.rec_attr_clear, true));
  if (options.idmap) {
    UniqueFd own;
    int userns = container_userns_fd;
    if (!mount.uid_mappings.empty()) {
      own = VPS_TRY(ns::make_userns(mount.uid_mappings, mount.gid_mappings));
      userns = own.get();
    }
    VPS_TRY(ns::idmap_mount(fd.get(), userns, options.recursive_idmap));
  }
  // As if the copy were made in a namespace whose root is rslave, the default of rootfsPropagation.
  if (options.propagation.empty() && !shared_root) VPS_TRY(ns::set_mount_attr(fd.get(), 0, 0, true, MS_SLAVE));
  for (auto propagation : options.propagation)
    VPS_TRY(ns::set_mount_attr(fd.get(), 0, 0, (propagation & MS_REC) != 0, propagation));
  return fd;
}

}  // namespace vps::runtime
