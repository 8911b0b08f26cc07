#include "daemon/networks/store.h"

#include <stdio.h>

#include <cerrno>

#include "base/files.h"

namespace vps::daemon {
namespace {

constexpr std::string_view kEnding = ".yaml";
constexpr std::size_t kMaxFile = 256u << 10;

Result<std::string> set_aside(const std::string& path, const std::string& name, const std::string& quarantine_dir) {
  VPS_TRY(make_dirs(quarantine_dir, 0700));
  std::string target = fmt::format("{}/network.{}.{}", quarantine_dir, name, random_hex(4));
  if (::rename(path.c_str(), target.c_str()) != 0) return fail_errno(errno, "set aside {}", path);
  return target;
}

}  // namespace

Result<std::vector<std::string>> NetworkStore::load(const std::string& quarantine_dir) {
  std::vector<std::string> damaged;
  std::scoped_lock lock(mutex_);
  networks_.clear();
  if (!path_exists(directory_)) return damaged;
  VPS_TRY(remove_leftover_temporaries(directory_));
  for (const auto& file : VPS_TRY(list_dir(directory_))) {
    if (!file.ends_with(kEnding)) continue;
    const std::string name = file.substr(0, file.size() - kEnding.size());
    auto text = read_file(directory_ + "/" + file, kMaxFile);
    auto network = text ? parse_network_definition(*text, file) : Result<Network>(std::unexpected(text.error()));
    if (network && network->name != name) network = fail(Code::kUsage, "{}: name: expected {}, found {}", file, name, network->name);
    if (network) {
      networks_[name] = *std::move(network);
      continue;
    }
    if (!text) return std::unexpected(text.error());
    auto aside = VPS_TRY(set_aside(directory_ + "/" + file, name, quarantine_dir));
    damaged.push_back(fmt::format("{}; set aside as {}", network.error().to_string(), aside));
  }
  return damaged;
}

std::map<std::string, Network> NetworkStore::all() const {
  std::scoped_lock lock(mutex_);
  return networks_;
}

Result<Network> NetworkStore::get(const std::string& name) const {
  std::scoped_lock lock(mutex_);
  auto found = networks_.find(name);
  if (found == networks_.end()) return fail(Code::kNotFound, "no network {}", name);
  return found->second;
}

Result<> NetworkStore::put(const Network& network) {
  std::scoped_lock lock(mutex_);
  VPS_TRY(make_dirs(directory_));
  VPS_TRY(write_file_atomic(path(network.name), format_network(network)));
  networks_[network.name] = network;
  return {};
}

Result<> NetworkStore::remove(const std::string& name) {
  std::scoped_lock lock(mutex_);
  VPS_TRY(remove_file(path(name)));
  networks_.erase(name);
  return {};
}

}  // namespace vps::daemon
