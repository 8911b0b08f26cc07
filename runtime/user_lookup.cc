#include "runtime/user_lookup.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>

#include "base/files.h"
#include "base/units.h"

namespace vps::runtime {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::optional<std::uint32_t> parse_id(std::string_view text) {
  auto value = parse_u64(text);
  // The last value means "no change" to the kernel and is never an id.
  if (!value || *value >= std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return static_cast<std::uint32_t>(*value);
}

}  // namespace

std::optional<Account> find_account(std::string_view passwd, std::string_view name_or_uid) {
  auto wanted = parse_id(name_or_uid);
  for (auto line : split(passwd, '\n')) {
    auto fields = split(line, ':');
    constexpr std::size_t kFields = 7;
    if (fields.size() != kFields) continue;
    auto uid = parse_id(fields[2]);
    auto gid = parse_id(fields[3]);
    if (!uid || !gid) continue;
    if (fields[0] == name_or_uid || (wanted && *uid == *wanted))
      return Account{std::string(fields[0]), std::string(fields[5]), std::string(fields[6]), *uid, *gid};
  }
  return std::nullopt;
}

std::optional<std::uint32_t> find_group(std::string_view group, std::string_view name_or_gid) {
  for (auto line : split(group, '\n')) {
    auto fields = split(line, ':');
    if (fields.size() == 4 && fields[0] == name_or_gid) return parse_id(fields[2]);
  }
  return parse_id(name_or_gid);
}

std::vector<std::uint32_t> groups_of(std::string_view group, std::string_view user) {
  std::vector<std::uint32_t> gids;
  constexpr std::size_t kMaxGroups = 1024;
  for (auto line : split(group, '\n')) {
    auto fields = split(line, ':');
    if (fields.size() != 4 || gids.size() >= kMaxGroups) continue;
    auto gid = parse_id(fields[2]);
    auto members = split(fields[3], ',');
    if (gid && std::ranges::find(members, user) != members.end()) gids.push_back(*gid);
  }
  return gids;
}

Result<ResolvedUser> resolve_user(std::string_view text, std::string_view passwd, std::string_view group) {
  auto colon = text.find(':');
  std::string_view user_part = colon == std::string_view::npos ? text : text.substr(0, colon);
  if (user_part.empty()) user_part = "0";
  ResolvedUser resolved;
  auto account = find_account(passwd, user_part);
  auto number = parse_id(user_part);
  if (account) {
    resolved.user.uid = account->uid;
    resolved.user.gid = account->gid;
    resolved.name = account->name;
    if (account->home.starts_with('/')) resolved.home = account->home;
    if (account->shell.starts_with('/')) resolved.shell = account->shell;
    resolved.user.additional_gids = groups_of(group, account->name);
  } else if (number) {
    resolved.user.uid = *number;
    if (*number == 0) resolved.home = "/root";
  } else {
    return fail(Code::kNotFound, "unable to find user {}: no matching entries in passwd file", user_part);
  }
  if (colon != std::string_view::npos) {
    auto gid = find_group(group, text.substr(colon + 1));
    if (!gid) return fail(Code::kNotFound, "unable to find group {}: no matching entries in group file", text.substr(colon + 1));
    resolved.user.gid = *gid;
    resolved.user.additional_gids.clear();
  }
  return resolved;
}

std::string read_tenant_file(int root_fd, const std::string& path) {
  // O_NONBLOCK: a fifo in its place must not hold us up.
  auto fd = open_in_root(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat st{};
  if (!fd || ::fstat(fd->get(), &st) != 0 || !S_ISREG(st.st_mode)) return {};
  constexpr std::size_t kLimit = 4u << 20;
  auto text = read_fd(fd->get(), kLimit);
  return text ? std::move(*text) : std::string();
}

}  // namespace vps::runtime
