// One worker per template name, across threads and processes: flock(2) on <store>/.lock-<name>, which is removed with the
// last use. A lock dies with its process.
#pragma once

#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace vps::storage {

class NameLock {
 public:
  NameLock() = default;
  NameLock(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  NameLock(NameLock&& other) noexcept = default;
  NameLock& operator=(NameLock&& other) noexcept;
  ~NameLock() { release(); }

 private:
  void release();

  std::string path_;
  UniqueFd fd_;
};

Result<NameLock> lock_name(const std::string& store, const std::string& name);  // kBusy when somebody has it

}  // namespace vps::storage
