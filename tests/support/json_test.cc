#include "tests/support/json.h"

#include <gtest/gtest.h>

namespace vps::test {
namespace {

TEST(JsonTest, ReadsByPointer) {
  auto json = Json::parse(R"({"a": {"b": [1, "two", 3.5, true]}, "n": null})");
  ASSERT_TRUE(json);
  EXPECT_EQ(json->number("/a/b/0"), 1);
  EXPECT_EQ(json->string("/a/b/1"), "two");
  EXPECT_EQ(json->real("/a/b/2"), 3.5);
  EXPECT_TRUE(json->boolean("/a/b/3"));
  EXPECT_EQ(json->size("/a/b"), 4u);
  EXPECT_EQ(json->items("/a/b")[1].string(""), "two");
  EXPECT_EQ(json->keys("/a"), std::vector<std::string>{"b"});
  EXPECT_EQ(json->type("/n"), "null");
}

TEST(JsonTest, WhatIsNotThereReadsAsNothing) {
  auto json = Json::parse("{}");
  ASSERT_TRUE(json);
  EXPECT_FALSE(json->has("/x"));
  EXPECT_EQ(json->type("/x"), "missing");
  EXPECT_EQ(json->string("/x"), "");
  EXPECT_EQ(json->number("/x"), 0);
}

TEST(JsonTest, RefusesWhatIsNotJson) {
  EXPECT_FALSE(Json::parse("{"));
  EXPECT_FALSE(Json::parse(""));
}

TEST(JsonTest, ReadsLines) {
  auto lines = Json::parse_lines("{\"seq\": 1}\n\n{\"seq\": 2}\n");
  ASSERT_TRUE(lines);
  ASSERT_EQ(lines->size(), 2u);
  EXPECT_EQ((*lines)[1].number("/seq"), 2);
  EXPECT_FALSE(Json::parse_lines("{}\nno\n"));
}

}  // namespace
}  // namespace vps::test
