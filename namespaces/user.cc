#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"
#include "namespaces/process.h"

namespace vps::namespaces {

namespace {

constexpr std::uint32_t kNoId = 0xffffffff;  // "leave as it is" to set*id(2), so never a user's

// Without additional groups an EPERM is harmless where nothing can be dropped: the process has none, or its user
// namespace forbids setgroups(2) altogether (user_namespaces(7)).
bool groups_cannot_matter() {
  if (::getgroups(0, nullptr) == 0) return true;
  auto setgroups = read_file("/proc/self/setgroups");
  return setgroups && setgroups->starts_with("deny");
}

}  // namespace

Result<> apply_user(const oci::User& user) {
  if (user.uid == kNoId || user.gid == kNoId)
    return fail(Code::kUsage, "user {}:{} is not a valid id", user.uid, user.gid);
  for (std::uint32_t gid : user.additional_gids)
    if (gid == kNoId) return fail(Code::kUsage, "additional group {} is not a valid id", gid);
  // Without it the change of the uid empties the permitted set; execve(2) clears it again.
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return fail_errno(errno, "keep capabilities over the change of user");
  if (::setgroups(user.additional_gids.size(), user.additional_gids.data()) != 0) {
    int err = errno;
    if (err != EPERM || !user.additional_gids.empty() || !groups_cannot_matter())
      return fail_errno(err, "set {} additional groups", user.additional_gids.size());
  }
  if (::setresgid(user.gid, user.gid, user.gid) != 0) return fail_errno(errno, "become group {}", user.gid);
  if (::setresuid(user.uid, user.uid, user.uid) != 0) return fail_errno(errno, "become user {}", user.uid);
  if (user.umask) ::umask(static_cast<mode_t>(*user.umask & 0777));
  return {};
}

}  // namespace vps::namespaces
