// Long work as the API shows it: an Operation is written by the one thread that does the work and read by any number of
// others. The registry keeps the running ones and a history. Everything here is thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "daemon/clock.h"

namespace vps::daemon {

enum class OperationStatus { kRunning, kDone, kFailed, kCancelled };
std::string_view operation_status_name(OperationStatus status);

// One consistent picture of an operation.
struct OperationView {
  std::string id, kind, vps;
  OperationStatus status = OperationStatus::kRunning;
  int percent = 0;
  std::string step;
  SystemTime created, ended;
  std::optional<Error> error;
  std::string result;  // JSON text, or empty
  std::vector<std::string> warnings;
};

class Operation {
 public:
  Operation(std::string id, std::string kind, std::string vps);

  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] const std::string& kind() const { return kind_; }
  [[nodiscard]] const std::string& vps() const { return vps_; }
  [[nodiscard]] OperationView view() const;
  [[nodiscard]] std::optional<SystemTime> ended() const;  // no value while it runs

  // For the working thread. percent < 0 leaves it as it is.
  void progress(std::string_view step, int percent = -1);
  void warn(std::string text);
  void set_result(std::string json);
  // The last thing that a worker says. A cancelled operation that failed ends as cancelled.
  void finish(const Result<>& outcome);

  // Cancelling is a request: the work looks at cancelled() between steps, or waits with the token. The worker closes the
  // window when it has come to the point of no return.
  [[nodiscard]] bool cancelled() const { return stop_.stop_requested(); }
  [[nodiscard]] std::stop_token token() const { return stop_.get_token(); }
  void allow_cancel(bool allowed);
  Result<> cancel();

  // Returns when the operation has ended, at `deadline`, or when `abandoned` is asked to stop; with `percent`/`step` also
  // as soon as either differs from what is given.
  OperationView wait(SteadyTime deadline, const std::stop_token& abandoned, std::optional<int> percent = {},
                     const std::optional<std::string>& step = {}) const;

 private:
  [[nodiscard]] OperationView view_locked() const;

  const std::string id_, kind_, vps_;
  const SystemTime created_;
  std::stop_source stop_;
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  OperationStatus status_ = OperationStatus::kRunning;
  int percent_ = 0;
  std::string step_;
  SystemTime ended_;
  std::optional<Error> error_;
  std::string result_;
  std::vector<std::string> warnings_;
  bool can_cancel_ = false;
};

using OperationPtr = std::shared_ptr<Operation>;

class Operations {
 public:
  // A client that has begun a thousand of them asks for their outcomes one by one: what has ended within the last `keep` is
  // there, up to kMostKept. What is older goes, but for the newest `history`.
  static constexpr std::chrono::minutes kKeep{10};
  static constexpr std::size_t kMostKept = 20'000;

  explicit Operations(std::size_t history, std::chrono::milliseconds keep = kKeep);

  OperationPtr create(const std::string& kind, const std::string& vps);
  Result<OperationPtr> find(const std::string& id) const;  // kNotFound
  std::vector<OperationPtr> list() const;                  // newest first: the running ones, of the others `history`
  [[nodiscard]] std::size_t running() const;
  // Asks every running operation to stop; for the end of the daemon.
  void cancel_all();

 private:
  void sweep_locked();

  const std::size_t history_;
  const std::chrono::milliseconds keep_;
  const std::string prefix_;  // differs from run to run: an id of an earlier vpsd must not name another operation now
  mutable std::mutex mutex_;
  std::uint64_t next_ = 1;
  std::map<std::uint64_t, OperationPtr> all_;  // by the number in the id
  std::size_t next_sweep_;                     // when there are so many
};

}  // namespace vps::daemon
