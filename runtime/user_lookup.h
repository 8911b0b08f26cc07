// Users of a container by name, from its own /etc/passwd and /etc/group (passwd(5), group(5)). The files belong to the tenant:
// parsing is pure and bounded, and malformed lines are passed over as getpwnam(3) does.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "specs/oci/spec.h"

namespace vps::runtime {

struct Account {
  std::string name, home, shell;
  std::uint32_t uid = 0, gid = 0;
};

struct ResolvedUser {
  oci::User user;
  std::string name;         // empty when only a number is known
  std::string home = "/";
  std::string shell = "/bin/sh";
};

std::optional<Account> find_account(std::string_view passwd, std::string_view name_or_uid);
std::optional<std::uint32_t> find_group(std::string_view group, std::string_view name_or_gid);
std::vector<std::uint32_t> groups_of(std::string_view group, std::string_view user);

// "" (root), NAME, UID, NAME:GROUP, UID:GID. A number need not be in the files; a name must (kNotFound).
Result<ResolvedUser> resolve_user(std::string_view text, std::string_view passwd, std::string_view group);
// Reads a small regular file of the tenant's ("/etc/passwd"); anything else there counts as empty.
std::string read_tenant_file(int root_fd, const std::string& path);

}  // namespace vps::runtime
