// What a single value of a definition must look like, beyond its type. Each returns the error's text, without the key.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "specs/net/plan.h"

namespace vps::checks {

Result<> id(std::string_view value);
Result<> uuid(std::string_view value);
Result<> name(std::string_view value);
Result<> template_name(std::string_view value);
Result<> hostname(std::string_view value);
Result<> cpu_set(std::string_view value);        // "0-1,3", ascending; see cpu_set_size
Result<> idmap(std::string_view value);          // auto | host | BASE:SIZE
Result<> capability(std::string_view value);     // +sys_nice
Result<> host_path(std::string_view value);      // absolute, normalised
Result<> mount_target(std::string_view value);   // the same, and not what the runtime itself mounts
Result<> argument(std::string_view value);       // of init: anything that execve takes
Result<> environment_name(std::string_view value);
Result<> environment_value(std::string_view value);
Result<> label_key(std::string_view value);
Result<> label_value(std::string_view value);
Result<> interface_name(std::string_view value);
Result<> network_name(std::string_view value);
Result<> mac(std::string_view value);            // auto | 02:00:00:00:00:01
Result<> address(std::string_view value);        // auto | ADDR[/LEN]
Result<> nameserver(std::string_view value);     // inherit | ADDR
Result<> search_domain(std::string_view value);
Result<> smtp(std::string_view value);           // allow | deny | N/min
Result<> comment(std::string_view value);        // printable, at most 120 characters

// What smtp() accepts, as values; per minute where the policy is kLimit.
struct SmtpLimit {
  net::SmtpPolicy policy = net::SmtpPolicy::kAllow;
  std::uint32_t per_minute = 0;
};
Result<SmtpLimit> parse_smtp(std::string_view value);

// How many CPUs a set that cpu_set() accepts names.
unsigned cpu_set_size(std::string_view value);

}  // namespace vps::checks
