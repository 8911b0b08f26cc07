#include "storage/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/units.h"
#include "storage/acl_xattr.h"
#include "storage/tree_writer.h"

namespace vps::storage {
namespace {

constexpr std::size_t kReadBlock = 256u << 10;
constexpr std::uint64_t kReportBytes = 8u << 20;  // a progress call at least this often
constexpr std::uint64_t kReportEntries = 256;

struct ArchiveCloser {
  void operator()(archive* a) const { ::archive_read_free(a); }
};
using ArchivePtr = std::unique_ptr<archive, ArchiveCloser>;

// libarchive converts names between the archive's and the thread's character set. Under a UTF-8 locale that changes no
// bytes; under "C" it would lose them. uselocale(3) is per thread.
class Utf8Locale {
 public:
  Utf8Locale() : locale_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", static_cast<locale_t>(nullptr))) {
    if (locale_ != nullptr) before_ = ::uselocale(locale_);
  }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;
  ~Utf8Locale() {
    if (locale_ == nullptr) return;
    ::uselocale(before_);
    ::freelocale(locale_);
  }

 private:
  locale_t locale_;
  locale_t before_ = nullptr;
};

std::unexpected<Error> archive_failure(archive* a, const std::string& what) {
  const char* text = ::archive_error_string(a);
  int err = ::archive_errno(a);
  // A real errno is the machine's trouble; libarchive's own codes say that the archive is bad.
  if (err == EIO || err == ENOMEM) return fail_errno(err, "{}", what);
  return fail(Code::kUsage, "{}: {}", what, text != nullptr ? text : "damaged archive");
}

struct LateAcl {  // names users whose ids only the unpacked passwd can tell
  std::string path, xattr;
  std::vector<AclEntry> entries;
};

class Unpacker {
 public:
  Unpacker(archive* a, UniqueFd root, const Progress& progress, const UnpackLimits& limits, std::uint64_t archive_size)
      : archive_(a), writer_(std::move(root)), progress_(progress), limits_(limits), archive_size_(archive_size) {}

  Result<> run();

 private:
  Result<> entry(archive_entry* e);
  Result<> typed_entry(archive_entry* e, const std::string& path, const Metadata& metadata);
  Result<> hard_link(archive_entry* e, const std::string& path, const std::string& target, const Metadata& metadata);
  Result<> content(archive_entry* e, int fd, const std::string& path);
  Result<Metadata> metadata(archive_entry* e, const std::string& path);
  Result<> acls(archive_entry* e, const std::string& path, Metadata& metadata);
  Result<> resolve_late_acls();
  Result<> end_mark();
  Result<> tick(std::uint64_t bytes, bool is_entry);
  Result<> note(const std::string& text) { return report(progress_, "note: " + text, percent()); }
  [[nodiscard]] int percent() const;

