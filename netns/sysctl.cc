#include "netns/sysctl.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/files.h"
#include "base/sha256.h"

namespace vps::netns {
namespace {

// A file of lines: key, value before, value set, and the users.
struct Record {
  std::string key, before, set;
  std::vector<std::string> users;
};

std::string path_of(const Host& host, std::string_view key) { return fmt::format("{}/sys/net/{}", host.proc_root, key); }
std::string records_of(const Host& host) { return host.run_dir + "/sysctl"; }
std::string record_of(const Host& host, std::string_view key) {
  return fmt::format("{}/{}", records_of(host), sha256_hex(key).substr(0, 24));
}

Result<std::optional<Record>> read_record(const std::string& path) {
  if (!path_exists(path)) return std::optional<Record>();
  auto text = VPS_TRY(read_file(path));
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  if (lines.size() < 3) return std::optional<Record>();  // not ours, or torn: as if it were not there
  return Record{lines[0], lines[1], lines[2], {lines.begin() + 3, lines.end()}};
}

Result<> write_record(const std::string& path, const Record& record) {
  std::string text = fmt::format("{}\n{}\n{}\n", record.key, record.before, record.set);
  for (const auto& user : record.users) text += user + "\n";
  return write_file_atomic(path, text);
}

}  // namespace

std::string marker(const Host& host, std::string_view what, std::string_view name) {
  return fmt::format("vpsd:{}:{}:{}", host.installation, what, name);
}

Result<UniqueFd> lock_records(const Host& host) {
  VPS_TRY(make_dirs(records_of(host), 0700));
  return lock_file(host.run_dir + "/lock", true);
}

Result<std::optional<std::string>> read_sysctl(const Host& host, std::string_view key) {
  auto text = read_file(path_of(host, key));
  if (!text) {
    if (text.error().err() == ENOENT) return std::optional<std::string>();
    return std::unexpected(std::move(text).error());
  }
  while (text->ends_with('\n')) text->pop_back();
  return std::optional(std::move(*text));
}

Result<> write_sysctl(const Host& host, std::string_view key, std::string_view value) {
  return write_kernel_file_at(AT_FDCWD, path_of(host, key), value);
}

Result<bool> borrow_sysctl(const Host& host, std::string_view user, const std::string& key, const std::string& value) {
  auto now = VPS_TRY(read_sysctl(host, key));
  if (!now) return false;
  std::string path = record_of(host, key);
  auto record = VPS_TRY(read_record(path));
  if (!record && *now == value) return false;
  if (!record) record = Record{key, *now, value, {}};
  if (std::ranges::find(record->users, user) == record->users.end()) {
    record->users.emplace_back(user);
    VPS_TRY(write_record(path, *record));
  }
  if (*now == value) return false;
  VPS_TRY(write_sysctl(host, key, value));
  return true;
}

Result<> return_sysctls(const Host& host, std::string_view user) {
  if (!path_exists(records_of(host))) return {};
  for (const auto& name : VPS_TRY(list_dir(records_of(host)))) {
    std::string path = records_of(host) + "/" + name;
    auto record = VPS_TRY(read_record(path));
    if (!record || std::erase(record->users, user) == 0) continue;
    if (!record->users.empty()) {
      VPS_TRY(write_record(path, *record));
      continue;
    }
    // The link may have gone, and somebody may have set something else since.
    if (auto now = VPS_TRY(read_sysctl(host, record->key)); now && *now == record->set)
      VPS_TRY(write_sysctl(host, record->key, record->before));
    VPS_TRY(remove_file(path));
  }
  return {};
}

}  // namespace vps::netns
