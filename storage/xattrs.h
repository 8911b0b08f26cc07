// Reading extended attributes, sorted by name; those that TreeWriter leaves out (xattr_allowed) are left out.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "storage/tree_writer.h"

namespace vps::storage {

Result<std::vector<Xattr>> read_xattrs_fd(int fd);  // not an O_PATH fd
Result<std::vector<Xattr>> read_xattrs_at(int dir_fd, const std::string& name);  // links are not followed

}  // namespace vps::storage
