#include "storage/templates.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "base/failpoint.h"
#include "base/files.h"
#include "base/undo.h"
#include "specs/vps/id.h"
#include "storage/acl_xattr.h"
#include "storage/copy_tree.h"
#include "storage/name_lock.h"
#include "storage/recipes.h"
#include "storage/template_record.h"
#include "storage/text.h"
#include "storage/tree_digest.h"
#include "storage/unpack.h"

namespace vps::storage {
namespace {

constexpr std::string_view kTempPrefix = ".tmp-";
constexpr int kRemoveTries = 5;

struct Recipe {
  const char* name;
  Result<std::string> (*build)(const RecipeInput&);
};
constexpr std::array<Recipe, 2> kRecipes = {{{"debian-12", build_debian_12}, {"busybox", build_busybox}}};

Result<> check_name(const std::string& name) { return validate_name(name); }

// Processes of a build that was killed may die a moment after it and still make files in directories that are being
// removed: ENOTEMPTY is worth another try.
Result<> remove_patiently(const std::string& path) {
  Result<> result;
  for (int i = 0; i < kRemoveTries; ++i) {
    result = remove_tree(path);
    if (result || result.error().err() != ENOTEMPTY) break;
    const timespec pause{.tv_sec = 0, .tv_nsec = 50'000'000L << i};
    ::nanosleep(&pause, nullptr);
  }
  return result;
}

// A template in the making: <store>/.tmp-<name>-<hex>/{rootfs,...}. Unless publish() succeeds, destruction removes it.
class Draft {
 public:
  static Result<Draft> make(const std::string& store, const std::string& name) {
    VPS_TRY(make_dirs(store, 0711));
    auto lock = VPS_TRY(lock_name(store, name));
    if (path_exists(store + "/" + name)) return fail(Code::kExists, "template {} exists already", name);
    Draft draft;
    draft.lock_ = std::move(lock);
    draft.store_ = store;
    draft.name_ = name;
    draft.work_ = fmt::format("{}/{}{}-{}", store, kTempPrefix, name, random_hex(6));
    draft.undo_.push("remove " + draft.work_, [work = draft.work_] { (void)remove_patiently(work); });
    // The tree holds other people's setuid programs: no local user of the host gets near them.
    for (const auto& path : {draft.work_, draft.rootfs(), draft.scratch()}) {
      if (::mkdir(path.c_str(), 0700) != 0) return fail_errno(errno, "make directory {}", path);
      // A default ACL of the store would be inherited by everything below.
      ::removexattr(path.c_str(), kAclDefault);
    }
    return draft;
  }

  [[nodiscard]] std::string scratch() const { return work_ + "/scratch"; }
  [[nodiscard]] const std::string& work() const { return work_; }
  [[nodiscard]] std::string rootfs() const { return work_ + "/" + kRootfsDirectory; }

  Result<Template> publish(std::string source, const Progress& progress) {
    Template record;
    record.name = name_;
    record.source = std::move(source);
    record.created = rfc3339_now();
    VPS_TRY(remove_patiently(scratch()));
    auto root = VPS_TRY(open_dir(rootfs()));
    if (::chmod(work_.c_str(), 0700) != 0) return fail_errno(errno, "set mode of {}", work_);
    VPS_TRY(describe_tree(root.get(), record));
    auto digest = VPS_TRY(digest_tree(root.get(), progress));
    record.digest = std::move(digest.digest);
    record.size = digest.size;
    record.entries = digest.entries;
    VPS_TRY(write_file_atomic(work_ + "/" + kRecordFile, format_template(record), 0644));
    VPS_TRY(report(progress, "writing to disk"));
    VPS_TRY(failpoint::hit("template-sync"));
    // Once for the whole tree: an fsync per file would take minutes.
    if (::syncfs(root.get()) != 0) return fail_errno(errno, "write the template to disk");
    VPS_TRY(failpoint::hit("template-rename"));
    const std::string final_path = store_ + "/" + name_;
    if (::renameat2(AT_FDCWD, work_.c_str(), AT_FDCWD, final_path.c_str(), RENAME_NOREPLACE) != 0) {
      if (errno == EEXIST) return fail(Code::kExists, "template {} exists already", name_);
      return fail_errno(errno, "rename to {}", final_path);
    }
    undo_.commit();
    VPS_TRY(fsync_dir(store_));
    return record;
  }

