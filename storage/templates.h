// Templates: root file systems from which VPSes are made, under <state>/templates/<name>/{template.json,rootfs/}.
// A template directory is complete or absent: it is built under a temporary name and renamed into place.
// Thread-safety: different stores are independent; one store may be used from several threads (operations on the same
// name serialise through a lock file).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"

namespace vps::storage {

enum class InitKind { kNone, kSystemd, kSysvinit, kOpenrc, kBusybox, kOther };
std::string_view init_kind_name(InitKind kind);  // "systemd" ...
// What `program` (or /sbin/init, /bin/init, /etc/init ... when empty) of the tree is, resolved inside the root only.
// kNone: there is none; `looked_for` then lists the paths tried.
struct DetectedInit {
  InitKind kind = InitKind::kNone;
  std::string path;                       // "/sbin/init", as pid 1 is to be started
  std::vector<std::string> looked_for;
};
Result<DetectedInit> detect_init(int root_fd, const std::string& program = {});

struct Template {
  std::string name;
  std::string digest;        // "sha256:..." of the canonical listing and content of the tree
  std::string distribution;  // "debian 12", from /etc/os-release; may be empty
  std::string architecture;  // "amd64"
  InitKind init = InitKind::kNone;
  std::uint64_t size = 0;    // bytes of regular files
  std::uint64_t entries = 0;
  std::string created;       // RFC 3339, UTC
  std::string source;        // "mmdebstrap bookworm", "tar NAME", "directory", "busybox"
};

// Told while long work goes on: what is being done, and how far (0..100, or -1 where that is not known).
// Returning false cancels: the work ends with kFailed "cancelled" and leaves nothing.
using Progress = std::function<bool(std::string_view what, int percent)>;

class TemplateStore {
 public:
  explicit TemplateStore(std::string directory);  // <state>/templates

  Result<std::vector<Template>> list() const;  // sorted by name; broken entries are skipped (and said by check())
  Result<Template> get(const std::string& name) const;
  std::string rootfs_path(const std::string& name) const;

  // A tar of any kind that libarchive reads (ownership, modes, xattrs, ACLs, hard links, sparse files and device nodes are
  // kept; entries that point outside the root are refused by name), or a directory that is copied.
  Result<Template> import(const std::string& name, const std::string& tar_or_directory, const Progress& progress);
  // Builds from the host's own packages. Known recipes: "debian-12" (mmdebstrap), "busybox" (busybox-static).
  Result<Template> build(const std::string& recipe, const std::string& name, const Progress& progress);
  static std::vector<std::string> recipes();
  // kBusy when `in_use` is true (the caller knows the VPSes).
  Result<> remove(const std::string& name, const std::vector<std::string>& used_by);
  // Removes half-made directories of an earlier crash; returns what it removed.
  Result<std::vector<std::string>> recover();

 private:
  std::string directory_;
};

}  // namespace vps::storage
