// Running the real vpsctl against a fake vpsd.
#pragma once

#include <gtest/gtest.h>

#include "tests/support/command.h"
#include "tests/unit/cli/fake_vpsd.h"

namespace vps::test {

using Words = std::vector<std::string>;

inline CommandOptions options_for(const FakeVpsd& fake, const std::string& input = {}) {
  return {.timeout = std::chrono::seconds(20),
          .input = input,
          .env = {{"VPS_SOCKET", fake.socket()}, {"NO_COLOR", ""}, {"VISUAL", ""}, {"EDITOR", ""}, {"TMPDIR", fake.dir().path()}}};
}

inline CommandResult vpsctl(const FakeVpsd& fake, Words words, const std::string& input = {}) {
  words.insert(words.begin(), VPSCTL_PROGRAM);
  auto ran = run(words, options_for(fake, input));
  EXPECT_TRUE(ran) << (ran ? "" : ran.error().to_string());
  if (!ran) return {};
  EXPECT_FALSE(ran->timed_out) << ran->describe();
  return *ran;
}

inline std::string error_json(const std::string& code, const std::string& message) {
  return R"({"code":")" + code + R"(","message":")" + message + R"(","details":{"k":"v"}})";
}

}  // namespace vps::test
