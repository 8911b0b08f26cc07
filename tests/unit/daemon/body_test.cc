#include "daemon/api/body.h"

#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vps::daemon::api {
namespace {

using testing::HasSubstr;

Body body(std::string_view text) {
  auto parsed = Body::parse(text, {"a", "b", "t"});
  EXPECT_TRUE(parsed) << parsed.error().to_string();
  return *parsed;
}

TEST(BodyTest, NothingIsAnEmptyObject) {
  for (const char* text : {"", "  \n", "{}"}) EXPECT_FALSE(body(text).has("a"));
}

TEST(BodyTest, TypedMembers) {
  auto b = body(R"({"a": "x", "b": ["p", "q"], "t": true})");
  EXPECT_EQ(*b.string("a"), "x");
  EXPECT_EQ(*b.strings("b"), (std::vector<std::string>{"p", "q"}));
  EXPECT_TRUE(*b.flag("t"));
  EXPECT_FALSE(b.string("none")->has_value());
  EXPECT_FALSE(*b.flag("none"));
  EXPECT_TRUE(b.strings("none")->empty());
  EXPECT_FALSE(b.string("b"));
  EXPECT_FALSE(b.strings("a"));
  EXPECT_FALSE(b.flag("a"));
  EXPECT_FALSE(b.required_string("none"));
  EXPECT_FALSE(body(R"({"a": ""})").required_string("a"));
  EXPECT_FALSE(body(R"({"a": null})").string("a")->has_value());
  EXPECT_FALSE(body(R"({"b": ["x\u0000y"]})").strings("b"));
}

TEST(BodyTest, Durations) {
  EXPECT_EQ(body(R"({"t": "90s"})").duration("t")->value().count(), 90'000);
  EXPECT_EQ(body(R"({"t": 5})").duration("t")->value().count(), 5'000);
  EXPECT_FALSE(body(R"({"t": "soon"})").duration("t"));
  EXPECT_FALSE(body(R"({"t": -1})").duration("t"));
  EXPECT_FALSE(body(R"({"t": [1]})").duration("t"));
}

TEST(BodyTest, Environment) {
  EXPECT_EQ(body(R"({"a": {"K": "v"}})").string_map("a")->at("K"), "v");
  EXPECT_FALSE(body(R"({"a": {"K": 1}})").string_map("a"));
  EXPECT_FALSE(body(R"({"a": {"K=L": "v"}})").string_map("a"));
  EXPECT_FALSE(body(R"({"a": {"": "v"}})").string_map("a"));
  EXPECT_FALSE(body(R"({"a": {"K": "v\u0000"}})").string_map("a"));
  EXPECT_FALSE(body(R"({"a": []})").string_map("a"));
}

struct Bad {
  std::string text;
  const char* says;
};
void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.says; }
class BodyErrorTest : public testing::TestWithParam<Bad> {};

TEST_P(BodyErrorTest, OneLineThatSaysWhat) {
  auto parsed = Body::parse(GetParam().text, {"a"});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code(), Code::kUsage);
  EXPECT_THAT(parsed.error().to_string(), HasSubstr(GetParam().says));
  EXPECT_EQ(parsed.error().to_string().find('\n'), std::string::npos);
}

std::string nested(int depth) {
  return R"({"a":)" + std::string(static_cast<std::size_t>(depth - 1), '[') + std::string(static_cast<std::size_t>(depth - 1), ']') + "}";
}

INSTANTIATE_TEST_SUITE_P(All, BodyErrorTest,
                         testing::Values(Bad{"{", "not JSON"}, Bad{"[]", "expected a JSON object"}, Bad{"7", "expected a JSON object"},
                                         Bad{R"({"b": 1})", "unknown member \"b\""}, Bad{R"({"a": 1, "a": 2})", "a is given twice"},
                                         Bad{R"({"a": 1} x)", "not JSON"}, Bad{"{\"a\": \"\xff\"}", "not JSON"},
                                         Bad{nested(33), "nested deeper than 32 levels"},
                                         Bad{std::string(100'000, '['), "nested deeper than 32 levels"}));

TEST(BodyTest, DepthIsCountedOutsideOfStringsAndAtTheEdge) {
  EXPECT_TRUE(Body::parse(nested(32), {"a"}));
  EXPECT_TRUE(Body::parse(R"({"a": ")" + std::string(1000, '[') + R"(\"[["})", {"a"}));
}

}  // namespace
}  // namespace vps::daemon::api
