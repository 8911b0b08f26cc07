#include "daemon/networks/traffic.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace vps::daemon {
namespace {

class TrafficTest : public testing::Test {
 protected:
  Traffic open() {
    return Traffic(dir_ / "ledger.db", [this](const std::string& vps) { return vps == "1" ? uuid_ : std::string(); });
  }
  static netns::TrafficSample in(std::uint64_t bytes, std::uint64_t epoch = 1, std::uint8_t number = 1) {
    return {"1", "v1.0", net::Direction::kIn, Family::kV4, number, epoch, bytes, bytes / 100};
  }
  static constexpr std::int64_t kEnd = 253'402'300'800;
  vps::test::TempDir dir_;
  std::string uuid_ = "u1";
};

TEST_F(TrafficTest, GrowsOverResetsAndRestartsOfVpsd) {
  {
    auto traffic = open();
    ASSERT_TRUE(traffic.add({in(1000)}, false));
    ASSERT_TRUE(traffic.add({in(1500)}, true));
    EXPECT_EQ(traffic.totals("1")->in_bytes, 1500u);
    ASSERT_TRUE(traffic.add({in(1700)}, false));  // read, not written: the kernel still has it
  }
  auto traffic = open();
  EXPECT_EQ(traffic.totals("1")->in_bytes, 1500u);
  ASSERT_TRUE(traffic.add({in(1800)}, false));
  EXPECT_EQ(traffic.totals("1")->in_bytes, 1800u);
  ASSERT_TRUE(traffic.add({in(50, 2)}, true));  // another epoch: it began at 0 again
  EXPECT_EQ(traffic.totals("1")->in_bytes, 1850u);
  auto rows = traffic.usage("1", 0, kEnd, UsageSpan::kTotal);
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ((*rows)[0].bytes, 1850u);
}

TEST_F(TrafficTest, ClassesAndDirectionsStayApart) {
  auto traffic = open();
  auto out = in(70);
  out.direction = net::Direction::kOut;
  ASSERT_TRUE(traffic.add({in(1000, 1, 0), in(500, 1, 2), out}, false));
  auto rows = traffic.usage("1", 0, kEnd, UsageSpan::kMonth);
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->size(), 3u);
  EXPECT_EQ(traffic.totals("1")->in_bytes, 1500u);
  EXPECT_EQ(traffic.totals("1")->out_bytes, 70u);
  EXPECT_TRUE(traffic.usage("1", 0, 3600, UsageSpan::kHour)->empty());
}

TEST_F(TrafficTest, AnotherVpsOfThatIdBeginsAtZero) {
  auto traffic = open();
  ASSERT_TRUE(traffic.add({in(1000)}, true));
  traffic.forget("1");
  uuid_ = "u2";
  EXPECT_EQ(traffic.totals("1")->in_bytes, 0u);
  EXPECT_TRUE(traffic.usage("1", 0, kEnd, UsageSpan::kTotal)->empty());
  auto stranger = in(5);
  stranger.id = "9";
  ASSERT_TRUE(traffic.add({stranger}, true));
  EXPECT_EQ(traffic.totals("9")->in_bytes, 0u);
}

TEST(TrafficClasses, AreRead) {
  auto classes = parse_traffic_classes("classes:\n  - {class: 2, name: near, prefixes: [10.0.0.0/8, \"fd00::/8\"]}\n  - {class: 15, prefixes: [192.0.2.1]}\n", "c");
  ASSERT_TRUE(classes) << classes.error().to_string();
  ASSERT_EQ(classes->size(), 3u);
  EXPECT_EQ((*classes)[2].number, 15);
  auto refused = [](const char* text) { return parse_traffic_classes(text, "c").error().to_string(); };
  EXPECT_EQ(refused("classes: [{class: 16, prefixes: [10.0.0.0/8]}]"), "c:1: expected class: a number from 0 to 15");
  EXPECT_EQ(refused("classes: [{class: 1, prefixes: [10.0.0.1/8]}]"), "c:1: expected a prefix like 10.0.0.0/8, found '10.0.0.1/8'");
  EXPECT_EQ(refused("classes: [{class: 1, prefixes: [10.0.0.0/8]}, {class: 2, prefixes: [10.0.0.0/8]}]"), "c:1: 10.0.0.0/8 stands there twice");
  EXPECT_EQ(refused("class: []"), "c:1: unknown key class (classes is known)");
}

}  // namespace
}  // namespace vps::daemon
