#include "storage/tree_edit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/files.h"

namespace vps::storage {
namespace {

std::string parent_of(const std::string& path) {
  auto slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}
std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

Result<> unlink_there(int parent, const std::string& path) {
  if (::unlinkat(parent, name_of(path).c_str(), 0) != 0 && errno != ENOENT) return fail_errno(errno, "remove {}", path);
  return {};
}

}  // namespace

Result<TreeEdit> TreeEdit::open(const std::string& root) { return TreeEdit(VPS_TRY(open_dir(root))); }

Result<> TreeEdit::directory(const std::string& path, mode_t mode) {
  auto fd = VPS_TRY(mkdirs_in_root(root_.get(), path, 0755));
  // mkdir obeys the process's umask; an O_PATH fd cannot be chmodded itself.
  auto real = VPS_TRY(open_at(fd.get(), ".", O_RDONLY | O_DIRECTORY));
  if (::fchmod(real.get(), mode) != 0) return fail_errno(errno, "set mode of {}", path);
  return {};
}

Result<> TreeEdit::file(const std::string& path, std::string_view text, mode_t mode) {
  auto parent = VPS_TRY(mkdirs_in_root(root_.get(), parent_of(path), 0755));
  VPS_TRY(unlink_there(parent.get(), path));
  auto fd = VPS_TRY(open_at(parent.get(), name_of(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  VPS_TRY_CTX(path, write_all(fd.get(), text));
  if (::fchmod(fd.get(), mode) != 0) return fail_errno(errno, "set mode of {}", path);
  return {};
}

Result<> TreeEdit::link(const std::string& path, const std::string& target) {
  auto parent = VPS_TRY(mkdirs_in_root(root_.get(), parent_of(path), 0755));
  VPS_TRY(unlink_there(parent.get(), path));
  if (::symlinkat(target.c_str(), parent.get(), name_of(path).c_str()) != 0)
    return fail_errno(errno, "make symbolic link {}", path);
  return {};
}

Result<> TreeEdit::remove(const std::string& path) {
  auto parent = open_in_root(root_.get(), parent_of(path), O_PATH | O_DIRECTORY);
  if (!parent && parent.error().err() == ENOENT) return {};
  if (!parent) return std::unexpected(std::move(parent).error());
  return unlink_there(parent->get(), path);
}

Result<> TreeEdit::remove_matching(const std::string& directory, std::string_view prefix) {
  auto fd = open_in_root(root_.get(), directory, O_RDONLY | O_DIRECTORY);
  if (!fd && fd.error().err() == ENOENT) return {};
  if (!fd) return std::unexpected(std::move(fd).error());
  for (const auto& name : VPS_TRY_CTX(directory, list_dir_at(fd->get())))
    if (name.starts_with(prefix)) VPS_TRY(unlink_there(fd->get(), name));
  return {};
}

bool TreeEdit::exists(const std::string& path) const {
  return open_in_root(root_.get(), path, O_PATH | O_NOFOLLOW).has_value();
}

}  // namespace vps::storage
