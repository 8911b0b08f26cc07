// Rates from two samples of GET /v1/containers/{vps}/stats. Pure.
#pragma once

#include <optional>

#include "cli/common/value.h"

namespace vps::cli {

struct Rates {
  double seconds = 0;            // between the samples, by the daemon's clock
  double cpu_percent = 0;        // of one CPU: 150 is one and a half
  double throttled_percent = 0;  // of the time
  double read = 0, written = 0;            // bytes per second
  double read_ops = 0, written_ops = 0;    // per second
  double received = 0, sent = 0;           // bytes per second, network
};

// nullopt: no time has passed, or a counter went backwards (another run of the VPS).
std::optional<Rates> rates_between(const Value& earlier, const Value& later);
Value rates_value(const Rates& rates);  // {seconds, cpuPercent, ...}

}  // namespace vps::cli
