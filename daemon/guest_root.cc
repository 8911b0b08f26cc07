#include "daemon/guest_root.h"

#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"

namespace vps::daemon {
namespace {

constexpr std::size_t kMaxFile = 4u << 20;

// New files of this thread belong to the guest's root, for as long as it lives: one of the host's root cannot be made there. The
// rights to give files away go meanwhile (setfsuid(2) takes CAP_CHOWN and its like).
class ActAs {
 public:
  explicit ActAs(IdRange ids) {
    if (ids.size == 0) return;
    active_ = true;
    ::setfsgid(ids.base);
    ::setfsuid(ids.base);
  }
  ~ActAs() {
    if (!active_) return;
    ::setfsuid(0);
    ::setfsgid(0);
  }
  ActAs(const ActAs&) = delete;
  ActAs& operator=(const ActAs&) = delete;

 private:
  bool active_ = false;
};

}  // namespace

Result<std::string> read_in_root(int root, const std::string& path) {
  auto fd = VPS_TRY(open_in_root(root, path, O_RDONLY | O_NONBLOCK));
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return fail(Code::kFailed, "{} is no regular file", path);
  return read_fd(fd.get(), kMaxFile);
}

Result<> replace_in_root(int root, IdRange ids, const std::string& path, std::string_view content, mode_t mode) {
  auto slash = path.rfind('/');
  auto parent = VPS_TRY(open_in_root(root, path.substr(0, slash + 1), O_RDONLY | O_DIRECTORY));
  const std::string name = path.substr(slash + 1);
  struct stat st{};
  const bool there = ::fstatat(parent.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
  if (there && !S_ISREG(st.st_mode)) return fail(Code::kFailed, "{} is no regular file", path);
  const std::string temporary = fmt::format(".{}.{}", name, random_hex(8));
  auto made = [&] {
    ActAs owner(ids);
    return open_at(parent.get(), temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  }();
  auto fd = VPS_TRY(std::move(made));
  auto written = [&]() -> Result<> {
    VPS_TRY(write_all(fd.get(), content));
    if (there && ::fchown(fd.get(), st.st_uid, st.st_gid) != 0) return fail_errno(errno, "owner of {}", path);
    if (::fchmod(fd.get(), there ? st.st_mode & 07777u : mode) != 0) return fail_errno(errno, "mode of {}", path);
    if (::fsync(fd.get()) != 0) return fail_errno(errno, "write {}", path);
    if (::renameat(parent.get(), temporary.c_str(), parent.get(), name.c_str()) != 0) return fail_errno(errno, "replace {}", path);
    return {};
  }();
  if (!written) (void)::unlinkat(parent.get(), temporary.c_str(), 0);
  return written;
}

}  // namespace vps::daemon
