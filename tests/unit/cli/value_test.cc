#include <gmock/gmock.h>
#include <yaml-cpp/yaml.h>

#include <limits>

#include "cli/common/value.h"

namespace vps::cli {
namespace {

Value parsed(std::string_view text) {
  auto value = parse_json(text, "test");
  EXPECT_TRUE(value) << text << ": " << (value ? "" : value.error().to_string());
  return value ? *value : Value();
}

TEST(Json, KeepsTheOrderOfMembersAndEveryNumber) {
  std::string text = R"({"z":1,"a":[true,null,-5,18446744073709551615,1.5],"m":{"k":"v"}})";
  EXPECT_EQ(format_json(parsed(text), 0), text);
}

TEST(Json, Indented) {
  EXPECT_EQ(format_json(parsed(R"({"a":[1,2],"b":{},"c":[]})")), "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {},\n  \"c\": []\n}");
}

TEST(Json, WritesTextSoThatItReadsBack) {
  std::string nasty = "quote\" back\\ nl\n tab\t nul\x01 del\x7f e\xc3\xa9 snow\xe2\x98\x83";
  Value value(nasty);
  EXPECT_EQ(parsed(format_json(value, 0)).string(), nasty);
  EXPECT_EQ(format_json(value, 0).find('\x7f'), std::string::npos);
}

TEST(Json, DoublesStayDoubles) {
  EXPECT_EQ(format_json(Value(1.0), 0), "1.0");
  EXPECT_EQ(format_json(Value(std::numeric_limits<double>::infinity()), 0), "null");
}

TEST(Json, RefusesWhatIsNoJson) {
  for (const char* text : {"", "{", "{\"a\":1,}", "[1 2]", "nul", "\"\xff\"", "{} {}", "1e999"}) {
    auto value = parse_json(text, "answer");
    ASSERT_FALSE(value) << text;
    EXPECT_THAT(value.error().message(), testing::StartsWith("answer: ")) << text;
  }
}

TEST(Json, DepthHasALimit) {
  auto nested = [](int depth) { return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']'); };
  EXPECT_TRUE(parse_json(nested(kMaxJsonDepth), "x"));
  EXPECT_FALSE(parse_json(nested(kMaxJsonDepth + 1), "x"));
}

TEST(Value, ReadsWhatIsNotThereAsNothing) {
  Value value = parsed(R"({"a":{"b":[1]},"s":"text","n":-1})");
  EXPECT_TRUE(value.get("x").get("y").is_null());
  EXPECT_TRUE(value.path("a.c.d").is_null());
  EXPECT_EQ(value.get("a").string(), "");
  EXPECT_EQ(value.get("s").items().size(), 0u);
  EXPECT_FALSE(value.get("n").u64());
  EXPECT_EQ(value.get("n").number(), -1.0);
  EXPECT_EQ(value.path("a.b").text(), "1");
}

TEST(Value, PathsFindMembersWithDots) {
  Value value = parsed(R"({"labels":{"a.b":"x","a":{"c":"y"}}})");
  EXPECT_EQ(value.path("labels.a.b").text(), "x");
  EXPECT_EQ(value.path("labels.a.c").text(), "y");
}

TEST(Value, SetReplaces) {
  Value value = Value::object();
  value.set("a", 1).set("b", 2).set("a", "three");
  EXPECT_EQ(format_json(value, 0), R"({"a":"three","b":2})");
}

TEST(Yaml, QuotesWhatWouldNotBeTextAndReadsBackTheSame) {
  // yaml-cpp stands for any other reader.
  Value value = parsed(R"({"id":"101","yes":"no","word":"web","path":"/srv/x","empty":"","num":7,"flag":true,"none":null,
    "colon":"a: b","hash":"a #b","dash":"-x","lines":"a\nb","list":["1.5","plain",{"name":"eth0","up":false},[1,["2"]],[],{}],
    "map":{"a key":"v","~":"tilde"}})");
  std::string text = format_yaml(value);
  EXPECT_THAT(text, testing::HasSubstr("id: \"101\"\n"));
  EXPECT_THAT(text, testing::HasSubstr("word: web\n"));
  EXPECT_THAT(text, testing::HasSubstr("path: /srv/x\n"));
  YAML::Node node = YAML::Load(text);
  for (const auto& member : value.members()) {
    if (member.value.is_string()) {
      EXPECT_EQ(node[member.key].as<std::string>(), member.value.string()) << member.key << "\n" << text;
    }
  }
  EXPECT_TRUE(node["none"].IsNull());
  EXPECT_EQ(node["list"].size(), 6u);
  EXPECT_EQ(node["list"][2]["name"].as<std::string>(), "eth0");
  EXPECT_EQ(node["list"][3][1][0].as<std::string>(), "2");
  EXPECT_TRUE(node["list"][4].IsSequence());
  EXPECT_TRUE(node["list"][5].IsMap());
  EXPECT_EQ(node["map"]["a key"].as<std::string>(), "v");
}

TEST(Yaml, Golden) {
  EXPECT_EQ(format_yaml(parsed(R"({"a":{"b":[{"x":1,"l":[1,2]},"z"]},"c":[]})")),
            "a:\n  b:\n    - x: 1\n      l:\n        - 1\n        - 2\n    - z\nc: []\n");
  EXPECT_EQ(format_yaml(Value("on")), "\"on\"\n");
  EXPECT_EQ(format_yaml(Value::array()), "[]\n");
}

TEST(Utf8, Edges) {
  for (const char* good : {"", "ascii", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(is_utf8(good)) << testing::PrintToString(good);
  for (const char* bad : {"\x80", "\xc1\xbf", "\xc3", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xff", "a\xe2\x98"})
    EXPECT_FALSE(is_utf8(bad)) << testing::PrintToString(bad);
}

}  // namespace
}  // namespace vps::cli
