// How templates are built from the host's own packages. Each recipe fills an empty root; the store does the rest.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "storage/progress.h"
#include "storage/templates.h"

namespace vps::storage {

struct RecipeInput {
  std::string work_directory;  // on the store's file system, mode 0700; holds the next two
  std::string scratch;         // for the recipe's own files, mode 0700; removed after it
  std::string rootfs;          // the tree to fill: exists, empty, mode 0700
  const StoreOptions& options;
  const Progress& progress;
};

// Return what to record as the template's source.
Result<std::string> build_debian_12(const RecipeInput& input);
Result<std::string> build_busybox(const RecipeInput& input);

// A program of the host: its path, or kUnavailable that names the package to install.
Result<std::string> find_program(const std::string& search_path, const std::string& name, std::string_view package);

}  // namespace vps::storage
