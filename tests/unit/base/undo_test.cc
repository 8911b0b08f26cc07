#include "base/undo.h"

#include <gtest/gtest.h>

namespace vps {
namespace {

TEST(Undo, RunsInReverseOrder) {
  std::string order;
  {
    UndoStack undo;
    undo.push("a", [&] { order += 'a'; });
    undo.push("b", [&] { order += 'b'; });
    undo.push("c", [&] { order += 'c'; });
    EXPECT_EQ(undo.size(), 3u);
  }
  EXPECT_EQ(order, "cba");
}

TEST(Undo, CommitKeepsEverything) {
  int calls = 0;
  {
    UndoStack undo;
    undo.push("a", [&] { ++calls; });
    undo.commit();
    EXPECT_EQ(undo.size(), 0u);
    undo.push("b", [&] { calls += 10; });
  }
  EXPECT_EQ(calls, 10) << "what came after the commit is undone";
}

TEST(Undo, RollbackRunsOnce) {
  int calls = 0;
  UndoStack undo;
  undo.push("a", [&] { ++calls; });
  undo.rollback();
  undo.rollback();
  EXPECT_EQ(calls, 1);
}

TEST(Undo, AnInverseMayPush) {
  std::string order;
  UndoStack undo;
  undo.push("a", [&] { order += 'a'; });
  undo.push("b", [&] {
    order += 'b';
    undo.push("c", [&] { order += 'c'; });
  });
  undo.rollback();
  EXPECT_EQ(order, "bca");
}

TEST(Undo, MovedFromOwesNothing) {
  int calls = 0;
  {
    UndoStack inner;
    inner.push("a", [&] { ++calls; });
    UndoStack outer(std::move(inner));
    outer.commit();
  }
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace vps
