// --log and --log-format: the lines that engines read. containerd and docker take the last JSON line of level "error" for the
// reason of a failure, podman does the same through conmon (logrus is what runc writes with).
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace vps::vpsrun {

struct LogOptions {
  std::string file;  // empty: standard error
  bool json = false;
  bool debug = false;
};

// Installs the sink of base/log.h. An unwritable file is an error before anything else happens.
Result<> open_log(const LogOptions& options);

// One line of either form, with its newline. `time` as RFC 3339. Pure.
std::string log_line(bool json, std::string_view level, std::string_view message, std::string_view time);
std::string json_string(std::string_view text);  // quoted; bytes that are no UTF-8 become U+FFFD
std::string time_now();                           // RFC 3339 with nanoseconds, UTC

}  // namespace vps::vpsrun
