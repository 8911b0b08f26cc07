#include "daemon/networks/traffic.h"

#include <time.h>

#include <algorithm>

#include "base/files.h"
#include "specs/vps/tree.h"

namespace vps::daemon {
namespace {

constexpr std::int64_t kHour = 3600;
constexpr std::int64_t kDay = 86'400;
constexpr std::int64_t kKeptDays = 800;  // two years and a month to bill them in
constexpr std::chrono::seconds kWriteEvery{60};

std::int64_t now_seconds() { return unix_ms(std::chrono::system_clock::now()) / 1000; }

std::int64_t start_of(std::int64_t hour, UsageSpan span) {
  if (span == UsageSpan::kHour) return hour;
  if (span == UsageSpan::kTotal) return 0;
  if (span == UsageSpan::kDay) return hour - hour % kDay;
  const time_t seconds = hour;
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  parts.tm_mday = 1;
  parts.tm_hour = 0;
  return ::timegm(&parts);
}

int direction_number(net::Direction direction) { return direction == net::Direction::kIn ? 0 : 1; }
net::Direction direction_of(std::int64_t number) { return number == 0 ? net::Direction::kIn : net::Direction::kOut; }
Family family_of(std::int64_t number) { return number == 6 ? Family::kV6 : Family::kV4; }

void add_to(TrafficTotals& totals, net::Direction direction, std::uint64_t bytes, std::uint64_t packets) {
  (direction == net::Direction::kIn ? totals.in_bytes : totals.out_bytes) += bytes;
  (direction == net::Direction::kIn ? totals.in_packets : totals.out_packets) += packets;
}

}  // namespace

Result<UsageSpan> usage_span_from_name(std::string_view name) {
  if (name == "hour") return UsageSpan::kHour;
  if (name == "day") return UsageSpan::kDay;
  if (name == "month") return UsageSpan::kMonth;
  if (name == "total") return UsageSpan::kTotal;
  return fail(Code::kUsage, "expected hour, day, month or total, found '{}'", quote_for_message(name));
}

Result<> Traffic::load_locked() {
  if (file_) return {};
  auto file = VPS_TRY(SqlFile::open(path_));
  VPS_TRY(file.execute("PRAGMA synchronous=NORMAL"));
  VPS_TRY(file.execute("CREATE TABLE IF NOT EXISTS traffic(vps TEXT NOT NULL, uuid TEXT NOT NULL, hour INTEGER NOT NULL,"
                       " direction INTEGER NOT NULL, family INTEGER NOT NULL, class INTEGER NOT NULL, bytes INTEGER NOT NULL,"
                       " packets INTEGER NOT NULL, PRIMARY KEY(vps, uuid, hour, direction, family, class)) WITHOUT ROWID;"
                       "CREATE TABLE IF NOT EXISTS traffic_readings(vps TEXT NOT NULL, link TEXT NOT NULL, direction INTEGER NOT NULL,"
                       " family INTEGER NOT NULL, class INTEGER NOT NULL, epoch INTEGER NOT NULL, bytes INTEGER NOT NULL,"
                       " packets INTEGER NOT NULL, PRIMARY KEY(vps, link, direction, family, class)) WITHOUT ROWID"));
  std::vector<netns::TrafficSample> readings;
  {
    auto row = VPS_TRY(file.prepare("SELECT vps, link, direction, family, class, epoch, bytes, packets FROM traffic_readings"));
    while (VPS_TRY(row.step()))
      readings.push_back({row.text(0), row.text(1), direction_of(row.number(2)), family_of(row.number(3)),
                          static_cast<std::uint8_t>(row.number(4)), static_cast<std::uint64_t>(row.number(5)),
                          static_cast<std::uint64_t>(row.number(6)), static_cast<std::uint64_t>(row.number(7))});
  }
  std::map<std::string, TrafficTotals> totals;
  {
    auto row = VPS_TRY(file.prepare("SELECT vps, uuid, direction, sum(bytes), sum(packets) FROM traffic GROUP BY vps, uuid, direction"));
    while (VPS_TRY(row.step()))
      add_to(totals[row.text(1)], direction_of(row.number(2)), static_cast<std::uint64_t>(row.number(3)), static_cast<std::uint64_t>(row.number(4)));
  }
  {
    auto old = VPS_TRY(file.prepare("DELETE FROM traffic WHERE hour < ?"));
    VPS_TRY(old.bind(1, now_seconds() - kKeptDays * kDay).run());
  }
  meter_ = netns::TrafficMeter(readings);
  totals_ = std::move(totals);
  file_ = std::move(file);
  written_ = std::chrono::steady_clock::now();
  return {};
}

Result<> Traffic::add(const std::vector<netns::TrafficSample>& samples, bool write) {
  std::scoped_lock lock(mutex_);
  VPS_TRY(load_locked());
  const std::int64_t hour = now_seconds() / kHour * kHour;
  for (const auto& counter : meter_.add(samples)) {
    auto uuid = uuid_of_(counter.id);
    if (uuid.empty()) continue;
    auto& sum = pending_[Key{hour, counter.id, uuid, counter.direction, counter.family, counter.traffic_class}];
    sum.bytes += counter.bytes;
    sum.packets += counter.packets;
    add_to(totals_[uuid], counter.direction, counter.bytes, counter.packets);
  }
  if (write || std::chrono::steady_clock::now() - written_ >= kWriteEvery) return flush_locked();
  return {};
}

Result<> Traffic::flush() {
  std::scoped_lock lock(mutex_);
  VPS_TRY(load_locked());
  return flush_locked();
}

Result<> Traffic::flush_locked() {
  written_ = std::chrono::steady_clock::now();
  if (pending_.empty()) return {};
  auto transaction = VPS_TRY(SqlTransaction::begin(*file_));
  auto put = VPS_TRY(file_->prepare("INSERT INTO traffic(vps, uuid, hour, direction, family, class, bytes, packets) VALUES(?, ?, ?, ?, ?, ?, ?, ?)"
                                    " ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes, packets = packets + excluded.packets"));
  for (const auto& [key, sum] : pending_) {
    put.bind(1, key.vps).bind(2, key.uuid).bind(3, key.hour).bind(4, std::int64_t{direction_number(key.direction)});
    put.bind(5, static_cast<std::int64_t>(key.family)).bind(6, std::int64_t{key.traffic_class}).bind(7, sum.bytes).bind(8, sum.packets);
    VPS_TRY(put.run());
  }
  VPS_TRY(file_->execute("DELETE FROM traffic_readings"));
  auto reading = VPS_TRY(file_->prepare("INSERT INTO traffic_readings(vps, link, direction, family, class, epoch, bytes, packets)"
                                        " VALUES(?, ?, ?, ?, ?, ?, ?, ?)"));
  for (const auto& each : meter_.last_readings()) {
    reading.bind(1, each.id).bind(2, each.link).bind(3, std::int64_t{direction_number(each.direction)});
    reading.bind(4, static_cast<std::int64_t>(each.family)).bind(5, std::int64_t{each.traffic_class}).bind(6, each.epoch);
    VPS_TRY(reading.bind(7, each.bytes).bind(8, each.packets).run());
  }
  VPS_TRY(transaction.commit());
  pending_.clear();
  return {};
}

void Traffic::forget(const std::string& vps) {
  std::scoped_lock lock(mutex_);
  if (file_) (void)flush_locked();
  meter_.forget(vps);
}

Result<TrafficTotals> Traffic::totals(const std::string& vps) {
  std::scoped_lock lock(mutex_);
  VPS_TRY(load_locked());
  auto found = totals_.find(uuid_of_(vps));
  return found == totals_.end() ? TrafficTotals{} : found->second;
}

Result<std::vector<TrafficRow>> Traffic::usage(const std::string& vps, std::int64_t from, std::int64_t to, UsageSpan span) {
  std::scoped_lock lock(mutex_);
  VPS_TRY(load_locked());
  VPS_TRY(flush_locked());
  auto row = VPS_TRY(file_->prepare("SELECT hour, direction, family, class, bytes, packets FROM traffic"
                                    " WHERE vps = ? AND uuid = ? AND hour >= ? AND hour < ? ORDER BY hour"));
  const std::string uuid = uuid_of_(vps);
  row.bind(1, vps).bind(2, uuid).bind(3, from).bind(4, to);
  std::map<std::tuple<std::int64_t, int, int, std::uint8_t>, TrafficRow> sums;
  while (VPS_TRY(row.step())) {
    TrafficRow each{start_of(row.number(0), span), direction_of(row.number(1)), family_of(row.number(2)), static_cast<std::uint8_t>(row.number(3)), 0, 0};
    auto& sum = sums.try_emplace({each.from, direction_number(each.direction), static_cast<int>(each.family), each.traffic_class}, each).first->second;
    sum.bytes += static_cast<std::uint64_t>(row.number(4));
    sum.packets += static_cast<std::uint64_t>(row.number(5));
  }
  std::vector<TrafficRow> rows;
  for (auto& [key, sum] : sums) rows.push_back(sum);
  return rows;
}

Result<std::vector<net::TrafficClass>> parse_traffic_classes(std::string_view yaml, std::string_view file_name) {
  auto root = VPS_TRY(parse_yaml(yaml, file_name));
  auto refuse = [&](const Node& node, std::string_view what) { return fail(Code::kUsage, "{}:{}: expected {}", file_name, node.line, what); };
  std::vector<net::TrafficClass> classes;
  for (const auto& member : root.members) {
    if (member.key != "classes") return fail(Code::kUsage, "{}:{}: unknown key {} (classes is known)", file_name, member.line, quote_for_message(member.key));
    if (member.value.kind != Node::Kind::kList) return refuse(member.value, "a list of {class, prefixes}");
    for (const auto& entry : member.value.items) {
      std::optional<std::uint8_t> number;
      const Node* prefixes = nullptr;
      for (const auto& each : entry.members) {
        if (each.key == "class") {
          auto value = parse_u64(each.value.text);
          if (!value || *value >= net::kTrafficClasses) return refuse(each.value, "class: a number from 0 to 15");
          number = static_cast<std::uint8_t>(*value);
        } else if (each.key == "prefixes" && each.value.kind == Node::Kind::kList) {
          prefixes = &each.value;
        } else if (each.key != "name") {
          return fail(Code::kUsage, "{}:{}: expected class, name or prefixes, found {}", file_name, each.line, quote_for_message(each.key));
        }
      }
      if (!number || prefixes == nullptr) return refuse(entry, "both class and prefixes");
      for (const auto& item : prefixes->items) {
        auto prefix = parse_prefix(item.text);
        if (!prefix || prefix->network() != *prefix) return refuse(item, fmt::format("a prefix like 10.0.0.0/8, found '{}'", quote_for_message(item.text)));
        bool twice = std::ranges::any_of(classes, [&](const net::TrafficClass& other) { return other.prefix == *prefix; });
        if (twice) return fail(Code::kUsage, "{}:{}: {} stands there twice", file_name, item.line, format_prefix(*prefix));
        classes.push_back({*prefix, *number});
      }
    }
  }
  return classes;
}

Result<std::vector<net::TrafficClass>> load_traffic_classes(const std::string& path) {
  constexpr std::size_t kMaxFile = 4u << 20;
  if (!path_exists(path)) return std::vector<net::TrafficClass>{};
  auto text = VPS_TRY(read_file(path, kMaxFile));
  return parse_traffic_classes(text, path);
}

}  // namespace vps::daemon
