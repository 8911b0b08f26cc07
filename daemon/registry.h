// All VPSes of this host by id, name and uuid. Thread-safe; a pointer that was handed out stays valid after a removal.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.h"
#include "daemon/container.h"

namespace vps::daemon {

class Registry {
 public:
  // kExists when the id, or a name that is not empty, or the uuid is taken. A name must not be another VPS's id either:
  // commands take any of the three.
  Result<> add(const ContainerPtr& container, const std::string& name, const std::string& uuid);
  void remove(const std::string& id);
  // Replaces the name of `id` (empty: none); kExists when taken.
  Result<> rename(const std::string& id, const std::string& name);

  // `reference` is an id, a name or a uuid, looked up in that order; kNotFound.
  [[nodiscard]] Result<ContainerPtr> find(const std::string& reference) const;
  [[nodiscard]] std::vector<ContainerPtr> list() const;  // sorted by id, numbers by value
  [[nodiscard]] bool uuid_taken(const std::string& uuid) const;

 private:
  struct Names {
    ContainerPtr container;
    std::string name, uuid;
  };
  [[nodiscard]] Result<> check_name(const std::string& id, const std::string& name) const;

  mutable std::mutex mutex_;
  std::map<std::string, Names> by_id_;
  std::map<std::string, std::string> id_of_name_, id_of_uuid_;
};

// "9" before "10" before "a1".
bool id_less(const std::string& a, const std::string& b);

}  // namespace vps::daemon
