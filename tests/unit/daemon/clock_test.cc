#include "daemon/clock.h"

#include <gtest/gtest.h>

namespace vps::daemon {
namespace {

TEST(ClockTest, PrintsRfc3339) {
  EXPECT_EQ(format_time(from_unix_ms(0)), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(format_time(from_unix_ms(1'709'294'400'250)), "2024-03-01T12:00:00.250Z");
  EXPECT_EQ(format_time(from_unix_ms(-1)), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(format_time(from_unix_ms(-1000)), "1969-12-31T23:59:59.000Z");
}

}  // namespace
}  // namespace vps::daemon
