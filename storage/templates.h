// Templates: root file systems from which VPSes are made, under <state>/templates/<name>/{template.json,rootfs/}.
// A template directory is complete or absent: it is built under a temporary name and renamed into place.
// Thread-safety: different stores are independent; one store may be used from several threads and processes (work on one
// name excludes other work on it through a lock file: kBusy).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "storage/init_detect.h"
#include "storage/progress.h"

namespace vps::storage {

struct Template {
  std::string name;
  std::string digest;        // "sha256:..." of the canonical listing and content of the tree (tree_digest.h)
  std::string distribution;  // "debian 12", from /etc/os-release; may be empty
  std::string architecture;  // "amd64", in Debian's words, from the tree's programs; may be empty
  InitKind init = InitKind::kNone;  // kNone: no init; such a template can only run a program as pid 1
  std::string init_path;     // "/sbin/init"; empty without an init
  std::uint64_t size = 0;    // bytes of regular files
  std::uint64_t entries = 0;
  std::string created;       // RFC 3339, UTC
  std::string source;        // "mmdebstrap bookworm", "archive NAME", "directory PATH", "busybox 1.35.0"
  bool operator==(const Template&) const = default;
};

struct StoreOptions {
  std::string apt_directory = "/etc/apt";  // of the host: its sources of the right suite are used (apt_sources.h)
  std::vector<std::string> mirrors;        // for mmdebstrap, instead of the host's sources
  std::string search_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";  // for the host's programs
};

class TemplateStore {
 public:
  explicit TemplateStore(std::string directory, StoreOptions options = {});  // <state>/templates

  Result<std::vector<Template>> list() const;  // sorted by name; broken entries are skipped (and said by broken())
  Result<std::vector<std::string>> broken() const;  // "NAME: what is wrong with it"
  Result<Template> get(const std::string& name) const;
  std::string rootfs_path(const std::string& name) const;

  // An archive (unpack.h says which and what is kept or refused) or a directory that is copied (copy_tree.h).
  // kExists, kUsage for a bad name or a bad archive, kUnavailable when the disk is full. After an error nothing is left.
  Result<Template> import(const std::string& name, const std::string& archive_or_directory, const Progress& progress);
  // Builds from the host's own packages. recipes() are known: "debian-12" (mmdebstrap), "busybox" (busybox-static).
  Result<Template> build(const std::string& recipe, const std::string& name, const Progress& progress);
  static std::vector<std::string> recipes();
  // kBusy when `used_by` (ids of VPSes; the caller knows them) is not empty.
  Result<> remove(const std::string& name, const std::vector<std::string>& used_by);
  // Removes half-made directories of an earlier crash; returns the names that they were for. To be called at start.
  Result<std::vector<std::string>> recover();

 private:
  std::string directory_;
  StoreOptions options_;
};

}  // namespace vps::storage
