// Settings below /proc/sys/net of the calling thread's namespace, and a memory of those that are changed on somebody's behalf.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "netns/host.h"

namespace vps::netns {

// "ipv4/ip_forward". nullopt: this kernel has no such setting.
Result<std::optional<std::string>> read_sysctl(const Host& host, std::string_view key);
Result<> write_sysctl(const Host& host, std::string_view key, std::string_view value);

// Sets `key` for `user` (a network). What stood there before is written down first, once for all users, in Host::run_dir/sysctl.
// True: it was changed now. A value that stands there already is nobody's change. Callers hold the lock of Host::run_dir.
Result<bool> borrow_sysctl(const Host& host, std::string_view user, const std::string& key, const std::string& value);
// Takes `user` out of all records; what has no user any more gets its old value back, unless somebody has changed it since.
Result<> return_sysctls(const Host& host, std::string_view user);

Result<UniqueFd> lock_records(const Host& host);  // waits; makes the directory

}  // namespace vps::netns
