#include "cli/oci/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vps::vpsrun {
namespace {

Record example() {
  Record record;
  record.id = "one";
  record.owner = 5;
  record.pid = 77;
  record.start_time = 123456;
  return record;
}

TEST(VpsrunRecord, IsReadAsItWasWritten) {
  auto again = parse_record(format_record(example()));
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(*again, example());
}

// A pid that is cut to its type would be another process.
TEST(VpsrunRecord, NumbersBeyondTheirTypeAreRefused) {
  auto with = [](std::string_view from, std::string_view to) {
    auto text = format_record(example());
    auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  EXPECT_TRUE(parse_record(with("\"pid\":77", "\"pid\":0")));
  for (const char* pid : {"4294967373", "77.5", "1e39", "-1", "99999999999999999999", "\"77\"", "true"}) {
    auto refused = parse_record(with("\"pid\":77", std::string("\"pid\":") + pid));
    ASSERT_FALSE(refused) << pid;
    EXPECT_THAT(refused.error().to_string(), testing::HasSubstr("pid")) << pid;
  }
  EXPECT_FALSE(parse_record(with("\"owner\":5", "\"owner\":-5")));
  EXPECT_FALSE(parse_record(with("\"startTime\":123456", "\"startTime\":-1")));
  EXPECT_FALSE(parse_record(with("\"version\":1", "\"version\":4294967297")));
}

}  // namespace
}  // namespace vps::vpsrun
