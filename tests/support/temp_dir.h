// A directory that lives as long as the test.
#pragma once

#include <cstdlib>
#include <string>

#include "base/files.h"

namespace vps::test {

class TempDir {
 public:
  TempDir() {
    std::string pattern = "/tmp/vpsd-test-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempDir() { (void)remove_tree(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

}  // namespace vps::test
