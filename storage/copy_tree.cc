#include "storage/copy_tree.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string>

#include "base/files.h"
#include "base/units.h"
#include "storage/tree_writer.h"
#include "storage/xattrs.h"

namespace vps::storage {
namespace {

constexpr std::uint64_t kReportBytes = 32u << 20;
constexpr std::uint64_t kReportEntries = 256;
constexpr std::size_t kCopyChunk = 8u << 20;  // per call, so that a cancel is heard

class Copier {
 public:
  Copier(UniqueFd target, const Progress& progress, const std::vector<FileId>& skip)
      : writer_(std::move(target)), progress_(progress), skip_(skip) {}

  Result<> run(int source_fd);

 private:
  Result<> children(int dir_fd, const std::string& path);
  Result<> child(int dir_fd, const std::string& name, const std::string& path);
  Result<> subdirectory(int dir_fd, const std::string& name, const std::string& path, const struct stat& st);
  Result<> regular(int dir_fd, const std::string& name, const std::string& path, const struct stat& st);
  Result<> content(int from, int to, const std::string& path, off_t size);
  Result<> range(int from, int to, const std::string& path, off_t begin, off_t end);
  Result<> tick(std::uint64_t bytes, bool is_entry);
  Result<> note(const std::string& text) { return report(progress_, "note: " + text); }

