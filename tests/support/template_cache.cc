#include "tests/support/template_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <string_view>

#include "base/files.h"
#include "storage/templates.h"
#include "tests/support/command.h"

namespace vps::test {
namespace {

struct CloseDir {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

Result<> link_level(int from, int to, const std::string& path) {
  struct stat own{};
  if (::fstat(from, &own) != 0) return fail_errno(errno, "stat {}", path);
  std::unique_ptr<DIR, CloseDir> entries(::fdopendir(::fcntl(from, F_DUPFD_CLOEXEC, 0)));
  if (!entries) return fail_errno(errno, "list {}", path);
  while (const dirent* entry = ::readdir(entries.get())) {
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat info{};
    if (::fstatat(from, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno(errno, "stat {}/{}", path, name);
    if (!S_ISDIR(info.st_mode)) {
      if (::linkat(from, name.c_str(), to, name.c_str(), 0) != 0) return fail_errno(errno, "link {}/{}", path, name);
      continue;
    }
    if (::mkdirat(to, name.c_str(), 0700) != 0) return fail_errno(errno, "mkdir {}/{}", path, name);
    auto source = VPS_TRY(open_at(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    auto target = VPS_TRY(open_at(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    VPS_TRY(link_level(source.get(), target.get(), path + "/" + name));
  }
  const timespec times[2] = {own.st_atim, own.st_mtim};
  if (::fchown(to, own.st_uid, own.st_gid) != 0 || ::fchmod(to, own.st_mode & 07777) != 0 || ::futimens(to, times) != 0)
    return fail_errno(errno, "attributes of {}", path);
  return {};
}

// Trees that no recipe of ours makes, made by mmdebstrap from the host's own sources: Debian with another init, and a web server.
struct ForeignTree {
  std::string_view name, packages;
};
constexpr ForeignTree kForeignTrees[] = {
    {"sysvinit", "sysvinit-core,sysv-rc,initscripts,mount,procps"},
    {"openrc", "openrc,initscripts,mount,procps"},
    {"debian-web", "systemd-sysv,dbus,mount,procps,iproute2,iputils-ping,ifupdown,openssh-server,nginx-light"},
};

Result<> build(storage::TemplateStore& store, const std::string& name, const std::string& directory) {
  auto progress = [](std::string_view, int) { return true; };
  const auto* tree = std::ranges::find(kForeignTrees, name, &ForeignTree::name);
  if (tree == std::end(kForeignTrees)) {
    (void)VPS_TRY(store.build(name, name, progress));
    return {};
  }
  std::string archive = directory + "/" + name + ".tar";
  CommandOptions options;
  options.timeout = std::chrono::minutes(15);
  auto made = VPS_TRY(run({"mmdebstrap", "--quiet", "--variant=essential", fmt::format("--include={}", tree->packages), "bookworm", archive}, options));
  auto imported = made.code == 0 ? store.import(name, archive, progress) : fail(Code::kFailed, "{}", made.describe());
  ::unlink(archive.c_str());
  if (!imported) return std::unexpected(std::move(imported).error());
  return {};
}

}  // namespace

std::string TemplateCache::default_directory() {
  const char* set = std::getenv("VPS_TEST_CACHE");
  return set != nullptr && *set != '\0' ? set : "/var/cache/vpsd-test";
}

Result<> link_tree(const std::string& from, const std::string& to) {
  if (::mkdir(to.c_str(), 0700) != 0) return fail_errno(errno, "mkdir {}", to);
  auto source = VPS_TRY(open_dir(from));
  auto target = VPS_TRY(open_dir(to));
  return link_level(source.get(), target.get(), from);
}

Result<std::string> TemplateCache::ensure(const std::string& recipe) const {
  // What builds a template is part of its name: a changed recipe does not meet an old cache.
  std::string templates = directory_ + "/templates-" VPS_TEMPLATE_SOURCES_HASH;
  VPS_TRY(make_dirs(templates));
  storage::TemplateStore store(templates);
  std::string path = templates + "/" + recipe;
  if (store.get(recipe)) return path;
  auto lock = VPS_TRY(lock_file(directory_ + "/" + recipe + ".lock", true));
  if (store.get(recipe)) return path;  // built while we waited
  VPS_TRY_CTX("build template " + recipe, build(store, recipe, directory_));
  return path;
}

Result<> TemplateCache::place(const std::string& recipe, const std::string& templates) const {
  auto cached = VPS_TRY(ensure(recipe));
  VPS_TRY(make_dirs(templates));
  return link_tree(cached, templates + "/" + recipe);
}

}  // namespace vps::test