 private:
  NameLock lock_;  // released after undo_ has run
  std::string store_, name_, work_;
  UndoStack undo_;
};

// ENOSPC and EDQUOT have their class already; here they get words.
Error say_no_room(Error error, const std::string& store) {
  if (error.err() != ENOSPC && error.err() != EDQUOT) return error;
  return std::move(error).wrap(fmt::format("no room in {}", store)).with_code(Code::kUnavailable);
}

std::string base_name(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

Result<std::string> fill_from(const std::string& path, const std::string& store, const std::string& rootfs,
                              const Progress& progress) {
  // O_NONBLOCK: a FIFO must not hold up the daemon.
  auto source = VPS_TRY(open_path(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat st{};
  if (::fstat(source.get(), &st) != 0) return fail_errno(errno, "stat {}", path);
  auto root = VPS_TRY(open_dir(rootfs));
  if (S_ISREG(st.st_mode)) {
    VPS_TRY_CTX(path, unpack_archive(source.get(), std::move(root), progress));
    return "archive " + base_name(path);
  }
  if (!S_ISDIR(st.st_mode)) return fail(Code::kUsage, "{} is neither an archive nor a directory", path);
  struct stat own{};
  if (::stat(store.c_str(), &own) != 0) return fail_errno(errno, "stat {}", store);
  if (own.st_dev == st.st_dev && own.st_ino == st.st_ino) return fail(Code::kUsage, "{} holds the templates", path);
  VPS_TRY_CTX(path, copy_tree(source.get(), std::move(root), progress, {{own.st_dev, own.st_ino}}));
  return "directory " + path;
}

}  // namespace

TemplateStore::TemplateStore(std::string directory, StoreOptions options)
    : directory_(std::move(directory)), options_(std::move(options)) {}

std::string TemplateStore::rootfs_path(const std::string& name) const {
  return directory_ + "/" + name + "/" + kRootfsDirectory;
}

Result<Template> TemplateStore::get(const std::string& name) const {
  VPS_TRY(check_name(name));
  const std::string path = directory_ + "/" + name;
  if (!path_exists(path)) return fail(Code::kNotFound, "template {} does not exist", name);
  auto context = fmt::format("template {}", name);
  auto text = VPS_TRY_CTX(context, read_file(path + "/" + kRecordFile));
  auto record = VPS_TRY_CTX(context, parse_template(text, name));
  if (!path_exists(rootfs_path(name))) return fail(Code::kFailed, "template {}: its rootfs is missing", name);
  return record;
}

Result<std::vector<Template>> TemplateStore::list() const {
  std::vector<Template> out;
  if (!path_exists(directory_)) return out;
  for (const auto& name : VPS_TRY(list_dir(directory_)))
    if (auto record = get(name); record) out.push_back(std::move(*record));
  return out;
}

Result<std::vector<std::string>> TemplateStore::broken() const {
  std::vector<std::string> out;
  if (!path_exists(directory_)) return out;
  for (const auto& name : VPS_TRY(list_dir(directory_))) {
    if (name.starts_with('.')) continue;
    if (auto record = get(name); !record) out.push_back(fmt::format("{}: {}", name, record.error().to_string()));
  }
  return out;
}

Result<Template> TemplateStore::import(const std::string& name, const std::string& archive_or_directory,
                                       const Progress& progress) {
  VPS_TRY(check_name(name));
  auto work = [&]() -> Result<Template> {
    auto draft = VPS_TRY(Draft::make(directory_, name));
    auto source = VPS_TRY(fill_from(archive_or_directory, directory_, draft.rootfs(), progress));
    return draft.publish(std::move(source), progress);
  };
  auto result = work();
  if (!result)
    return std::unexpected(say_no_room(std::move(result).error(), directory_).wrap(fmt::format("import template {}", name)));
  return result;
}

std::vector<std::string> TemplateStore::recipes() {
  std::vector<std::string> names;
  for (const auto& recipe : kRecipes) names.emplace_back(recipe.name);
  return names;
}

Result<Template> TemplateStore::build(const std::string& recipe, const std::string& name, const Progress& progress) {
  VPS_TRY(check_name(name));
  const Recipe* found = nullptr;
  for (const auto& one : kRecipes)
    if (recipe == one.name) found = &one;
  if (found == nullptr)
    return fail(Code::kNotFound, "no recipe is called {} (there are: {})", recipe, join(recipes(), ", "));
  auto work = [&]() -> Result<Template> {
    auto draft = VPS_TRY(Draft::make(directory_, name));
    auto source = VPS_TRY(found->build({draft.work(), draft.scratch(), draft.rootfs(), options_, progress}));
    return draft.publish(std::move(source), progress);
  };
  auto result = work();
  if (!result)
    return std::unexpected(say_no_room(std::move(result).error(), directory_).wrap(fmt::format("build template {}", name)));
  return result;
}

Result<> TemplateStore::remove(const std::string& name, const std::vector<std::string>& used_by) {
  VPS_TRY(check_name(name));
  const std::string path = directory_ + "/" + name;
  if (!path_exists(path)) return fail(Code::kNotFound, "template {} does not exist", name);
  if (!used_by.empty()) return fail(Code::kBusy, "template {} is used by {}", name, join(used_by, ", "));
  auto lock = VPS_TRY(lock_name(directory_, name));
  // Under a temporary name it is gone for everybody at once, and recover() ends what a crash leaves.
  const std::string doomed = fmt::format("{}/{}{}-{}", directory_, kTempPrefix, name, random_hex(6));
  if (::rename(path.c_str(), doomed.c_str()) != 0) {
    if (errno == ENOENT) return fail(Code::kNotFound, "template {} does not exist", name);
    return fail_errno(errno, "remove template {}", name);
  }
  VPS_TRY(fsync_dir(directory_));
  VPS_TRY(failpoint::hit("template-remove"));
  return VPS_TRY_CTX(fmt::format("remove template {}", name), remove_patiently(doomed)), Result<>{};
}

Result<std::vector<std::string>> TemplateStore::recover() {
  std::vector<std::string> removed;
  if (!path_exists(directory_)) return removed;
  for (const auto& entry : VPS_TRY(list_dir(directory_))) {
    if (!entry.starts_with(kTempPrefix)) continue;
    auto dash = entry.rfind('-');
    std::string name = dash > kTempPrefix.size() ? entry.substr(kTempPrefix.size(), dash - kTempPrefix.size()) : entry;
    auto lock = lock_name(directory_, name);
    if (!lock && lock.error().code() == Code::kBusy) continue;  // somebody is at work on it right now
    if (!lock) return std::unexpected(std::move(lock).error());
    VPS_TRY_CTX(fmt::format("remove half-made template {}", name), remove_patiently(directory_ + "/" + entry));
    removed.push_back(std::move(name));
  }
  return removed;
}

}  // namespace vps::storage
