#include "base/log.h"

#include <gtest/gtest.h>

#include <string>

namespace vps {
namespace {

class Log : public testing::Test {
 protected:
  void TearDown() override { log::set_sink({}, log::Level::kWarning); }
};

TEST_F(Log, TheSinkGetsWhatIsAtOrAboveTheThreshold) {
  std::string seen;
  log::set_sink([&](log::Level level, std::string_view text) { seen += fmt::format("{}={};", log::level_name(level), text); },
                log::Level::kInfo);
  log::debug("a {}", 1);
  log::info("b {}", 2);
  log::warning("c");
  log::error("d");
  EXPECT_EQ(seen, "info=b 2;warning=c;error=d;");
  EXPECT_FALSE(log::enabled(log::Level::kDebug));
}

TEST_F(Log, WithoutASinkWarningsGoToStderr) {
  testing::internal::CaptureStderr();
  log::info("not shown");
  log::warning("disk {}", "full");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "warning: disk full\n");
}

}  // namespace
}  // namespace vps