  TreeWriter writer_;
  const Progress& progress_;
  const std::vector<FileId>& skip_;
  dev_t device_ = 0;
  std::map<ino_t, std::string> links_;  // first path of each file with more than one name
  bool can_clone_ = true, can_copy_range_ = true;  // until the file systems say otherwise
  std::uint64_t bytes_ = 0, entries_ = 0, bytes_at_report_ = 0, entries_at_report_ = 0;
};

Metadata metadata_of(const struct stat& st) {
  return {.mode = st.st_mode, .uid = st.st_uid, .gid = st.st_gid, .mtime = st.st_mtim, .atime = st.st_atim, .xattrs = {}};
}

Result<> Copier::tick(std::uint64_t bytes, bool is_entry) {
  bytes_ += bytes;
  if (is_entry) ++entries_;
  if (bytes_ - bytes_at_report_ < kReportBytes && entries_ - entries_at_report_ < kReportEntries) return {};
  bytes_at_report_ = bytes_;
  entries_at_report_ = entries_;
  return report(progress_, fmt::format("copying: {} entries, {}", entries_, human_size(Bytes{bytes_})));
}

// Copies [begin, end) within the kernel where it can, else through a buffer.
Result<> Copier::range(int from, int to, const std::string& path, off_t begin, off_t end) {
  std::string buffer;
  while (begin < end) {
    auto want = std::min(static_cast<std::size_t>(end - begin), kCopyChunk);
    ssize_t n = -1;
    if (can_copy_range_) {
      off_t in = begin, out = begin;
      n = ::copy_file_range(from, &in, to, &out, want, 0);
      // Not between these file systems (or not in this kernel): reads and writes always work.
      if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) can_copy_range_ = false;
      else if (n < 0 && errno != EINTR) return fail_errno(errno, "copy {}", path);
    }
    if (!can_copy_range_) {
      buffer.resize(std::min<std::size_t>(want, 1u << 20));
      n = ::pread(from, buffer.data(), buffer.size(), begin);
      if (n < 0 && errno != EINTR) return fail_errno(errno, "read {}", path);
      for (ssize_t done = 0; done < n;) {
        ssize_t w = ::pwrite(to, buffer.data() + done, static_cast<std::size_t>(n - done), begin + done);
        if (w < 0 && errno != EINTR) return fail_errno(errno, "write {}", path);
        done += std::max<ssize_t>(w, 0);
      }
    }
    if (n < 0) continue;  // interrupted
    if (n == 0) return {};  // the source got shorter meanwhile
    begin += n;
    VPS_TRY(tick(static_cast<std::uint64_t>(n), false));
  }
  return {};
}

Result<> Copier::content(int from, int to, const std::string& path, off_t size) {
  if (size == 0) return {};
  if (can_clone_) {
    if (::ioctl(to, FICLONE, from) == 0) return {};
    if (errno == ENOSPC || errno == EDQUOT) return fail_errno(errno, "copy {}", path);
    can_clone_ = false;
  }
  for (off_t pos = 0; pos < size;) {
    off_t data = ::lseek(from, pos, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // a hole to the end
    if (data < 0) return fail_errno(errno, "look for data in {}", path);
    off_t hole = ::lseek(from, data, SEEK_HOLE);
    if (hole < 0) return fail_errno(errno, "look for holes in {}", path);
    VPS_TRY(range(from, to, path, data, std::min(hole, size)));
    pos = hole;
  }
  if (::ftruncate(to, size) != 0) return fail_errno(errno, "{}: set size {}", path, size);
  return {};
}

Result<> Copier::regular(int dir_fd, const std::string& name, const std::string& path, const struct stat& st) {
  auto from = VPS_TRY(open_at(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  auto metadata = metadata_of(st);
  metadata.xattrs = VPS_TRY_CTX(path, read_xattrs_fd(from.get()));
  auto to = VPS_TRY(writer_.create_file(path));
  VPS_TRY(content(from.get(), to.get(), path, st.st_size));
  return writer_.finish_file(to.get(), path, metadata);
}

Result<> Copier::subdirectory(int dir_fd, const std::string& name, const std::string& path, const struct stat& st) {
  if (std::ranges::find(skip_, FileId{st.st_dev, st.st_ino}) != skip_.end())
    return note(fmt::format("{}: holds the templates, left out", path));
  auto fd = VPS_TRY(open_at(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  auto metadata = metadata_of(st);
  if (st.st_dev != device_) {
    VPS_TRY(writer_.directory(path, metadata));
    return note(fmt::format("{}: another file system is mounted there, not entered", path));
  }
  metadata.xattrs = VPS_TRY_CTX(path, read_xattrs_fd(fd.get()));
  VPS_TRY(writer_.directory(path, std::move(metadata)));
  return children(fd.get(), path);
}

Result<> Copier::child(int dir_fd, const std::string& name, const std::string& path) {
  struct stat st{};
  if (::fstatat(dir_fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0)
    return fail_errno(errno, "stat {}", path);
  VPS_TRY(tick(0, true));
  if (S_ISDIR(st.st_mode)) return subdirectory(dir_fd, name, path, st);
  if (st.st_dev != device_) return note(fmt::format("{}: mounted from another file system, left out", path));
  if (S_ISSOCK(st.st_mode)) return note(fmt::format("{}: a socket, left out", path));
  if (st.st_nlink > 1) {
    auto [first, added] = links_.try_emplace(st.st_ino, path);
    if (!added) return writer_.hard_link(path, first->second);
  }
  if (S_ISREG(st.st_mode)) return regular(dir_fd, name, path, st);
  auto metadata = metadata_of(st);
  metadata.xattrs = VPS_TRY_CTX(path, read_xattrs_at(dir_fd, name));
  if (S_ISLNK(st.st_mode)) return writer_.symlink(path, VPS_TRY(read_link_at(dir_fd, name)), metadata);
  return writer_.node(path, metadata, st.st_rdev);
}

Result<> Copier::children(int dir_fd, const std::string& path) {
  for (const auto& name : VPS_TRY_CTX(path, list_dir_at(dir_fd))) {
    std::string below = VPS_TRY(normalize_entry_path(path + "/" + name));
    VPS_TRY(child(dir_fd, name, below));
  }
  return {};
}

Result<> Copier::run(int source_fd) {
  struct stat st{};
  if (::fstat(source_fd, &st) != 0) return fail_errno(errno, "stat the source");
  device_ = st.st_dev;
  auto metadata = metadata_of(st);
  metadata.xattrs = VPS_TRY_CTX("/", read_xattrs_fd(source_fd));
  VPS_TRY(writer_.directory("", std::move(metadata)));
  VPS_TRY(children(source_fd, ""));
  VPS_TRY(writer_.finish());
  if (writer_.unmapped_owners() != 0)
    VPS_TRY(note(fmt::format("{} entries have owners above 65535; inside a VPS they belong to nobody",
                             writer_.unmapped_owners())));
  return {};
}

}  // namespace

Result<> copy_tree(int source_fd, UniqueFd target, const Progress& progress, const std::vector<FileId>& skip) {
  return Copier(std::move(target), progress, skip).run(source_fd);
}

}  // namespace vps::storage
