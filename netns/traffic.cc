#include "netns/traffic.h"

#include <algorithm>

namespace vps::netns {
namespace {

IpAddress zero(Family family) {
  IpAddress address;
  address.family = family;
  return address;
}

// What is never routed is our own.
const std::vector<Prefix>& local_prefixes() {
  static const std::vector<Prefix> kLocal = [] {
    std::vector<Prefix> all;
    for (const char* text : {"127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "::/128", "::1/128", "fe80::/10", "ff00::/8"})
      if (auto prefix = parse_prefix(text)) all.push_back(*prefix);
    return all;
  }();
  return kLocal;
}

struct Ranked {
  Prefix prefix;
  std::uint8_t number;
};

}  // namespace

std::vector<ClassInterval> flatten_classes(std::span<const net::TrafficClass> classes, std::span<const Prefix> own, Family family) {
  std::vector<Ranked> ranked{{{zero(family), 0}, 1}};
  auto take = [&](const Prefix& prefix, std::uint8_t number) {
    if (prefix.family() == family) ranked.push_back({prefix.network(), number});
  };
  for (const auto& prefix : local_prefixes()) take(prefix, 0);
  for (const auto& each : classes) take(each.prefix, each.number);
  for (const auto& prefix : own) take(prefix, 0);
  // Outer ones before inner ones; of equal ones the last one said wins.
  std::ranges::stable_sort(ranked, [](const Ranked& a, const Ranked& b) {
    return a.prefix.address != b.prefix.address ? a.prefix.address < b.prefix.address : a.prefix.length < b.prefix.length;
  });
  std::vector<ClassInterval> result;
  auto emit = [&](const IpAddress& first, const IpAddress& last, std::uint8_t number) {
    if (!result.empty() && result.back().number == number) result.back().last = last;
    else result.push_back({first, last, number});
  };
  // Prefixes nest or are apart: a stack of those that are open, and where the next piece begins.
  std::vector<Ranked> open;
  IpAddress at = zero(family);
  bool done = false;
  auto close = [&] {
    IpAddress last = open.back().prefix.last();
    if (!done && at <= last) {
      emit(at, last, open.back().number);
      at = last;
      done = !advance(at);
    }
    open.pop_back();
  };
  for (const auto& next : ranked) {
    while (!open.empty() && !open.back().prefix.contains(next.prefix)) close();
    if (!open.empty() && at < next.prefix.address) {
      IpAddress before = next.prefix.address;
      for (std::size_t i = address_bytes(family); i-- > 0;)  // one less
        if (before.bytes[i]-- != 0) break;
      emit(at, before, open.back().number);
      at = next.prefix.address;
    }
    open.push_back(next);
  }
  while (!open.empty()) close();
  return result;
}

std::vector<Interval> merge_prefixes(std::span<const Prefix> prefixes, Family family) {
  std::vector<Interval> all;
  for (const auto& prefix : prefixes)
    if (prefix.family() == family) all.push_back({prefix.first(), prefix.last()});
  std::ranges::sort(all, {}, &Interval::first);
  std::vector<Interval> merged;
  for (const auto& each : all) {
    if (!merged.empty()) {
      IpAddress behind = merged.back().last;
      if (!advance(behind) || each.first <= behind) {
        merged.back().last = std::max(merged.back().last, each.last);
        continue;
      }
    }
    merged.push_back(each);
  }
  return merged;
}

TrafficMeter::TrafficMeter(std::span<const TrafficSample> last_readings) {
  for (const auto& each : last_readings)
    last_[{each.id, each.link, each.direction, each.family, each.traffic_class}] = {each.epoch, each.bytes, each.packets};
}

std::vector<net::TrafficCounter> TrafficMeter::add(std::span<const TrafficSample> samples) {
  std::map<Key, net::TrafficCounter> sums;
  for (const auto& sample : samples) {
    Key key{sample.id, sample.link, sample.direction, sample.family, sample.traffic_class};
    auto [at, fresh] = last_.try_emplace(key, Reading{sample.epoch, 0, 0});
    Reading& last = at->second;
    // The same epoch and less than before does not happen; should it, the counter has begun again.
    if (last.epoch != sample.epoch || sample.bytes < last.bytes || sample.packets < last.packets) last = {sample.epoch, 0, 0};
    std::uint64_t bytes = sample.bytes - last.bytes, packets = sample.packets - last.packets;
    last = {sample.epoch, sample.bytes, sample.packets};
    if (bytes == 0 && packets == 0) continue;
    key.link.clear();
    auto& sum = sums[key];
    if (sum.id.empty()) sum = {sample.id, sample.direction, sample.family, sample.traffic_class, 0, 0};
    sum.bytes += bytes;
    sum.packets += packets;
  }
  std::vector<net::TrafficCounter> result;
  for (auto& [key, sum] : sums) result.push_back(std::move(sum));
  return result;
}

std::vector<TrafficSample> TrafficMeter::last_readings() const {
  std::vector<TrafficSample> readings;
  for (const auto& [key, last] : last_)
    readings.push_back({key.id, key.link, key.direction, key.family, key.traffic_class, last.epoch, last.bytes, last.packets});
  return readings;
}

void TrafficMeter::forget(std::string_view id) {
  std::erase_if(last_, [&](const auto& entry) { return entry.first.id == id; });
}

}  // namespace vps::netns
