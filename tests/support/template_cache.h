// Templates that are built once per machine and shared by all test runs: $VPS_TEST_CACHE, or /var/cache/vpsd-test. A cached
// template is complete or absent; builders of the same one wait for each other. Placing one into a test's state directory
// hard-links its files (a template is read-only: its VPSes write to layers of their own).
#pragma once

#include <string>

#include "base/error.h"

namespace vps::test {

class TemplateCache {
 public:
  explicit TemplateCache(std::string directory) : directory_(std::move(directory)) {}
  static std::string default_directory();

  // Path of the cached template (a directory with template.json and rootfs/), built when missing: a recipe of ours ("busybox",
  // "debian-12"), or a Debian with another init ("sysvinit", "openrc").
  Result<std::string> ensure(const std::string& recipe) const;
  // ensure(), then a copy by hard links as <templates>/<recipe>.
  Result<> place(const std::string& recipe, const std::string& templates) const;

  [[nodiscard]] const std::string& directory() const { return directory_; }

 private:
  std::string directory_;
};

// Copies a tree with hard links for everything but directories, which get the mode, owner and times of their originals.
// Both must be on one file system.
Result<> link_tree(const std::string& from, const std::string& to);

}  // namespace vps::test
