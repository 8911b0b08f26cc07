#include "daemon/registry.h"

#include <algorithm>

namespace vps::daemon {

Result<> Registry::check_name(const std::string& id, const std::string& name) const {
  if (name.empty()) return {};
  if (auto taken = id_of_name_.find(name); taken != id_of_name_.end() && taken->second != id)
    return fail(Code::kExists, "the name {} is taken by vps {}", name, taken->second);
  if (name != id && by_id_.contains(name)) return fail(Code::kExists, "the name {} is the id of another vps", name);
  return {};
}

Result<> Registry::add(const ContainerPtr& container, const std::string& name, const std::string& uuid) {
  std::scoped_lock lock(mutex_);
  const std::string& id = container->id;
  if (by_id_.contains(id)) return fail(Code::kExists, "vps {} exists already", id);
  if (auto named = id_of_name_.find(id); named != id_of_name_.end())
    return fail(Code::kExists, "{} is the name of vps {}", id, named->second);
  VPS_TRY(check_name(id, name));
  if (auto taken = id_of_uuid_.find(uuid); !uuid.empty() && taken != id_of_uuid_.end())
    return fail(Code::kExists, "the uuid {} is taken by vps {}", uuid, taken->second);
  by_id_[id] = {container, name, uuid};
  if (!name.empty()) id_of_name_[name] = id;
  if (!uuid.empty()) id_of_uuid_[uuid] = id;
  return {};
}

void Registry::remove(const std::string& id) {
  std::scoped_lock lock(mutex_);
  auto it = by_id_.find(id);
  if (it == by_id_.end()) return;
  id_of_name_.erase(it->second.name);
  id_of_uuid_.erase(it->second.uuid);
  by_id_.erase(it);
}

Result<> Registry::rename(const std::string& id, const std::string& name) {
  std::scoped_lock lock(mutex_);
  auto it = by_id_.find(id);
  if (it == by_id_.end()) return fail(Code::kNotFound, "no vps {}", id);
  VPS_TRY(check_name(id, name));
  id_of_name_.erase(it->second.name);
  it->second.name = name;
  if (!name.empty()) id_of_name_[name] = id;
  return {};
}

Result<ContainerPtr> Registry::find(const std::string& reference) const {
  std::scoped_lock lock(mutex_);
  if (auto it = by_id_.find(reference); it != by_id_.end()) return it->second.container;
  for (const auto* index : {&id_of_name_, &id_of_uuid_})
    if (auto it = index->find(reference); it != index->end()) return by_id_.at(it->second).container;
  return fail(Code::kNotFound, "no vps {}", reference);
}

std::vector<ContainerPtr> Registry::list() const {
  std::vector<ContainerPtr> all;
  {
    std::scoped_lock lock(mutex_);
    all.reserve(by_id_.size());
    for (const auto& [id, names] : by_id_) all.push_back(names.container);
  }
  std::ranges::sort(all, [](const auto& a, const auto& b) { return id_less(a->id, b->id); });
  return all;
}

bool Registry::uuid_taken(const std::string& uuid) const {
  std::scoped_lock lock(mutex_);
  return id_of_uuid_.contains(uuid);
}

bool id_less(const std::string& a, const std::string& b) {
  auto number = [](const std::string& s) {
    return !s.empty() && std::ranges::all_of(s, [](char c) { return c >= '0' && c <= '9'; });
  };
  bool a_number = number(a);
  bool b_number = number(b);
  if (a_number != b_number) return a_number;
  if (!a_number) return a < b;
  auto digits = [](const std::string& s) { return std::string_view(s).substr(std::min(s.find_first_not_of('0'), s.size())); };
  if (digits(a).size() != digits(b).size()) return digits(a).size() < digits(b).size();
  return digits(a) != digits(b) ? digits(a) < digits(b) : a < b;
}

}  // namespace vps::daemon
