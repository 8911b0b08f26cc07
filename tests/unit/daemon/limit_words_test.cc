#include "daemon/limit_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vps::daemon {
namespace {

using cgroups::Enforcement;
using testing::ElementsAre;

TEST(LimitWords, AreThoseOfTheDefinition) {
  auto said = in_definition_words({
      {"memory.swap", "768M", Enforcement::Kind::kEnforced, "memory:memory.memsw.limit_in_bytes", ""},
      {"memory.limit", "512M", Enforcement::Kind::kEnforced, "memory:memory.limit_in_bytes", ""},
      {"memory.low", "33554432", Enforcement::Kind::kAccountedOnly, "memory:memory.soft_limit_in_bytes", "soft"},
      {"cpu.quota", "1.5 CPUs", Enforcement::Kind::kEnforced, "cpu.max", ""},
      {"blockIO.throttleWriteIOPSDevice 254:0", "200", Enforcement::Kind::kEnforced, "io.max", ""},
      {"pids.limit", "20", Enforcement::Kind::kEnforced, "pids.max", ""},
  });
  EXPECT_THAT(said, ElementsAre(Enforcement{"memory.swap", "256M", Enforcement::Kind::kEnforced, "memory:memory.memsw.limit_in_bytes", ""},
                                Enforcement{"memory.limit", "512M", Enforcement::Kind::kEnforced, "memory:memory.limit_in_bytes", ""},
                                Enforcement{"memory.guarantee", "32M", Enforcement::Kind::kAccountedOnly, "memory:memory.soft_limit_in_bytes", "soft"},
                                Enforcement{"cpu.limit", "1.5 CPUs", Enforcement::Kind::kEnforced, "cpu.max", ""},
                                Enforcement{"io.writeIops", "200", Enforcement::Kind::kEnforced, "io.max 254:0", ""},
                                Enforcement{"pids.limit", "20", Enforcement::Kind::kEnforced, "pids.max", ""}));
}

TEST(LimitWords, UnlimitedSwapStaysAWord) {
  auto said = in_definition_words({{"memory.limit", "512M", {}, "", ""}, {"memory.swap", "unlimited", {}, "", ""}});
  EXPECT_EQ(said[1].value, "unlimited");
}

TEST(LimitWords, JsonComesBackTheSame) {
  Enforcement limit{"io.weight", "50", Enforcement::Kind::kAccountedOnly, "blkio:blkio.bfq.weight", "no disk \"heeds\" it"};
  auto back = parse_enforcement(enforcement_json(limit));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, limit);
  for (const char* bad : {"", "[]", "{}", R"({"limit":"x","state":"perhaps"})", R"({"state":1})"}) EXPECT_FALSE(parse_enforcement(bad)) << bad;
  auto list = parse_limits(format_limits({limit, limit}));
  ASSERT_TRUE(list);
  EXPECT_THAT(*list, ElementsAre(limit, limit));
  for (const char* bad : {"", "{}", "[1]", R"([{"limit":"x"}])"}) EXPECT_FALSE(parse_limits(bad)) << bad;
}

}  // namespace
}  // namespace vps::daemon
