#include "daemon/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <thread>

#include "base/files.h"
#include "tests/support/temp_dir.h"

namespace vps::daemon {
namespace {

using namespace std::chrono_literals;

class LedgerTest : public testing::Test {
 protected:
  std::unique_ptr<Ledger> open(LedgerLimits limits = {}) {
    set_aside_.clear();
    return Ledger::open(path_, dir_ / "quarantine", limits, &set_aside_);
  }
  void execute(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  test::TempDir dir_;
  std::string path_ = dir_ / "ledger.db";
  std::string set_aside_;
};

TEST_F(LedgerTest, NumbersGoOnAfterAReopen) {
  {
    auto ledger = open();
    EXPECT_EQ(ledger->append("vps.created", "101", "made"), 1u);
    EXPECT_EQ(ledger->append("vps.started", "101", "up", R"({"pid":1})"), 2u);
  }
  auto ledger = open();
  EXPECT_EQ(ledger->last(), 2u);
  EXPECT_EQ(ledger->append("vps.stopped", "102", "down"), 3u);
  auto events = ledger->read(1, 10);
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 2u);
  EXPECT_EQ((*events)[0].seq, 2u);
  EXPECT_EQ((*events)[0].type, "vps.started");
  EXPECT_EQ((*events)[0].vps, "101");
  EXPECT_EQ((*events)[0].message, "up");
  EXPECT_EQ((*events)[0].data, R"({"pid":1})");
  EXPECT_LT(std::chrono::system_clock::now() - (*events)[0].time, 1min);
  EXPECT_TRUE(set_aside_.empty());
  EXPECT_EQ(ledger->trouble(), "");
}

TEST_F(LedgerTest, ReadsOneVpsAndAtMostSoMany) {
  auto ledger = open();
  for (int i = 0; i < 10; ++i) ledger->append("vps.started", i % 2 == 0 ? "a" : "b", std::to_string(i));
  auto events = ledger->read(0, 3, "b");
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 3u);
  EXPECT_EQ((*events)[2].message, "5");
  EXPECT_EQ(ledger->read(0, 100)->size(), 10u);
  EXPECT_EQ(ledger->read(10, 100)->size(), 0u);
}

TEST_F(LedgerTest, IsBoundedByCountAndAge) {
  {
    auto ledger = open({.max_events = 5, .max_age = 1h});
    for (int i = 0; i < 9; ++i) ledger->append("t", "", std::to_string(i));
  }
  EXPECT_EQ(open({.max_events = 5, .max_age = 1h})->read(0, 100)->size(), 5u);
  execute("UPDATE events SET time_ms = time_ms - 7200000");
  auto ledger = open({.max_events = 5, .max_age = 1h});
  EXPECT_EQ(ledger->read(0, 100)->size(), 0u);
  EXPECT_EQ(ledger->append("t", "", "numbers outlive their events"), 10u);
}

TEST_F(LedgerTest, PrunesWhileItRuns) {
  auto ledger = open({.max_events = 100, .max_age = 1h});
  for (int i = 0; i < 2'000; ++i) ledger->append("t", "", "x");
  EXPECT_EQ(ledger->read(0, 10'000)->size(), 100u);
}

TEST_F(LedgerTest, ADamagedFileIsSetAside) {
  ASSERT_TRUE(write_file_atomic(path_, std::string(8192, 'x')));
  auto ledger = open();
  ASSERT_FALSE(set_aside_.empty());
  EXPECT_TRUE(path_exists(set_aside_));
  EXPECT_EQ(ledger->append("t", "", "goes on"), 1u);
  EXPECT_EQ(ledger->trouble(), "");
}

TEST_F(LedgerTest, WithoutRoomItGoesOnInMemoryAndCatchesUp) {
  auto ledger = open();
  ledger->append("t", "", "on disk");
  // A trigger that fails is what a full disk looks like from here: the insert does not happen.
  execute("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END");
  EXPECT_EQ(ledger->append("t", "v", "in memory"), 2u);
  EXPECT_THAT(ledger->trouble(), testing::HasSubstr("full"));
  auto events = ledger->read(0, 10);
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 2u);
  EXPECT_EQ((*events)[1].message, "in memory");
  EXPECT_EQ(ledger->read(0, 10, "v")->size(), 1u);
  EXPECT_EQ(ledger->read(0, 1)->size(), 1u);
  execute("DROP TRIGGER full");
  EXPECT_EQ(ledger->append("t", "", "room again"), 3u);
  EXPECT_EQ(ledger->trouble(), "");
  EXPECT_EQ(ledger->read(0, 10)->size(), 3u);
  ledger.reset();
  EXPECT_EQ(open()->read(0, 10)->size(), 3u);
}

TEST_F(LedgerTest, AFileThatCannotBeMadeIsTroubleAndNotAnError) {
  ASSERT_TRUE(make_dirs(path_));  // a directory in its place
  auto ledger = open();
  EXPECT_NE(ledger->trouble(), "");
  EXPECT_EQ(ledger->append("t", "", "kept"), 1u);
  EXPECT_EQ(ledger->read(0, 10)->size(), 1u);
}

TEST_F(LedgerTest, FollowersWakeUp) {
  auto ledger = open();
  std::stop_source stop;
  EXPECT_FALSE(ledger->wait_beyond(0, stop.get_token(), std::chrono::steady_clock::now() + 10ms));
  std::jthread writer([&] { ledger->append("t", "", "x"); });
  EXPECT_TRUE(ledger->wait_beyond(0, stop.get_token(), std::chrono::steady_clock::now() + 60s));
  std::jthread leaver([&] { stop.request_stop(); });
  EXPECT_FALSE(ledger->wait_beyond(1, stop.get_token(), std::chrono::steady_clock::now() + 60s));
}

TEST_F(LedgerTest, ManyWritersLoseNothing) {
  auto ledger = open();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) ledger->append("t", "v", "x");
      });
  }
  auto events = ledger->read(0, 1'000);
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 400u);
  for (std::size_t i = 0; i < events->size(); ++i) ASSERT_EQ((*events)[i].seq, i + 1);
}

}  // namespace
}  // namespace vps::daemon
