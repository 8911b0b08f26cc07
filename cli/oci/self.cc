#include "cli/oci/self.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"

namespace vps::vpsrun {
namespace {

constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

Result<bool> is_protected() {
  auto self = VPS_TRY(open_path(kSelf, O_RDONLY));
  int seals = ::fcntl(self.get(), F_GET_SEALS);
  if (seals >= 0 && (seals & F_SEAL_WRITE) != 0) return true;
  struct statvfs fs{};
  if (::fstatvfs(self.get(), &fs) != 0) return fail_errno(errno, "stat the file system of {}", kSelf);
  return (fs.f_flag & ST_RDONLY) != 0;
}

Result<UniqueFd> read_only_mount() {
  UniqueFd mount(::open_tree(AT_FDCWD, kSelf, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!mount) return fail_errno(errno, "clone the mount of {}", kSelf);
  mount_attr attributes{};
  attributes.attr_set = kCopyAttributes;
  if (::mount_setattr(mount.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
    return fail_errno(errno, "make a mount read-only");
  return mount;
}

Result<UniqueFd> sealed_copy() {
  auto self = VPS_TRY(open_path(kSelf, O_RDONLY));
  UniqueFd copy(::memfd_create("vpsrun", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!copy) return fail_errno(errno, "memfd_create");
  while (true) {
    ssize_t n = ::sendfile(copy.get(), self.get(), nullptr, 1u << 30);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "copy {}", kSelf);
    if (n == 0) break;
  }
  if (::fcntl(copy.get(), F_ADD_SEALS, kSeals) != 0) return fail_errno(errno, "seal a copy of {}", kSelf);
  return copy;
}

}  // namespace

Result<> run_from_protected_copy(char** argv) {
  if (VPS_TRY(is_protected())) return {};
  auto copy = read_only_mount();
  if (!copy) copy = sealed_copy();  // cloning mounts needs CAP_SYS_ADMIN
  if (!copy) return std::unexpected(std::move(copy).error());
  ::syscall(SYS_execveat, copy->get(), "", argv, environ, AT_EMPTY_PATH);
  return fail_errno(errno, "execute the protected copy of this program");
}

}  // namespace vps::vpsrun
