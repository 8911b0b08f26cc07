// The book of events: SQLite (WAL) at <state>/ledger.db, sequence numbers that grow by one and are never used twice, replay
// from any of them, bounded by count and age. Thread-safe.
//
// When the disk is full or broken the daemon goes on: events stay in memory (bounded) under the numbers that they will have
// on disk, are replayed from there, and are written as soon as a write succeeds; trouble() says so meanwhile.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "daemon/clock.h"

namespace vps::daemon {

struct Event {
  std::uint64_t seq = 0;
  SystemTime time;
  std::string type;     // "vps.started"
  std::string vps;      // id, or empty
  std::string message;
  std::string data;     // a JSON object as text, or empty
};

struct LedgerLimits {
  std::uint64_t max_events = 100'000;
  std::chrono::hours max_age{24 * 90};
};

class Ledger {
 public:
  // A database that is damaged is moved aside to `quarantine_dir` (the new path is put into `set_aside`) and a new one
  // is begun, going on after the highest number that can still be read there. A file that cannot be opened at all
  // (no room, no permission) is trouble(), not an error, and is tried again from time to time.
  static std::unique_ptr<Ledger> open(const std::string& path, const std::string& quarantine_dir, LedgerLimits limits,
                                      std::string* set_aside);
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // Never fails as far as the caller is concerned; returns the number.
  std::uint64_t append(std::string_view type, std::string_view vps, std::string_view message, std::string data = {});
  // At most `limit` events after `seq`, in order; only those of `vps` when that is not empty.
  Result<std::vector<Event>> read(std::uint64_t seq, std::size_t limit, const std::string& vps = {}) const;
  [[nodiscard]] std::uint64_t last() const;
  // True as soon as there is an event after `seq`; false when `abandoned` is asked to stop or at `deadline`.
  bool wait_beyond(std::uint64_t seq, const std::stop_token& abandoned, SteadyTime deadline) const;
  // Empty: all is on disk.
  [[nodiscard]] std::string trouble() const;
 private:
  struct Database;
  Ledger(std::string path, LedgerLimits limits);
  Result<> use_locked(std::unique_ptr<Database> db);
  Result<> write_pending_locked();
  void flush_locked();
  Result<> prune_locked();

  const std::string path_;
  const LedgerLimits limits_;
  mutable std::mutex mutex_;
  mutable std::condition_variable_any grown_;
  std::unique_ptr<Database> db_;  // null while it cannot be opened
  SteadyTime next_try_{};
  std::uint64_t last_ = 0;
  std::uint64_t appended_ = 0;
  std::deque<Event> pending_;  // not yet on disk, oldest first
  std::string trouble_;
};

}  // namespace vps::daemon
