// What each VPS has sent and received, by hour, direction, family and traffic class: the tables `traffic` and `traffic_readings` of
// the ledger. Totals never go backwards, over restarts of VPSes and of vpsd and over counters that were reset. Thread-safe.
//
// Readings and what they added up to are written in one transaction. What has not been written yet is still in the kernel's
// counters, so a sudden end of vpsd loses nothing.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "daemon/clock.h"
#include "daemon/sqlite.h"
#include "netns/traffic.h"
#include "specs/net/plan.h"

namespace vps::daemon {

struct TrafficTotals {
  std::uint64_t in_bytes = 0, in_packets = 0, out_bytes = 0, out_packets = 0;
};

struct TrafficRow {
  std::int64_t from = 0;  // start of the span, seconds since the epoch
  net::Direction direction = net::Direction::kIn;
  Family family = Family::kV4;
  std::uint8_t traffic_class = 0;
  std::uint64_t bytes = 0, packets = 0;
};

enum class UsageSpan { kHour, kDay, kMonth, kTotal };  // of UTC
Result<UsageSpan> usage_span_from_name(std::string_view name);  // "hour" "day" "month" "total"

class Traffic {
 public:
  // `uuid_of` tells a VPS from an earlier one with the same id; empty: unknown, its traffic is nobody's.
  Traffic(std::string path, std::function<std::string(const std::string& vps)> uuid_of) : path_(std::move(path)), uuid_of_(std::move(uuid_of)) {}

  // Takes in what was read from the kernel; `write` says that it goes to disk now (else once a minute).
  Result<> add(const std::vector<netns::TrafficSample>& samples, bool write);
  Result<> flush();
  void forget(const std::string& vps);  // destroyed: its history stays

  [[nodiscard]] Result<TrafficTotals> totals(const std::string& vps);
  // Of the hours that begin in [from, to), in order of time.
  [[nodiscard]] Result<std::vector<TrafficRow>> usage(const std::string& vps, std::int64_t from, std::int64_t to, UsageSpan span);

 private:
  struct Key {
    std::int64_t hour;
    std::string vps, uuid;
    net::Direction direction;
    Family family;
    std::uint8_t traffic_class;
    auto operator<=>(const Key&) const = default;
  };
  struct Sum {
    std::uint64_t bytes = 0, packets = 0;
  };
  Result<> load_locked();
  Result<> flush_locked();

  const std::string path_;
  const std::function<std::string(const std::string&)> uuid_of_;
  std::mutex mutex_;
  std::optional<SqlFile> file_;
  netns::TrafficMeter meter_;
  std::map<Key, Sum> pending_;
  std::map<std::string, TrafficTotals> totals_;
  SteadyTime written_{};
};

// /etc/vps/traffic-classes.yaml: {classes: [{class: 2, prefixes: [10.0.0.0/8, "fd00::/8"]}, ...]}. No file: no classes.
Result<std::vector<net::TrafficClass>> load_traffic_classes(const std::string& path);
Result<std::vector<net::TrafficClass>> parse_traffic_classes(std::string_view yaml, std::string_view file_name);

}  // namespace vps::daemon
