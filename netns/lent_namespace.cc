#include "netns/lent_namespace.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/failpoint.h"
#include "base/files.h"
#include "netns/attach.h"
#include "netns/devices.h"
#include "netns/failpoints.h"

namespace vps::netns {
namespace {

// Its maker may have died before it was mounted, or the host has booted since.
bool is_namespace(int fd) {
  struct statfs info{};
  return ::fstatfs(fd, &info) == 0 && info.f_type == NSFS_MAGIC;
}

Result<> hold(const Host& host, const std::string& id, int netns_fd) {
  VPS_TRY(take_back_devices(host, id));
  const auto path = held_path(host, id);
  VPS_TRY(make_dirs(held_folder(host), 0700));
  VPS_TRY(write_file_atomic(path, "", 0600));
  VPS_TRY(failpoint::hit(kHoldStep));
  if (::mount(fmt::format("/proc/self/fd/{}", netns_fd).c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return fail_errno(errno, "keep the network namespace as {}", path);
  return {};
}

Result<> let_go(const std::string& path) {
  // EINVAL: the file stands there and nothing is mounted on it yet.
  if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL && errno != ENOENT)
    return fail_errno(errno, "let go of the namespace {}", path);
  return remove_file(path);
}

}  // namespace

bool borrows_devices(const net::VpsPlan& plan) {
  return std::ranges::any_of(plan.ports, [](const net::PortPlan& port) { return port.mode == net::Mode::kHostDevice; });
}

Result<> hold_namespace(const Host& host, const std::string& id, int netns_fd, int mount_namespace) {
  auto home = VPS_TRY(open_path("/proc/thread-self/ns/mnt", O_RDONLY));
  if (::setns(mount_namespace, CLONE_NEWNS) != 0) return fail_errno(errno, "enter the host's mount namespace");
  auto held = hold(host, id, netns_fd);
  // All that follows would be mounted on the host.
  if (::setns(home.get(), CLONE_NEWNS) != 0) std::abort();
  return held;
}

Result<> take_back_devices(const Host& host, const std::string& id) {
  if (!holds_namespace(host, id)) return {};
  net::VpsPlan plan;
  plan.id = id;
  for (const auto& device : VPS_TRY(all_lent(host))) {
    if (device.vps != id) continue;
    auto& port = plan.ports.emplace_back();
    port.mode = net::Mode::kHostDevice;
    port.host_link = device.name;
    port.guest_link = device.guest_name;
  }
  Result<> back;
  if (!plan.ports.empty()) {
    auto held = VPS_TRY(open_path(held_path(host, id), O_RDONLY));
    if (is_namespace(held.get())) back = return_devices(host, plan, held.get());
  }
  // Not to be found anywhere (kNotFound): nothing to wait for.
  if (back || back.error().code() == Code::kNotFound) VPS_TRY(let_go(held_path(host, id)));
  return back;
}

}  // namespace vps::netns
