#include "storage/tree_digest.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <vector>

#include "base/files.h"
#include "base/sha256.h"
#include "base/units.h"
#include "storage/xattrs.h"

namespace vps::storage {
namespace {

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kChunk = 64 * kBlock;
constexpr std::uint64_t kReportBytes = 32u << 20;
constexpr std::uint64_t kReportEntries = 1024;

class Digester {
 public:
  explicit Digester(const Progress& progress) : progress_(progress), buffer_(kChunk, '\0') {}

  Result<TreeDigest> run(int root_fd);

 private:
  Result<> directory(int fd, const std::string& path);
  Result<> entry(int dir_fd, const std::string& name, const std::string& path);
  Result<> content(int fd, const std::string& path, const struct stat& st);
  void chunk(off_t offset, std::size_t size);
  Result<> tick(std::uint64_t bytes);
  void attributes(const std::string& path, const struct stat& st, const std::vector<Xattr>& xattrs);

  // Every field is preceded by its length, so that no two different trees give the same bytes.
  void number(std::uint64_t value) {
    std::uint8_t bytes[8];
    for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(value >> (8 * i));
    hash_.update(bytes, sizeof bytes);
  }
  void text(std::string_view value) {
    number(value.size());
    hash_.update(value);
  }

  const Progress& progress_;
  std::string buffer_;
  Sha256 hash_;
  TreeDigest result_;
  std::map<ino_t, std::string> links_;
  std::uint64_t read_ = 0, read_at_report_ = 0, entries_at_report_ = 0;
};

Result<> Digester::tick(std::uint64_t bytes) {
  read_ += bytes;
  if (read_ - read_at_report_ < kReportBytes && result_.entries - entries_at_report_ < kReportEntries) return {};
  read_at_report_ = read_;
  entries_at_report_ = result_.entries;
  return report(progress_, fmt::format("computing the digest: {}", human_size(Bytes{read_})));
}

void Digester::attributes(const std::string& path, const struct stat& st, const std::vector<Xattr>& xattrs) {
  text(path);
  number(st.st_mode);
  number(st.st_uid);
  number(st.st_gid);
  number(xattrs.size());
  for (const auto& xattr : xattrs) {
    text(xattr.name);
    text(xattr.value);
  }
}

void Digester::chunk(off_t offset, std::size_t size) {
  static constexpr char kZero[kBlock] = {};
  for (std::size_t at = 0; at < size; at += kBlock) {
    auto length = std::min(kBlock, size - at);
    if (std::memcmp(buffer_.data() + at, kZero, length) == 0) continue;
    number(static_cast<std::uint64_t>(offset) + at);
    text(std::string_view(buffer_).substr(at, length));
  }
}

Result<> Digester::content(int fd, const std::string& path, const struct stat& st) {
  number(static_cast<std::uint64_t>(st.st_size));
  for (off_t pos = 0; pos < st.st_size;) {
    off_t data = ::lseek(fd, pos, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0) return fail_errno(errno, "look for data in {}", path);
    // Blocks are counted from the file's beginning, whatever the file system's own block size is.
    pos = data - data % static_cast<off_t>(kBlock);
    off_t hole = ::lseek(fd, data, SEEK_HOLE);
    if (hole < 0) return fail_errno(errno, "look for holes in {}", path);
    while (pos < hole) {
      std::size_t got = 0;
      while (got < kChunk) {
        ssize_t n = ::pread(fd, buffer_.data() + got, kChunk - got, pos + static_cast<off_t>(got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(errno, "read {}", path);
        if (n == 0) break;
        got += static_cast<std::size_t>(n);
      }
      if (got == 0) break;
      chunk(pos, got);
      pos += static_cast<off_t>(got);
      VPS_TRY(tick(got));
    }
    pos = std::max(pos, hole);
  }
  number(~std::uint64_t{0});  // no offset: the content ends
  return {};
}

Result<> Digester::entry(int dir_fd, const std::string& name, const std::string& path) {
  struct stat st{};
  if (::fstatat(dir_fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno(errno, "stat {}", path);
  ++result_.entries;
  VPS_TRY(tick(0));
  if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
    auto [first, added] = links_.try_emplace(st.st_ino, path);
    if (!added) {
      text(path);
      text("link");
      text(first->second);
      return {};
    }
  }
  if (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)) {
    const int kind = S_ISDIR(st.st_mode) ? O_DIRECTORY : 0;
    auto fd = VPS_TRY(open_at(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | kind));
    attributes(path, st, VPS_TRY_CTX(path, read_xattrs_fd(fd.get())));
    if (S_ISDIR(st.st_mode)) return directory(fd.get(), path);
    result_.size += static_cast<std::uint64_t>(st.st_size);
    return content(fd.get(), path, st);
  }
  attributes(path, st, VPS_TRY_CTX(path, read_xattrs_at(dir_fd, name)));
  if (S_ISLNK(st.st_mode)) text(VPS_TRY(read_link_at(dir_fd, name)));
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
    number(major(st.st_rdev));
    number(minor(st.st_rdev));
  }
  return {};
}

Result<> Digester::directory(int fd, const std::string& path) {
  for (const auto& name : VPS_TRY_CTX(path, list_dir_at(fd)))
    VPS_TRY(entry(fd, name, path.empty() ? name : path + "/" + name));
  return {};
}

Result<TreeDigest> Digester::run(int root_fd) {
  struct stat st{};
  if (::fstat(root_fd, &st) != 0) return fail_errno(errno, "stat the root");
  attributes("", st, VPS_TRY(read_xattrs_fd(root_fd)));
  VPS_TRY(directory(root_fd, ""));
  result_.digest = "sha256:" + digest_hex(hash_.finish());
  return std::move(result_);
}

}  // namespace

Result<TreeDigest> digest_tree(int root_fd, const Progress& progress) {
  return VPS_TRY_CTX("compute the digest", Digester(progress).run(root_fd));
}

}  // namespace vps::storage