  archive* archive_;
  TreeWriter writer_;
  const Progress& progress_;
  UnpackLimits limits_;
  std::uint64_t archive_size_, bytes_ = 0, entries_ = 0, bytes_at_report_ = 0, entries_at_report_ = 0;
  std::vector<LateAcl> late_acls_;
};

int Unpacker::percent() const {
  if (archive_size_ == 0) return -1;
  auto done = static_cast<std::uint64_t>(std::max<la_int64_t>(::archive_filter_bytes(archive_, -1), 0));
  return static_cast<int>(std::min<std::uint64_t>(100, done * 100 / archive_size_));
}

Result<> Unpacker::tick(std::uint64_t bytes, bool is_entry) {
  bytes_ += bytes;
  if (is_entry) ++entries_;
  if (limits_.bytes != 0 && bytes_ > limits_.bytes) return fail(Code::kUsage, "more than {} bytes of content", limits_.bytes);
  if (limits_.entries != 0 && entries_ > limits_.entries) return fail(Code::kUsage, "more than {} entries", limits_.entries);
  if (bytes_ - bytes_at_report_ < kReportBytes && entries_ - entries_at_report_ < kReportEntries) return {};
  bytes_at_report_ = bytes_;
  entries_at_report_ = entries_;
  return report(progress_, fmt::format("unpacking: {} entries, {}", entries_, human_size(Bytes{bytes_})), percent());
}

// system.posix_acl_* values from libarchive's form. Names without a number wait until the tree's passwd is there.
Result<> Unpacker::acls(archive_entry* e, const std::string& path, Metadata& metadata) {
  struct Kind {
    int type;
    const char* xattr;
  };
  for (auto [type, xattr] : {Kind{ARCHIVE_ENTRY_ACL_TYPE_ACCESS, kAclAccess}, Kind{ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, kAclDefault}}) {
    if (::archive_entry_acl_reset(e, type) == 0) continue;
    std::vector<AclEntry> entries;
    bool late = false;
    int entry_type = 0, permset = 0, tag = 0, qualifier = -1;
    const char* name = nullptr;
    while (::archive_entry_acl_next(e, type, &entry_type, &permset, &tag, &qualifier, &name) == ARCHIVE_OK) {
      AclEntry out{.tag = AclTag::kOther, .permissions = static_cast<std::uint16_t>(permset & 7), .id = 0, .name = {}};
      switch (tag) {
        case ARCHIVE_ENTRY_ACL_USER_OBJ: out.tag = AclTag::kUserObj; break;
        case ARCHIVE_ENTRY_ACL_USER: out.tag = AclTag::kUser; break;
        case ARCHIVE_ENTRY_ACL_GROUP_OBJ: out.tag = AclTag::kGroupObj; break;
        case ARCHIVE_ENTRY_ACL_GROUP: out.tag = AclTag::kGroup; break;
        case ARCHIVE_ENTRY_ACL_MASK: out.tag = AclTag::kMask; break;
        case ARCHIVE_ENTRY_ACL_OTHER: out.tag = AclTag::kOther; break;
        default: return fail(Code::kUsage, "{}: its ACL is not a POSIX one", path);
      }
      if (out.tag == AclTag::kUser || out.tag == AclTag::kGroup) {
        std::string text = name != nullptr ? name : "";
        auto number = parse_u64(text);
        if (qualifier >= 0) {
          out.id = static_cast<std::uint32_t>(qualifier);
        } else if (number && *number < 0xffffffff) {
          out.id = static_cast<std::uint32_t>(*number);
        } else if (!text.empty()) {
          out.name = text;
          late = true;
        } else {
          return fail(Code::kUsage, "{}: its ACL names nobody", path);
        }
      }
      entries.push_back(std::move(out));
    }
    if (late)
      late_acls_.push_back({path, xattr, std::move(entries)});
    else
      metadata.xattrs.push_back({xattr, encode_acl(std::move(entries))});
  }
  return {};
}

Result<Metadata> Unpacker::metadata(archive_entry* e, const std::string& path) {
  Metadata out;
  out.mode = ::archive_entry_mode(e);
  auto uid = ::archive_entry_uid(e), gid = ::archive_entry_gid(e);
  if (uid < 0 || uid > 0xfffffffe || gid < 0 || gid > 0xfffffffe)
    return fail(Code::kUsage, "{}: owner {}:{} is no user or group id", path, uid, gid);
  out.uid = static_cast<uid_t>(uid);
  out.gid = static_cast<gid_t>(gid);
  ::clock_gettime(CLOCK_REALTIME, &out.mtime);
  if (::archive_entry_mtime_is_set(e) != 0)
    out.mtime = {.tv_sec = ::archive_entry_mtime(e), .tv_nsec = ::archive_entry_mtime_nsec(e)};
  out.atime = out.mtime;
  if (::archive_entry_atime_is_set(e) != 0)
    out.atime = {.tv_sec = ::archive_entry_atime(e), .tv_nsec = ::archive_entry_atime_nsec(e)};
  for (auto* time : {&out.mtime, &out.atime}) time->tv_nsec = std::clamp(time->tv_nsec, 0L, 999'999'999L);

  ::archive_entry_xattr_reset(e);
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  while (::archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK) {
    if (name == nullptr || !VPS_TRY_CTX(path, xattr_allowed(name))) continue;
    out.xattrs.push_back({name, std::string(static_cast<const char*>(value), size)});
  }
  VPS_TRY(acls(e, path, out));
  return out;
}

// Blocks come with their offsets: what is not written stays a hole.
Result<> Unpacker::content(archive_entry* e, int fd, const std::string& path) {
  la_int64_t end = 0;
  while (true) {
    const void* data = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    int rc = ::archive_read_data_block(archive_, &data, &size, &offset);
    if (rc == ARCHIVE_EOF) break;
    if (rc != ARCHIVE_OK) return archive_failure(archive_, path);
    if (offset < 0) return fail(Code::kUsage, "{}: content at a negative offset", path);
    const char* from = static_cast<const char*>(data);
    for (std::size_t done = 0; done < size;) {
      ssize_t n = ::pwrite(fd, from + done, size - done, offset + static_cast<la_int64_t>(done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno(errno, "write {}", path);
      done += static_cast<std::size_t>(n);
    }
    end = std::max(end, offset + static_cast<la_int64_t>(size));
    VPS_TRY(tick(size, false));
  }
  if (::archive_entry_size_is_set(e) != 0) end = std::max(end, ::archive_entry_size(e));
  if (::ftruncate(fd, end) != 0) return fail_errno(errno, "{}: set size {}", path, end);
  return {};
}

Result<> Unpacker::hard_link(archive_entry* e, const std::string& path, const std::string& target, const Metadata& metadata) {
  std::string to = VPS_TRY_CTX(fmt::format("{}: hard link", path), normalize_entry_path(target));
  VPS_TRY(writer_.hard_link(path, to));
  // cpio and old pax writers put the content with the last link.
  if (::archive_entry_size_is_set(e) == 0 || ::archive_entry_size(e) <= 0) return {};
  auto fd = VPS_TRY(writer_.reopen_file(path));
  VPS_TRY(content(e, fd.get(), path));
  return writer_.finish_file(fd.get(), path, metadata);
}

Result<> Unpacker::typed_entry(archive_entry* e, const std::string& path, const Metadata& metadata) {
  switch (::archive_entry_filetype(e)) {
    case AE_IFDIR: return writer_.directory(path, metadata);
    case AE_IFREG: {
      auto fd = VPS_TRY(writer_.create_file(path));
      VPS_TRY(content(e, fd.get(), path));
      return writer_.finish_file(fd.get(), path, metadata);
    }
    case AE_IFLNK: {
      const char* target = ::archive_entry_symlink(e);
      return writer_.symlink(path, target != nullptr ? target : "", metadata);
    }
    case AE_IFCHR:
    case AE_IFBLK:
    case AE_IFIFO:
      return writer_.node(path, metadata,
                          ::makedev(static_cast<unsigned>(::archive_entry_rdevmajor(e)),
                                    static_cast<unsigned>(::archive_entry_rdevminor(e))));
    case AE_IFSOCK: return note(fmt::format("{}: a socket, left out", path));
    default: return fail(Code::kUsage, "{}: unknown type of entry", path);
  }
}

Result<> Unpacker::entry(archive_entry* e) {
  const char* name = ::archive_entry_pathname(e);
  if (name == nullptr) name = ::archive_entry_pathname_utf8(e);
  if (name == nullptr || *name == '\0') return fail(Code::kUsage, "entry {} has no name", entries_ + 1);
  std::string path = VPS_TRY(normalize_entry_path(name));
  auto meta = VPS_TRY(metadata(e, path));
  if (const char* target = ::archive_entry_hardlink(e); target != nullptr)
    VPS_TRY(hard_link(e, path, target, meta));
  else
    VPS_TRY(typed_entry(e, path, meta));
  return tick(0, true);
}

Result<> Unpacker::resolve_late_acls() {
  if (late_acls_.empty()) return {};
  auto text = [&](const char* file) -> std::string {
    auto fd = open_in_root(writer_.root(), file, O_RDONLY | O_NONBLOCK);
    auto data = fd ? read_fd(fd->get()) : Result<std::string>{};
    return data ? *data : std::string{};
  };
  const std::string passwd = text("/etc/passwd"), group = text("/etc/group");
  for (auto& acl : late_acls_) {
    for (auto& one : acl.entries) {
      if (one.name.empty()) continue;
      const bool user = one.tag == AclTag::kUser;
      auto id = lookup_id(user ? passwd : group, one.name);
      if (id < 0)
        return fail(Code::kUsage, "{}: its ACL names the {} {}, which the archive's {} does not have", acl.path,
                    user ? "user" : "group", one.name, user ? "/etc/passwd" : "/etc/group");
      one.id = static_cast<std::uint32_t>(id);
    }
    VPS_TRY(writer_.add_xattrs(acl.path, {Xattr{acl.xattr, encode_acl(std::move(acl.entries))}}));
  }
  return {};
}

// A tar ends with zero blocks. One that just stops at the border of an entry reads like a shorter archive; the position
// tells: nothing was consumed after the place where the next header would begin.
Result<> Unpacker::end_mark() {
  const bool tar = (::archive_format(archive_) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
  if (tar && ::archive_filter_bytes(archive_, 0) <= ::archive_read_header_position(archive_))
    return fail(Code::kUsage, "the archive stops without its end mark: it is truncated");
  if (entries_ == 0) return fail(Code::kUsage, "the archive has no entries");
  return {};
}

Result<> Unpacker::run() {
  while (true) {
    archive_entry* e = nullptr;
    int rc = ::archive_read_next_header(archive_, &e);
    if (rc == ARCHIVE_EOF) break;
    // A warning means that something of this entry was lost (a name that could not be read, a malformed attribute).
    if (rc != ARCHIVE_OK) {
      const char* name = e != nullptr && rc == ARCHIVE_WARN ? ::archive_entry_pathname(e) : nullptr;
      return archive_failure(archive_, name != nullptr ? std::string(name) : fmt::format("entry {}", entries_ + 1));
    }
    VPS_TRY(entry(e));
  }
  VPS_TRY(end_mark());
  VPS_TRY(resolve_late_acls());
  VPS_TRY(writer_.finish());
  if (writer_.unmapped_owners() != 0)
    VPS_TRY(note(fmt::format("{} entries have owners above 65535; inside a VPS they belong to nobody",
                             writer_.unmapped_owners())));
  return {};
}

Result<ArchivePtr> make_reader() {
  ArchivePtr a(::archive_read_new());
  if (!a) return fail_errno(ENOMEM, "start libarchive");
  // By name, not "all": some formats read other files of the host (mtree), some filters start programs (lrzip, grzip).
  int worst = ARCHIVE_OK;
  for (auto support : {::archive_read_support_filter_gzip, ::archive_read_support_filter_bzip2, ::archive_read_support_filter_xz,
                       ::archive_read_support_filter_lzma, ::archive_read_support_filter_lzip,
                       ::archive_read_support_filter_zstd, ::archive_read_support_filter_lz4,
                       ::archive_read_support_filter_compress, ::archive_read_support_format_tar,
                       ::archive_read_support_format_cpio})
    worst = std::min(worst, support(a.get()));
  // ARCHIVE_WARN: libarchive would start an external program for a filter that it was built without.
  if (worst < ARCHIVE_WARN) return archive_failure(a.get(), "start libarchive");
  return a;
}

}  // namespace

Result<> unpack_archive(int archive_fd, UniqueFd root, const Progress& progress, const UnpackLimits& limits) {
  struct stat st{};
  if (::fstat(archive_fd, &st) != 0) return fail_errno(errno, "stat archive");
  Utf8Locale locale;
  auto a = VPS_TRY(make_reader());
  if (::archive_read_open_fd(a.get(), archive_fd, kReadBlock) != ARCHIVE_OK)
    return archive_failure(a.get(), "not an archive that can be read");
  Unpacker unpacker(a.get(), std::move(root), progress, limits, static_cast<std::uint64_t>(st.st_size));
  return unpacker.run();
}

}  // namespace vps::storage
