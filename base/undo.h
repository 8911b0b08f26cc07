// A stack of inverses. Every acquisition pushes how to give itself back; commit() keeps everything, destruction
// without commit runs the inverses in reverse order. An inverse must be idempotent and must not throw.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace vps {

class UndoStack {
 public:
  UndoStack() = default;
  UndoStack(UndoStack&&) noexcept = default;
  UndoStack& operator=(UndoStack&&) = delete;
  UndoStack(const UndoStack&) = delete;
  UndoStack& operator=(const UndoStack&) = delete;
  ~UndoStack() { rollback(); }

  void push(std::string what, std::function<void()> inverse) {
    entries_.push_back({std::move(what), std::move(inverse)});
  }
  void commit() { entries_.clear(); }
  void rollback() {
    while (!entries_.empty()) {
      auto entry = std::move(entries_.back());
      entries_.pop_back();
      entry.inverse();
    }
  }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string what;
    std::function<void()> inverse;
  };
  std::vector<Entry> entries_;
};

}  // namespace vps
