#include "storage/xattrs.h"

#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>

namespace vps::storage {
namespace {

// Both calls tell their size first; what changes in between is asked again.
constexpr int kTries = 8;

template <class Call>
Result<std::string> sized(const char* what, Call call) {
  for (int i = 0; i < kTries; ++i) {
    ssize_t size = call(nullptr, 0);
    if (size == 0) return std::string{};
    if (size > 0) {
      std::string value(static_cast<std::size_t>(size), '\0');
      size = call(value.data(), value.size());
      if (size >= 0) {
        value.resize(static_cast<std::size_t>(size));
        return value;
      }
    }
    if (errno == EOPNOTSUPP) return std::string{};
    if (errno != ERANGE) return fail_errno(errno, "{}", what);
  }
  return fail_errno(ERANGE, "{}", what);
}

template <class List, class Get>
Result<std::vector<Xattr>> collect(List list, Get get) {
  std::vector<Xattr> out;
  std::string names = VPS_TRY(sized("list extended attributes", list));
  for (std::size_t pos = 0; pos < names.size();) {
    auto end = std::min(names.find('\0', pos), names.size());
    std::string name = names.substr(pos, end - pos);
    pos = end + 1;
    if (!VPS_TRY(xattr_allowed(name))) continue;
    auto value = VPS_TRY_CTX(name, sized("read extended attribute",
                                         [&](char* data, std::size_t size) { return get(name.c_str(), data, size); }));
    out.push_back({std::move(name), std::move(value)});
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace

Result<std::vector<Xattr>> read_xattrs_fd(int fd) {
  return collect([=](char* data, std::size_t size) { return ::flistxattr(fd, data, size); },
                 [=](const char* name, char* data, std::size_t size) { return ::fgetxattr(fd, name, data, size); });
}

Result<std::vector<Xattr>> read_xattrs_at(int dir_fd, const std::string& name) {
  const std::string path = fmt::format("/proc/self/fd/{}/{}", dir_fd, name);
  return collect(
      [&](char* data, std::size_t size) { return ::llistxattr(path.c_str(), data, size); },
      [&](const char* xattr, char* data, std::size_t size) { return ::lgetxattr(path.c_str(), xattr, data, size); });
}

}  // namespace vps::storage
