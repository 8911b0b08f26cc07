// passwd and group of a tenant, who writes what he likes there: the first line asks for a user, the rest is both files.
#include <cstdint>
#include <cstdlib>

#include "runtime/user_lookup.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto user = text.substr(0, text.find('\n'));
  text.remove_prefix(user.size() == text.size() ? user.size() : user.size() + 1);
  auto resolved = vps::runtime::resolve_user(user, text, text);
  if (resolved && (resolved->home.empty() || resolved->shell.empty())) std::abort();
  (void)vps::runtime::find_account(text, user);
  (void)vps::runtime::find_group(text, user);
  (void)vps::runtime::groups_of(text, user);
  return 0;
}
