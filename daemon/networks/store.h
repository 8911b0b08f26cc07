// The network objects: <state>/networks/NAME.yaml, one file each, replaced whole. Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.h"
#include "specs/vps/network.h"

namespace vps::daemon {

class NetworkStore {
 public:
  explicit NetworkStore(std::string directory) : directory_(std::move(directory)) {}

  // Reads all files; those that do not parse are moved to `quarantine_dir`, and a sentence about each is the answer.
  Result<std::vector<std::string>> load(const std::string& quarantine_dir);
  [[nodiscard]] std::map<std::string, Network> all() const;
  [[nodiscard]] Result<Network> get(const std::string& name) const;  // kNotFound
  Result<> put(const Network& network);                              // new or changed
  Result<> remove(const std::string& name);                          // already gone is success

 private:
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name + ".yaml"; }

  const std::string directory_;
  mutable std::mutex mutex_;
  std::map<std::string, Network> networks_;
};

}  // namespace vps::daemon
