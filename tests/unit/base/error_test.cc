#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace vps {
namespace {

TEST(Error, CodesAreTheExitCodesOfTheInterface) {
  const std::pair<Code, std::string_view> kAll[] = {
      {Code::kOk, "ok"},         {Code::kFailed, "failed"},          {Code::kUsage, "usage"},
      {Code::kNotFound, "not_found"}, {Code::kExists, "exists"},     {Code::kWrongState, "wrong_state"},
      {Code::kNotAllowed, "not_allowed"}, {Code::kBusy, "busy"},     {Code::kTimedOut, "timed_out"},
      {Code::kUnavailable, "unavailable"}};
  int number = 0;
  for (const auto& [code, name] : kAll) {
    EXPECT_EQ(static_cast<int>(code), number++);
    EXPECT_EQ(code_name(code), name);
    EXPECT_EQ(code_from_name(name), code);
  }
  EXPECT_EQ(code_from_name("no such"), Code::kFailed);
  EXPECT_EQ(code_name(static_cast<Code>(77)), "failed");
  EXPECT_EQ(code_name(static_cast<Code>(-1)), "failed");
}

TEST(Error, ErrnoClasses) {
  EXPECT_EQ(code_from_errno(ENOENT), Code::kNotFound);
  EXPECT_EQ(code_from_errno(EEXIST), Code::kExists);
  EXPECT_EQ(code_from_errno(EPERM), Code::kNotAllowed);
  EXPECT_EQ(code_from_errno(EACCES), Code::kNotAllowed);
  EXPECT_EQ(code_from_errno(EBUSY), Code::kBusy);
  EXPECT_EQ(code_from_errno(ETIMEDOUT), Code::kTimedOut);
  EXPECT_EQ(code_from_errno(ENOSPC), Code::kUnavailable);
  EXPECT_EQ(code_from_errno(EDQUOT), Code::kUnavailable);
  EXPECT_EQ(code_from_errno(ENOSYS), Code::kUnavailable);
  EXPECT_EQ(code_from_errno(EIO), Code::kFailed);
}

Result<int> number_or_error(bool good, int* calls) {
  ++*calls;
  if (!good) return fail_errno(EPERM, "mount {}", "proc");
  return 7;
}
Result<int> outer(bool good, int* calls) {
  int value = VPS_TRY(number_or_error(good, calls));
  return value + 1;
}
Result<> outermost(bool good, int* calls) {
  VPS_TRY_CTX("start vps 101", outer(good, calls));
  return {};
}

TEST(Error, TryEvaluatesOnceAndKeepsCodeAndErrno) {
  int calls = 0;
  EXPECT_EQ(*outer(true, &calls), 8);
  EXPECT_EQ(calls, 1);
  auto result = outermost(false, &calls);
  EXPECT_EQ(calls, 2);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().to_string(), "start vps 101: mount proc: Operation not permitted");
  EXPECT_EQ(result.error().message(), "start vps 101: mount proc");
  EXPECT_EQ(result.error().err(), EPERM);
  EXPECT_EQ(result.error().code(), Code::kNotAllowed);
  EXPECT_EQ(std::move(result).error().with_code(Code::kBusy).code(), Code::kBusy);
}

TEST(Error, UnknownErrnoAndNone) {
  EXPECT_EQ(Error(Code::kFailed, 100000, "x").to_string(), "x: unknown error");
  EXPECT_EQ(Error(Code::kUsage, "x").to_string(), "x");
}

}  // namespace
}  // namespace vps
