#include "daemon/idmap_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace vps::daemon {
namespace {

constexpr std::uint32_t kBase = 1u << 20;

TEST(IdmapPoolTest, HandsOutTheLowestFreeRange) {
  IdmapPool pool(kBase, 3);
  EXPECT_EQ(*pool.allocate("a"), (IdRange{kBase, 65536}));
  EXPECT_EQ(*pool.allocate("b"), (IdRange{kBase + 65536, 65536}));
  pool.release("a");
  EXPECT_EQ(*pool.allocate("c"), (IdRange{kBase, 65536}));
  EXPECT_EQ(*pool.allocate("d"), (IdRange{kBase + 2 * 65536, 65536}));
  auto none = pool.allocate("e");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), Code::kUnavailable);
  EXPECT_EQ(pool.used(), 3u);
}

TEST(IdmapPoolTest, RefusesAnOverlapAndNamesTheOwner) {
  IdmapPool pool(kBase, 8);
  ASSERT_TRUE(pool.reserve({kBase + 70'000, 1'000}, "odd"));
  for (IdRange range : {IdRange{kBase + 70'000, 1'000}, IdRange{kBase + 70'999, 1}, IdRange{kBase + 69'000, 1'001},
                        IdRange{kBase, 1u << 20}}) {
    auto taken = pool.reserve(range, "other");
    ASSERT_FALSE(taken) << range.base << ":" << range.size;
    EXPECT_EQ(taken.error().code(), Code::kExists);
    EXPECT_THAT(taken.error().message(), testing::HasSubstr("odd"));
  }
  EXPECT_TRUE(pool.reserve({kBase + 71'000, 1}, "right behind"));
  EXPECT_TRUE(pool.reserve({kBase + 69'999, 1}, "right before"));
}

TEST(IdmapPoolTest, SkipsWhatIsTakenInsideItsOwnRange) {
  IdmapPool pool(kBase, 4);
  ASSERT_TRUE(pool.reserve({kBase + 10, 65536 * 2}, "odd"));  // touches slots 0, 1 and 2
  EXPECT_EQ(pool.allocate("a")->base, kBase + 3 * 65536);
  EXPECT_FALSE(pool.allocate("b"));
}

TEST(IdmapPoolTest, WorksUpToTheEndOfTheNumberSpace) {
  IdmapPool pool(0xffff0000u, 1);
  EXPECT_EQ(pool.allocate("a")->base, 0xffff0000u);
  EXPECT_FALSE(pool.allocate("b"));
  EXPECT_FALSE(pool.reserve({0xffffffffu, 1}, "c"));
}

TEST(IdmapPoolTest, NoUserNamespaceTakesNothing) {
  IdmapPool pool(kBase, 1);
  ASSERT_TRUE(pool.reserve({0, 0}, "a"));
  ASSERT_TRUE(pool.reserve({0, 0}, "b"));
  EXPECT_EQ(pool.used(), 0u);
}

TEST(IdmapPoolTest, ThreadsNeverShareARange) {
  IdmapPool pool(kBase, 400);
  std::vector<std::vector<std::uint32_t>> got(8);
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < got.size(); ++t)
      threads.emplace_back([&, t] {
        for (int i = 0; i < 50; ++i) got[t].push_back(pool.allocate(std::to_string(t) + "-" + std::to_string(i))->base);
      });
  }
  std::set<std::uint32_t> all;
  for (const auto& each : got) all.insert(each.begin(), each.end());
  EXPECT_EQ(all.size(), 400u);
}

}  // namespace
}  // namespace vps::daemon
