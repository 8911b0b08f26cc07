#include "base/wire.h"

#include <gtest/gtest.h>

namespace vps {
namespace {

TEST(Wire, EverythingGoesRound) {
  WireWriter writer;
  writer.u8(255);
  writer.u32(4'000'000'000);
  writer.i32(-5);
  writer.u64(1ull << 63);
  writer.boolean(true);
  writer.boolean(false);
  writer.string("with");
  writer.string(std::string("a\0b", 3));
  writer.string("");
  writer.strings({"x", "", "yy"});
  writer.strings({});
  WireReader reader(writer.data());
  EXPECT_EQ(reader.u8(), 255);
  EXPECT_EQ(reader.u32(), 4'000'000'000);
  EXPECT_EQ(reader.i32(), -5);
  EXPECT_EQ(reader.u64(), 1ull << 63);
  EXPECT_TRUE(reader.boolean());
  EXPECT_FALSE(reader.boolean());
  EXPECT_EQ(reader.string(), "with");
  EXPECT_EQ(reader.string(), std::string("a\0b", 3));
  EXPECT_EQ(reader.string(), "");
  EXPECT_EQ(reader.strings(), (std::vector<std::string>{"x", "", "yy"}));
  EXPECT_TRUE(reader.strings().empty());
  EXPECT_TRUE(reader.ok());
  EXPECT_TRUE(reader.finish("test"));
}

TEST(Wire, EveryPrefixIsMalformed) {
  WireWriter writer;
  writer.u32(7);
  writer.string("hello");
  writer.strings({"a", "b"});
  writer.u64(9);
  for (std::size_t size = 0; size < writer.data().size(); ++size) {
    std::string cut = writer.data().substr(0, size);
    WireReader reader(cut);
    (void)reader.u32();
    (void)reader.string();
    (void)reader.strings();
    (void)reader.u64();
    EXPECT_FALSE(reader.ok()) << size;
    auto result = reader.finish("greeting");
    ASSERT_FALSE(result) << size;
    EXPECT_EQ(result.error().code(), Code::kUsage);
    EXPECT_EQ(result.error().to_string(), "malformed message greeting");
  }
}

TEST(Wire, WhatIsLeftOverIsMalformed) {
  WireWriter writer;
  writer.u32(7);
  writer.u8(1);
  WireReader reader(writer.data());
  (void)reader.u32();
  EXPECT_TRUE(reader.ok());
  EXPECT_FALSE(reader.finish("x"));
}

TEST(Wire, ForgedLengthsAllocateNothing) {
  std::string forged(4, '\xff');
  std::string short_text = forged + "abc";
  WireReader text(short_text);
  EXPECT_EQ(text.string(), "");
  EXPECT_FALSE(text.ok());
  std::string many = forged + std::string("\1\0\0\0x", 5);
  WireReader list(many);
  EXPECT_LE(list.strings().size(), 2u);
  EXPECT_FALSE(list.ok());
}

TEST(Wire, AfterTheFirstBadFieldAllReadsFail) {
  WireWriter writer;
  writer.u8(1);
  WireReader reader(writer.data());
  EXPECT_EQ(reader.u32(), 0u);
  EXPECT_EQ(reader.u8(), 0) << "the byte that was there must not be read any more";
  EXPECT_EQ(reader.string(), "");
  EXPECT_TRUE(reader.strings().empty());
  EXPECT_FALSE(reader.finish("x"));
}

}  // namespace
}  // namespace vps
