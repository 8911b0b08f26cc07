#include "netns/traffic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace vps::netns {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Prefix prefix(const std::string& text) { return *parse_prefix(text); }

std::vector<std::string> text(const std::vector<ClassInterval>& intervals) {
  std::vector<std::string> lines;
  for (const auto& each : intervals) lines.push_back(fmt::format("{}-{} {}", format_ip(each.first), format_ip(each.last), each.number));
  return lines;
}

TEST(Traffic, TheLongestPrefixWinsAndAllSpaceIsCovered) {
  std::vector<net::TrafficClass> classes{{prefix("10.0.0.0/8"), 2}, {prefix("10.1.0.0/16"), 3}, {prefix("10.1.2.0/24"), 2}, {prefix("192.0.2.1/32"), 5}};
  std::vector<Prefix> own{prefix("10.1.3.7/24")};
  EXPECT_THAT(text(flatten_classes(classes, own, Family::kV4)),
              ElementsAre("0.0.0.0-9.255.255.255 1", "10.0.0.0-10.0.255.255 2", "10.1.0.0-10.1.1.255 3", "10.1.2.0-10.1.2.255 2",
                          "10.1.3.0-10.1.3.255 0", "10.1.4.0-10.1.255.255 3", "10.2.0.0-10.255.255.255 2", "11.0.0.0-126.255.255.255 1",
                          "127.0.0.0-127.255.255.255 0", "128.0.0.0-169.253.255.255 1", "169.254.0.0-169.254.255.255 0", "169.255.0.0-192.0.2.0 1",
                          "192.0.2.1-192.0.2.1 5", "192.0.2.2-223.255.255.255 1", "224.0.0.0-239.255.255.255 0", "240.0.0.0-255.255.255.254 1",
                          "255.255.255.255-255.255.255.255 0"));
  EXPECT_THAT(text(flatten_classes(classes, own, Family::kV6)),
              ElementsAre("::-::1 0", "::2-fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff 1", "fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff 0",
                          "fec0::-feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 1", "ff00::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 0"));
}

TEST(Traffic, TheEdgesOfTheSpace) {
  EXPECT_THAT(text(flatten_classes(std::vector<net::TrafficClass>{{prefix("0.0.0.0/0"), 7}, {prefix("255.255.255.255/32"), 8}, {prefix("0.0.0.0/32"), 9}}, {}, Family::kV4)).front(),
              "0.0.0.0-0.0.0.0 9");
  EXPECT_THAT(text(flatten_classes(std::vector<net::TrafficClass>{{prefix("255.255.255.255/32"), 8}}, {}, Family::kV4)).back(), "255.255.255.255-255.255.255.255 8");
  // Of equal prefixes the later one counts, and own networks over both.
  std::vector<net::TrafficClass> twice{{prefix("10.0.0.0/8"), 2}, {prefix("10.0.0.0/8"), 3}};
  EXPECT_EQ(flatten_classes(twice, {}, Family::kV4)[1].number, 3);
  EXPECT_EQ(flatten_classes(twice, std::vector<Prefix>{prefix("10.0.0.0/8")}, Family::kV4)[1].number, 0);
}

// Against the plain definition, over random prefixes that nest a lot.
TEST(Traffic, FlatteningSaysWhatTheLongestPrefixSays) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<net::TrafficClass> classes;
    for (int i = 0; i < 12; ++i) {
      auto length = static_cast<std::uint8_t>(random() % 9 * 4);
      Prefix any{*parse_ip(fmt::format("20.{}.{}.{}", random() % 2 * 16, random() % 2 * 128, random() % 4)), length};
      classes.push_back({any.network(), static_cast<std::uint8_t>(2 + random() % 14)});
    }
    auto intervals = flatten_classes(classes, {}, Family::kV4);
    for (std::size_t i = 1; i < intervals.size(); ++i) {
      IpAddress behind = intervals[i - 1].last;
      ASSERT_TRUE(advance(behind));
      ASSERT_EQ(behind, intervals[i].first);
    }
    for (int i = 0; i < 100; ++i) {
      IpAddress address = *parse_ip(fmt::format("20.{}.{}.{}", random() % 2 * 16, random() % 2 * 128, random() % 6));
      int best = -1, number = 1;
      for (const auto& each : classes)
        if (each.prefix.contains(address) && each.prefix.length >= best) {
          best = each.prefix.length;
          number = each.number;
        }
      for (const auto& each : intervals)
        if (each.first <= address && address <= each.last) {
          ASSERT_EQ(each.number, number) << format_ip(address);
        }
    }
  }
}

TEST(Traffic, PrefixesMerge) {
  std::vector<Prefix> all{prefix("10.0.1.0/24"), prefix("10.0.0.0/24"), prefix("10.0.0.128/25"), prefix("10.0.3.0/24"), prefix("255.255.255.0/24"), prefix("fd00::/8")};
  auto merged = merge_prefixes(all, Family::kV4);
  ASSERT_EQ(merged.size(), 3u);
  EXPECT_EQ(format_ip(merged[0].last), "10.0.1.255");
  EXPECT_EQ(format_ip(merged[2].last), "255.255.255.255");
  EXPECT_THAT(merge_prefixes({}, Family::kV6), IsEmpty());
}

TrafficSample sample(std::uint64_t epoch, std::uint64_t bytes, const std::string& link = "v1.0") {
  return {"1", link, net::Direction::kIn, Family::kV4, 3, epoch, bytes, bytes / 10};
}

TEST(Traffic, TheMeterNeverGoesBackwardsAndNeverCountsTwice) {
  TrafficMeter meter;
  auto bytes = [](const std::vector<net::TrafficCounter>& counters) {
    std::uint64_t sum = 0;
    for (const auto& each : counters) sum += each.bytes;
    return sum;
  };
  EXPECT_EQ(bytes(meter.add(std::vector{sample(5, 100)})), 100u);
  EXPECT_THAT(meter.add(std::vector{sample(5, 100)}), IsEmpty());
  EXPECT_EQ(bytes(meter.add(std::vector{sample(5, 130), sample(9, 50, "v1.1")})), 80u);
  EXPECT_EQ(bytes(meter.add(std::vector{sample(6, 70)})), 70u);   // flushed, and begun again
  EXPECT_EQ(bytes(meter.add(std::vector{sample(6, 20)})), 20u);   // less without a new epoch
  EXPECT_THAT(meter.add({}), IsEmpty());
  TrafficMeter later(meter.last_readings());                      // vpsd starts again
  EXPECT_EQ(bytes(later.add(std::vector{sample(6, 25), sample(9, 50, "v1.1")})), 5u);
  later.forget("1");
  EXPECT_EQ(bytes(later.add(std::vector{sample(6, 25)})), 25u);
}

}  // namespace
}  // namespace vps::netns
