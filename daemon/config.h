// vpsd.yaml, the daemon's own configuration (docs/man/vpsd.8). Every key is optional; unknown keys, duplicate keys and bad
// values are kUsage errors of one line with file and line. Command-line options of vpsd override what it says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "base/units.h"
#include "daemon/backoff.h"
#include "daemon/ledger.h"
#include "specs/vps/id.h"

namespace vps::daemon {

struct Config {
  Roots roots;
  std::string socket;      // empty: <run>/vpsd.sock
  std::string supervisor = "/usr/local/libexec/vps/vps-supervise";
  std::uint32_t idmap_base = 1u << 20;
  std::uint32_t idmap_count = 16384;
  LedgerLimits events;
  BackoffPolicy restart;
  Milliseconds stats_interval{10'000};
  std::size_t operations_kept = 200;
  unsigned start_parallel = 0;  // how many VPSes are started at once at boot; 0: as many as there are CPUs
  std::string network_links = "v";      // how names of our links begin; tells them from those of another vpsd
  std::string network_table = "vpsd";   // name of our nftables tables
  bool network_default = true;          // the network `default` is made when it is first used
  Milliseconds network_cool_down{600'000};  // how long an address that was given back rests
  std::string resolv_conf = "/etc/resolv.conf";  // of the host: what `inherit` follows
  log::Level log_level = log::Level::kInfo;

  [[nodiscard]] std::string socket_path() const { return socket.empty() ? roots.run + "/vpsd.sock" : socket; }
};

Result<Config> parse_config(std::string_view yaml, std::string_view file_name);
// A missing file is the default configuration.
Result<Config> load_config(const std::string& path);
Result<log::Level> parse_log_level(std::string_view name);

}  // namespace vps::daemon
