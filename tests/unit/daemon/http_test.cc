#include "daemon/api/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vps::daemon::api {
namespace {

using testing::HasSubstr;
using Query = std::map<std::string, std::string>;

TEST(HttpTest, SplitsAndDecodes) {
  std::string path;
  Query query;
  ASSERT_TRUE(split_target("/v1/a%20b/c?x=1&y&z=a%3Db+c&", &path, &query));
  EXPECT_EQ(path, "/v1/a b/c");
  EXPECT_EQ(query, (Query{{"x", "1"}, {"y", ""}, {"z", "a=b c"}}));
}

TEST(HttpTest, RefusesBadTargets) {
  for (const char* target : {"/%", "/%1", "/%zz", "/%00", "/a%0a", "/a?x=%7f", "/a?x=1&x=2"}) {
    std::string path;
    Query query;
    auto split = split_target(target, &path, &query);
    ASSERT_FALSE(split) << target;
    EXPECT_EQ(split.error().code(), Code::kUsage);
  }
}

TEST(HttpTest, QueryValues) {
  Request request;
  request.query = {{"one", "1"}, {"empty", ""}, {"no", "false"}, {"odd", "maybe"}, {"n", "42"}, {"big", "3601"}};
  EXPECT_TRUE(*query_flag(request, "one"));
  EXPECT_TRUE(*query_flag(request, "empty"));
  EXPECT_FALSE(*query_flag(request, "no"));
  EXPECT_FALSE(*query_flag(request, "absent"));
  EXPECT_EQ(query_flag(request, "odd").error().code(), Code::kUsage);
  EXPECT_EQ(query_number(request, "n")->value(), 42u);
  EXPECT_FALSE(query_number(request, "absent")->has_value());
  EXPECT_FALSE(query_number(request, "odd"));
  EXPECT_EQ(query_wait(request, "n")->count(), 42'000);
  EXPECT_EQ(query_wait(request, "absent")->count(), 0);
  EXPECT_FALSE(query_wait(request, "big"));
}

TEST(HttpTest, ErrorsHaveStatusCodeAndExit) {
  auto reply = error_reply(Error(Code::kBusy, EBUSY, "start is under way"));
  EXPECT_EQ(reply.status, 423);
  EXPECT_THAT(reply.body, HasSubstr(R"("code":"busy")"));
  EXPECT_THAT(reply.body, HasSubstr(R"("exit":7)"));
  EXPECT_THAT(reply.body, HasSubstr(R"("errno":"EBUSY")"));
  EXPECT_EQ(http_status(Code::kUsage), 400);
  EXPECT_EQ(http_status(Code::kNotFound), 404);
  EXPECT_EQ(http_status(Code::kExists), 409);
  EXPECT_EQ(http_status(Code::kWrongState), 409);
  EXPECT_EQ(http_status(Code::kNotAllowed), 403);
  EXPECT_EQ(http_status(Code::kTimedOut), 504);
  EXPECT_EQ(http_status(Code::kUnavailable), 507);
  EXPECT_EQ(http_status(Code::kFailed), 500);
}

TEST(HttpTest, BytesThatAreNoTextDoNotBreakTheAnswer) {
  EXPECT_THAT(error_json(Error(Code::kFailed, "bad \xff byte")), HasSubstr("bad \xef\xbf\xbd byte"));
}

}  // namespace
}  // namespace vps::daemon::api
