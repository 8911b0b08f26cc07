#include "daemon/operations.h"

#include <gtest/gtest.h>

#include <thread>

namespace vps::daemon {
namespace {

using namespace std::chrono_literals;

SteadyTime in(std::chrono::milliseconds delay) { return std::chrono::steady_clock::now() + delay; }

TEST(OperationsTest, LivesFromRunningToDone) {
  Operations operations(10);
  auto operation = operations.create("start", "101");
  EXPECT_EQ(operation->view().status, OperationStatus::kRunning);
  operation->progress("spawn", 40);
  operation->warn("careful");
  operation->warn("careful");
  operation->set_result(R"({"pid":7})");
  auto view = operation->view();
  EXPECT_EQ(view.step, "spawn");
  EXPECT_EQ(view.percent, 40);
  EXPECT_EQ(operations.running(), 1u);
  operation->finish({});
  view = operation->view();
  EXPECT_EQ(view.status, OperationStatus::kDone);
  EXPECT_EQ(view.percent, 100);
  EXPECT_EQ(view.result, R"({"pid":7})");
  EXPECT_EQ(view.warnings, std::vector<std::string>{"careful"});
  EXPECT_EQ(operations.running(), 0u);
  operation->finish(fail(Code::kFailed, "too late"));
  operation->progress("too late", 1);
  EXPECT_EQ(operation->view().status, OperationStatus::kDone);
  EXPECT_EQ(operation->view().percent, 100);
}

TEST(OperationsTest, FailureKeepsTheError) {
  Operations operations(10);
  auto operation = operations.create("create", "x");
  operation->finish(fail(Code::kUnavailable, "no room"));
  ASSERT_TRUE(operation->view().error);
  EXPECT_EQ(operation->view().error->code(), Code::kUnavailable);
  EXPECT_EQ(operation->view().status, OperationStatus::kFailed);
}

TEST(OperationsTest, CancelOnlyWhileItIsPossible) {
  Operations operations(10);
  auto operation = operations.create("template", "x");
  EXPECT_EQ(operation->cancel().error().code(), Code::kWrongState);
  operation->allow_cancel(true);
  EXPECT_TRUE(operation->cancel());
  EXPECT_TRUE(operation->cancelled());
  operation->finish(fail(Code::kFailed, "cancelled"));
  EXPECT_EQ(operation->view().status, OperationStatus::kCancelled);
  EXPECT_EQ(operation->cancel().error().code(), Code::kWrongState);
}

TEST(OperationsTest, ACancelThatCameTooLateIsDone) {
  Operations operations(10);
  auto operation = operations.create("template", "x");
  operation->allow_cancel(true);
  EXPECT_TRUE(operation->cancel());
  operation->finish({});
  EXPECT_EQ(operation->view().status, OperationStatus::kDone);
}

TEST(OperationsTest, WaitReturnsAtTheEndOrTheDeadlineOrWhenNobodyCares) {
  Operations operations(10);
  auto operation = operations.create("start", "101");
  std::stop_source leave;
  EXPECT_EQ(operation->wait(in(5ms), leave.get_token()).status, OperationStatus::kRunning);
  std::jthread worker([&] { operation->finish({}); });
  EXPECT_EQ(operation->wait(in(60s), leave.get_token()).status, OperationStatus::kDone);
  auto other = operations.create("start", "102");
  std::jthread leaver([&] { leave.request_stop(); });
  EXPECT_EQ(other->wait(in(60s), leave.get_token()).status, OperationStatus::kRunning);
}

TEST(OperationsTest, WaitForProgress) {
  Operations operations(10);
  auto operation = operations.create("create", "101");
  operation->progress("a", 10);
  EXPECT_EQ(operation->wait(in(60s), {}, 5, "a").percent, 10);
  EXPECT_EQ(operation->wait(in(60s), {}, 10, "b").step, "a");
  EXPECT_EQ(operation->wait(in(5ms), {}, 10, "a").percent, 10);
  std::jthread worker([&] { operation->progress("b"); });
  EXPECT_EQ(operation->wait(in(60s), {}, 10, "a").step, "b");
}

TEST(OperationsTest, HistoryIsBoundedAndRunningOnesStay) {
  Operations operations(3, 0ms);
  auto running = operations.create("create", "first");
  std::string early;
  for (int i = 0; i < 20; ++i) {
    auto operation = operations.create("start", std::to_string(i));
    if (i == 0) early = operation->id();
    operation->finish({});
  }
  operations.create("start", "last");
  auto all = operations.list();
  EXPECT_EQ(all.size(), 5u);  // what list() leaves out may be there until the next sweep
  EXPECT_EQ(all.front()->vps(), "last");
  EXPECT_EQ(all.back()->vps(), "first");
  EXPECT_TRUE(operations.find(running->id()));
  EXPECT_EQ(operations.find(early).error().code(), Code::kNotFound);
  EXPECT_EQ(operations.find("op-1").error().code(), Code::kNotFound);
}

TEST(OperationsTest, OutcomesOfManyAreThereToBeAskedFor) {
  Operations operations(3);
  std::vector<std::string> ids;
  for (int i = 0; i < 2000; ++i) {
    ids.push_back(operations.create("destroy", std::to_string(i))->id());
    ASSERT_TRUE(operations.find(ids.back()));
    (*operations.find(ids.back()))->finish({});
  }
  for (const auto& id : ids) ASSERT_TRUE(operations.find(id)) << id;
  EXPECT_EQ(operations.list().size(), 3u);
  auto number = ids.front().substr(ids.front().rfind('-') + 1);
  EXPECT_FALSE(operations.find(ids.front().substr(0, ids.front().size() - number.size()) + "0" + number));
}

TEST(OperationsTest, RecentOnesAreBoundedToo) {
  Operations operations(100);
  auto first = operations.create("start", "");
  first->finish({});
  for (std::size_t i = 0; i < Operations::kMostKept * 5 / 4 + 100; ++i) operations.create("start", "")->finish({});
  EXPECT_FALSE(operations.find(first->id()));
}

TEST(OperationsTest, IdsOfTwoRunsDiffer) {
  // An id that was given out before a restart must not name another operation afterwards.
  Operations one(3);
  Operations two(3);
  EXPECT_NE(one.create("a", "")->id(), two.create("a", "")->id());
}

TEST(OperationsTest, CancelAll) {
  Operations operations(3);
  auto a = operations.create("a", "");
  auto b = operations.create("b", "");
  a->allow_cancel(true);
  operations.cancel_all();
  EXPECT_TRUE(a->cancelled());
  EXPECT_FALSE(b->cancelled());
}

TEST(OperationsTest, ReadersAndAWriterTogether) {
  Operations operations(3);
  auto operation = operations.create("a", "");
  std::vector<std::jthread> readers;
  for (int i = 0; i < 4; ++i)
    readers.emplace_back([&] {
      int seen = 0;
      while (true) {
        auto view = operation->wait(in(60s), {}, seen);
        EXPECT_GE(view.percent, seen);
        seen = view.percent;
        if (view.status != OperationStatus::kRunning) break;
      }
    });
  for (int i = 1; i < 100; ++i) operation->progress("step", i);
  operation->finish({});
}

}  // namespace
}  // namespace vps::daemon
