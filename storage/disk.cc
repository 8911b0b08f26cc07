#include "storage/disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cerrno>
#include <set>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "base/files.h"
#include "base/undo.h"
#include "base/units.h"
#include "storage/acl_xattr.h"
#include "storage/copy_tree.h"

namespace vps::storage {
namespace {

constexpr char kUpper[] = "/upper";
constexpr char kWork[] = "/work";
constexpr char kRoot[] = "/root";  // of layout dir

DiskLayout effective(const Disk& disk) {
  return disk.layout == DiskLayout::kAuto ? DiskLayout::kOverlay : disk.layout;
}

std::string_view layout_name(DiskLayout layout) {
  switch (layout) {
    case DiskLayout::kOverlay: return "overlay";
    case DiskLayout::kImage: return "image";
    case DiskLayout::kBtrfs: return "btrfs";
    case DiskLayout::kDir: return "dir";
    case DiskLayout::kAuto: break;
  }
  return "auto";
}

Result<> make_directory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), 0700) != 0) return fail_errno(errno, "make directory {}", path);
  // A default ACL of the host's directory would be inherited by every file of the VPS.
  ::removexattr(path.c_str(), kAclDefault);
  if (::chmod(path.c_str(), mode) != 0) return fail_errno(errno, "set mode of {}", path);
  return {};
}

// The upper layer's own directory is what the VPS sees as "/": it starts as the template's.
Result<mode_t> root_mode(const std::string& template_rootfs) {
  constexpr mode_t kDefault = 0755;
  if (template_rootfs.empty()) return kDefault;
  struct stat st{};
  if (::stat(template_rootfs.c_str(), &st) != 0) return fail_errno(errno, "stat {}", template_rootfs);
  return st.st_mode & 07777;
}

// Walks a tree that its tenant may be changing and may have made as deep as he likes: one fd at a time, up again by "..",
// which must lead to where we came from.
class UsageWalk {
 public:
  Result<DiskUsage> run(const std::string& path);

 private:
  struct Level {
    dev_t device = 0;
    ino_t inode = 0;
    std::vector<std::string> todo;  // directories in it that are still to be entered
  };
  Result<Level> scan(int fd);

  DiskUsage usage_;
  std::set<std::pair<dev_t, ino_t>> counted_;  // files with several names
};

