// Small changes to a finished tree: every path is resolved inside it. Missing parents are made; what is there is replaced;
// what is already gone is success.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace vps::storage {

class TreeEdit {
 public:
  static Result<TreeEdit> open(const std::string& root);

  Result<> directory(const std::string& path, mode_t mode = 0755);
  Result<> file(const std::string& path, std::string_view text, mode_t mode = 0644);
  Result<> link(const std::string& path, const std::string& target);
  Result<> remove(const std::string& path);                                     // a file or a symlink
  Result<> remove_matching(const std::string& directory, std::string_view prefix);  // files of one directory
  [[nodiscard]] bool exists(const std::string& path) const;

 private:
  explicit TreeEdit(UniqueFd root) : root_(std::move(root)) {}
  UniqueFd root_;
};

}  // namespace vps::storage
