#include "storage/name_lock.h"

#include <sys/stat.h>

#include <cerrno>

#include "base/files.h"

namespace vps::storage {

NameLock& NameLock::operator=(NameLock&& other) noexcept {
  if (this == &other) return *this;
  release();
  path_ = std::move(other.path_);
  fd_ = std::move(other.fd_);
  return *this;
}

// Removed while it is still held: whoever opened it in between notices that its file has no name any more.
void NameLock::release() {
  if (!fd_) return;
  ::unlink(path_.c_str());
  fd_.reset();
}

Result<NameLock> lock_name(const std::string& store, const std::string& name) {
  const std::string path = store + "/.lock-" + name;
  while (true) {
    auto fd = lock_file(path, false);
    if (!fd) {
      if (fd.error().code() == Code::kBusy) return fail(Code::kBusy, "template {} is being worked on", name);
      return std::unexpected(std::move(fd).error());
    }
    struct stat held{}, named{};
    if (::fstat(fd->get(), &held) != 0) return fail_errno(errno, "stat {}", path);
    if (::stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino && held.st_dev == named.st_dev)
      return NameLock(path, std::move(*fd));
  }
}

}  // namespace vps::storage
