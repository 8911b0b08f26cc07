#include "base/units.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace vps {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

std::uint64_t size_of(std::string_view text) {
  auto size = parse_size(text);
  EXPECT_TRUE(size) << text;
  return size ? size->value : 0xdead;
}

TEST(Units, Sizes) {
  EXPECT_EQ(size_of("0"), 0u);
  EXPECT_EQ(size_of("4096"), 4096u);
  EXPECT_EQ(size_of("512M"), 512u << 20);
  EXPECT_EQ(size_of("512m"), 512u << 20);
  EXPECT_EQ(size_of("64MiB"), 64u << 20);
  EXPECT_EQ(size_of("100KB"), 100u << 10);
  EXPECT_EQ(size_of("1Gi"), 1u << 30);
  EXPECT_EQ(size_of("1.5G"), 3ull << 29);
  EXPECT_EQ(size_of("0.5T"), 1ull << 39);
  EXPECT_EQ(size_of("1P"), 1ull << 50);
  EXPECT_EQ(size_of("7B"), 7u);
  EXPECT_EQ(size_of("18446744073709551615"), kMax);
  EXPECT_EQ(size_of("16383P"), 16383ull << 50);
  EXPECT_EQ(size_of("0.1K"), 102u);
}

TEST(Units, SizesThatAreNone) {
  for (std::string text : {"", "M", "-1", "+1", " 1", "1 ", "1 M", "1e3", "0x10", "inf", "nan", "1.", ".5", "1..5", "1.5.5M",
                           "12 apples", "1Mi1", "1i", "1BB", "1MM", "1,5G", "512\xc2\xa0M"}) {
    auto size = parse_size(text);
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().code(), Code::kUsage);
  }
  EXPECT_EQ(parse_size("18446744073709551616").error().to_string(), "size '18446744073709551616' is too large");
  EXPECT_EQ(parse_size("16384P").error().to_string(), "size '16384P' is too large");
  EXPECT_EQ(parse_size("16384.0P").error().to_string(), "size '16384.0P' is too large");
  EXPECT_EQ(parse_size("1.5").error().to_string(), "size '1.5' is not a whole number");
  EXPECT_EQ(parse_size("12 apples").error().to_string(), "'12 apples' is not a size (like 512M, 1.5G, 1Gi)");
}

TEST(Units, Rates) {
  EXPECT_EQ(parse_bit_rate("100M")->value, 100'000'000u);
  EXPECT_EQ(parse_bit_rate("1.5g")->value, 1'500'000'000u);
  EXPECT_EQ(parse_bit_rate("100Mbit")->value, 100'000'000u);
  EXPECT_EQ(parse_bit_rate("9600bps")->value, 9600u);
  EXPECT_EQ(parse_bit_rate("1Kbit/s")->value, 1000u);
  for (std::string text : {"", "fast", "100Mi", "100MB", "-5", "1.5", "1M bit"}) EXPECT_FALSE(parse_bit_rate(text)) << text;
}

TEST(Units, Durations) {
  EXPECT_EQ(parse_duration("90s")->count(), 90'000);
  EXPECT_EQ(parse_duration("90")->count(), 90'000);
  EXPECT_EQ(parse_duration("1.5h")->count(), 5'400'000);
  EXPECT_EQ(parse_duration("500ms")->count(), 500);
  EXPECT_EQ(parse_duration("2m")->count(), 120'000);
  EXPECT_EQ(parse_duration("1d")->count(), 86'400'000);
  EXPECT_EQ(parse_duration("0")->count(), 0);
  for (std::string text : {"", "s", "soon", "1w", "1 s", "-1s", "1.5ms", "1S"}) EXPECT_FALSE(parse_duration(text)) << text;
  EXPECT_EQ(parse_duration("36525d")->count(), 3'155'760'000'000);
  EXPECT_EQ(parse_duration("36526d").error().to_string(), "duration '36526d' is too large");
}

TEST(Units, Numbers) {
  EXPECT_EQ(*parse_u64("18446744073709551615"), kMax);
  for (std::string text : {"", "-1", "+1", " 1", "1 ", "1.0", "0x1", "a"}) EXPECT_FALSE(parse_u64(text)) << text;
  EXPECT_EQ(parse_u64("18446744073709551616").error().to_string(), "number '18446744073709551616' is too large");
  EXPECT_EQ(*parse_i64("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  EXPECT_FALSE(parse_i64("9223372036854775808"));
  EXPECT_FALSE(parse_i64("--1"));
  EXPECT_EQ(*parse_decimal("1.5"), 1.5);
  EXPECT_EQ(*parse_decimal("0.3"), 0.3) << "the double that prints as 0.3, not a sum of tenths";
  EXPECT_EQ(*parse_decimal("8191.99"), 8191.99);
  for (std::string text : {"", "-1.5", "1e5", "inf", "nan", "1.5x", "1,5"}) EXPECT_FALSE(parse_decimal(text)) << text;
}

TEST(Units, ShortestText) {
  EXPECT_EQ(format_size({0}), "0");
  EXPECT_EQ(format_size({1023}), "1023");
  EXPECT_EQ(format_size({512u << 20}), "512M");
  EXPECT_EQ(format_size({3ull << 29}), "1536M");
  EXPECT_EQ(format_size({1ull << 60}), "1024P");
  EXPECT_EQ(format_bit_rate({100'000'000}), "100M");
  EXPECT_EQ(format_bit_rate({1024}), "1024");
  EXPECT_EQ(format_duration(Milliseconds(0)), "0s");
  EXPECT_EQ(format_duration(Milliseconds(90'000)), "90s");
  EXPECT_EQ(format_duration(Milliseconds(120'000)), "2m");
  EXPECT_EQ(format_duration(Milliseconds(7'200'000)), "2h");
  EXPECT_EQ(format_duration(Milliseconds(1'500)), "1500ms");
}

TEST(Units, TextReadsBackTheSame) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; ++i) {
    auto shift = static_cast<int>(random() % 64);
    std::uint64_t value = random() >> shift << (random() % 30);
    EXPECT_EQ(parse_size(format_size({value}))->value, value);
    EXPECT_EQ(parse_bit_rate(format_bit_rate({value}))->value, value);
    auto ms = Milliseconds(static_cast<std::int64_t>(value % 3'155'760'000'000));
    EXPECT_EQ(*parse_duration(format_duration(ms)), ms);
  }
  EXPECT_EQ(parse_size(format_size({kMax}))->value, kMax);
}

TEST(Units, ForPeople) {
  EXPECT_EQ(human_size({0}), "0 B");
  EXPECT_EQ(human_size({1023}), "1023 B");
  EXPECT_EQ(human_size({1024}), "1.0 KiB");
  EXPECT_EQ(human_size({1536}), "1.5 KiB");
  EXPECT_EQ(human_size({(1u << 20) - 1}), "1.0 MiB");
  EXPECT_EQ(human_size({kMax}), "16384.0 PiB");
}

}  // namespace
}  // namespace vps