Result<UsageWalk::Level> UsageWalk::scan(int fd) {
  struct stat st{};
  if (::fstat(fd, &st) != 0) return fail_errno(errno, "stat");
  Level level{st.st_dev, st.st_ino, {}};
  for (auto& name : VPS_TRY(list_dir_at(fd))) {
    struct stat child{};
    if (::fstatat(fd, name.c_str(), &child, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) continue;  // gone meanwhile
    if (child.st_dev != st.st_dev) continue;
    if (S_ISDIR(child.st_mode)) {
      level.todo.push_back(std::move(name));
    } else if (child.st_nlink > 1 && !counted_.emplace(child.st_dev, child.st_ino).second) {
      continue;
    }
    ++usage_.entries;
    usage_.bytes += static_cast<std::uint64_t>(child.st_blocks) * 512;
  }
  return level;
}

Result<DiskUsage> UsageWalk::run(const std::string& path) {
  auto fd = VPS_TRY(open_dir(path));
  std::vector<Level> levels;
  levels.push_back(VPS_TRY(scan(fd.get())));
  while (true) {
    auto& level = levels.back();
    if (level.todo.empty()) {
      levels.pop_back();
      if (levels.empty()) return usage_;
      auto up = open_at(fd.get(), "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      struct stat st{};
      const bool same = up && ::fstat(up->get(), &st) == 0 && st.st_dev == levels.back().device && st.st_ino == levels.back().inode;
      if (!same) return fail(Code::kBusy, "directories are being moved while they are counted");
      fd = std::move(*up);
      continue;
    }
    std::string name = std::move(level.todo.back());
    level.todo.pop_back();
    auto down = open_at(fd.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!down) continue;  // gone meanwhile
    auto next = scan(down->get());
    if (!next) continue;
    fd = std::move(*down);
    levels.push_back(std::move(*next));
  }
}

// "8:1" of /sys/dev/block, and the whole disk of a partition: io limits name whole devices.
BlockDevice whole_device(const std::string& sys_root, dev_t device) {
  auto number = fmt::format("{}:{}", major(device), minor(device));
  const std::string entry = sys_root + "/dev/block/" + number;
  if (!path_exists(entry)) return {};
  std::string text = number;
  if (path_exists(entry + "/partition")) {
    auto parent = read_file(entry + "/../dev");
    if (!parent) return {};
    text = *parent;
  }
  auto colon = text.find(':');
  if (colon == std::string::npos) return {};
  auto major_number = parse_i64(text.substr(0, colon));
  auto minor_number = parse_i64(text.substr(colon + 1, text.find_first_not_of("0123456789", colon + 1) - colon - 1));
  if (!major_number || !minor_number) return {};
  return {.major = *major_number, .minor = *minor_number, .known = true};
}

// The source column of a mount in /proc/PID/mountinfo (proc(5)), "" when it is not there. Octal escapes are undone.
std::string mount_source(const std::string& mountinfo, std::uint64_t mount_id) {
  for (std::size_t pos = 0; pos < mountinfo.size();) {
    auto end = std::min(mountinfo.find('\n', pos), mountinfo.size());
    auto line = mountinfo.substr(pos, end - pos);
    pos = end + 1;
    if (!line.starts_with(fmt::format("{} ", mount_id))) continue;
    auto dash = line.find(" - ");
    if (dash == std::string::npos) return {};
    auto type_end = line.find(' ', dash + 3);
    if (type_end == std::string::npos) return {};
    auto source = line.substr(type_end + 1, line.find(' ', type_end + 1) - type_end - 1);
    std::string out;
    for (std::size_t i = 0; i < source.size(); ++i) {
      if (source[i] == '\\' && i + 3 < source.size()) {
        out += static_cast<char>((source[i + 1] - '0') * 64 + (source[i + 2] - '0') * 8 + (source[i + 3] - '0'));
        i += 3;
      } else {
        out += source[i];
      }
    }
    return out;
  }
  return {};
}

Result<> fill_dir(const std::string& disk_dir, const std::string& template_rootfs, const Progress& progress) {
  if (template_rootfs.empty()) return fail(Code::kUsage, "disk layout dir needs a template to copy");
  VPS_TRY(make_directory(disk_dir + kRoot, 0755));
  auto source = VPS_TRY(open_dir(template_rootfs));
  auto target = VPS_TRY(open_dir(disk_dir + kRoot));
  return copy_tree(source.get(), std::move(target), progress);
}

}  // namespace

Result<> create_disk(const std::string& disk_dir, const Disk& disk, const std::string& template_rootfs,
                     const Progress& progress) {
  const auto layout = effective(disk);
  if (layout != DiskLayout::kOverlay && layout != DiskLayout::kDir)
    return fail(Code::kUnavailable, "disk layout {} is not available yet in this version", layout_name(layout));
  if (path_exists(disk_dir) && !VPS_TRY(list_dir(disk_dir)).empty()) return fail(Code::kExists, "{} exists already", disk_dir);
  UndoStack undo;
  undo.push("remove " + disk_dir, [disk_dir] { (void)remove_tree(disk_dir); });
  auto context = fmt::format("make the disk {}", disk_dir);
  if (!path_exists(disk_dir)) VPS_TRY_CTX(context, make_directory(disk_dir, 0700));
  VPS_TRY(failpoint::hit("disk-create"));
  if (layout == DiskLayout::kDir) {
    VPS_TRY_CTX(context, fill_dir(disk_dir, template_rootfs, progress));
  } else {
    auto mode = VPS_TRY(root_mode(template_rootfs));
    VPS_TRY_CTX(context, make_directory(disk_dir + kUpper, mode));
    VPS_TRY_CTX(context, make_directory(disk_dir + kWork, 0700));
  }
  VPS_TRY(fsync_dir(disk_dir));
  undo.commit();
  return {};
}

Result<> remove_disk(const std::string& disk_dir) { return remove_tree(disk_dir); }

RootfsPlan rootfs_plan(const std::string& disk_dir, const std::string& template_rootfs, const Disk& disk) {
  RootfsPlan plan;
  plan.idmapped = true;
  if (effective(disk) == DiskLayout::kDir) {
    plan.lower = {disk_dir + kRoot};
    return plan;
  }
  plan.lower = {template_rootfs};
  plan.upper = disk_dir + kUpper;
  plan.work = disk_dir + kWork;
  return plan;
}

Result<DiskUsage> disk_usage(const std::string& disk_dir) {
  for (const char* layer : {kUpper, kRoot})
    if (path_exists(disk_dir + layer)) return UsageWalk().run(disk_dir + layer);
  return fail(Code::kNotFound, "{} holds no disk", disk_dir);
}

Result<BlockDevice> backing_device(const std::string& path, const std::string& sys_root) {
  struct statx st{};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_BASIC_STATS | STATX_MNT_ID, &st) != 0) return fail_errno(errno, "stat {}", path);
  auto found = whole_device(sys_root, makedev(st.stx_dev_major, st.stx_dev_minor));
  if (found.known || (st.stx_mask & STATX_MNT_ID) == 0) return found;
  // btrfs and others have device numbers of their own making: the mount names the real one.
  auto mountinfo = VPS_TRY(read_file("/proc/self/mountinfo"));
  auto source = mount_source(mountinfo, st.stx_mnt_id);
  struct stat device{};
  if (!source.starts_with('/') || ::stat(source.c_str(), &device) != 0 || !S_ISBLK(device.st_mode)) return BlockDevice{};
  return whole_device(sys_root, device.st_rdev);
}

std::string explain_disk(const Disk& disk) {
  if (!disk.size && !disk.inodes) return {};
  std::string what = disk.size ? "size " + format_size(*disk.size) : std::string{};
  if (disk.inodes) what += fmt::format("{}inodes {}", what.empty() ? "" : ", ", *disk.inodes);
  return fmt::format("disk {} is not enforced: layout {} has no quota in this version; usage is accounted", what,
                     layout_name(effective(disk)));
}

}  // namespace vps::storage
