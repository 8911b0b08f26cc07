#include "daemon/operations.h"

#include <algorithm>
#include <ranges>

#include "base/files.h"
#include "base/units.h"

namespace vps::daemon {

std::string_view operation_status_name(OperationStatus status) {
  switch (status) {
    case OperationStatus::kRunning: return "running";
    case OperationStatus::kDone: return "done";
    case OperationStatus::kFailed: return "failed";
    case OperationStatus::kCancelled: return "cancelled";
  }
  return "failed";
}

Operation::Operation(std::string id, std::string kind, std::string vps)
    : id_(std::move(id)), kind_(std::move(kind)), vps_(std::move(vps)), created_(std::chrono::system_clock::now()) {}

OperationView Operation::view_locked() const {
  OperationView view;
  view.id = id_;
  view.kind = kind_;
  view.vps = vps_;
  view.status = status_;
  view.percent = percent_;
  view.step = step_;
  view.created = created_;
  view.ended = ended_;
  view.error = error_;
  view.result = result_;
  view.warnings = warnings_;
  return view;
}

OperationView Operation::view() const {
  std::scoped_lock lock(mutex_);
  return view_locked();
}

std::optional<SystemTime> Operation::ended() const {
  std::scoped_lock lock(mutex_);
  return status_ == OperationStatus::kRunning ? std::nullopt : std::optional(ended_);
}

void Operation::progress(std::string_view step, int percent) {
  {
    std::scoped_lock lock(mutex_);
    if (status_ != OperationStatus::kRunning) return;
    step_ = step;
    if (percent >= 0) percent_ = std::min(percent, 100);
  }
  changed_.notify_all();
}

void Operation::warn(std::string text) {
  std::scoped_lock lock(mutex_);
  // A create that starts as well meets the same limits twice.
  if (std::ranges::find(warnings_, text) == warnings_.end()) warnings_.push_back(std::move(text));
}

void Operation::set_result(std::string json) {
  std::scoped_lock lock(mutex_);
  result_ = std::move(json);
}

void Operation::finish(const Result<>& outcome) {
  {
    std::scoped_lock lock(mutex_);
    if (status_ != OperationStatus::kRunning) return;
    ended_ = std::chrono::system_clock::now();
    can_cancel_ = false;
    if (outcome) {
      status_ = OperationStatus::kDone;
      percent_ = 100;
    } else {
      status_ = stop_.stop_requested() ? OperationStatus::kCancelled : OperationStatus::kFailed;
      error_ = outcome.error();
    }
  }
  changed_.notify_all();
}

void Operation::allow_cancel(bool allowed) {
  std::scoped_lock lock(mutex_);
  can_cancel_ = allowed;
}

Result<> Operation::cancel() {
  {
    std::scoped_lock lock(mutex_);
    if (status_ != OperationStatus::kRunning)
      return fail(Code::kWrongState, "operation {} has ended ({})", id_, operation_status_name(status_));
    if (!can_cancel_) return fail(Code::kWrongState, "operation {} cannot be cancelled any more", id_);
  }
  // Outside of the lock: stop callbacks run here, in this thread.
  stop_.request_stop();
  changed_.notify_all();
  return {};
}

OperationView Operation::wait(SteadyTime deadline, const std::stop_token& abandoned, std::optional<int> percent,
                              const std::optional<std::string>& step) const {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, abandoned, deadline, [&] {
    if (status_ != OperationStatus::kRunning) return true;
    return (percent && *percent != percent_) || (step && *step != step_);
  });
  return view_locked();
}

Operations::Operations(std::size_t history, std::chrono::milliseconds keep)
    : history_(history), keep_(keep), prefix_("op-" + random_hex(2) + "-"), next_sweep_(history + history / 4 + 1) {}

OperationPtr Operations::create(const std::string& kind, const std::string& vps) {
  std::scoped_lock lock(mutex_);
  // Not each time: a sweep looks at all of them.
  if (all_.size() >= next_sweep_) {
    sweep_locked();
    next_sweep_ = std::max(history_, all_.size()) * 5 / 4 + 1;
  }
  auto number = next_++;
  auto operation = std::make_shared<Operation>(prefix_ + std::to_string(number), kind, vps);
  all_.emplace(number, operation);
  return operation;
}

void Operations::sweep_locked() {
  struct Ended {
    std::uint64_t number;
    SystemTime at;
  };
  std::vector<Ended> ended;
  for (const auto& [number, operation] : all_)
    if (auto at = operation->ended()) ended.push_back({number, *at});
  if (ended.size() <= history_) return;
  auto since = std::chrono::system_clock::now() - keep_;
  auto excess = ended.size() > kMostKept ? ended.size() - kMostKept : 0;
  for (std::size_t i = 0; i + history_ < ended.size(); ++i)
    if (i < excess || ended[i].at < since) all_.erase(ended[i].number);
}

Result<OperationPtr> Operations::find(const std::string& id) const {
  if (id.starts_with(prefix_)) {
    if (auto number = parse_u64(std::string_view(id).substr(prefix_.size()))) {
      std::scoped_lock lock(mutex_);
      // The id itself is compared too: "007" is a number, not the id of an operation.
      if (auto it = all_.find(*number); it != all_.end() && it->second->id() == id) return it->second;
    }
  }
  return fail(Code::kNotFound, "no operation {}", id);
}

std::vector<OperationPtr> Operations::list() const {
  std::scoped_lock lock(mutex_);
  std::vector<OperationPtr> listed;
  std::size_t ended = 0;
  for (const auto& [number, operation] : all_ | std::views::reverse)
    if (!operation->ended() || ended++ < history_) listed.push_back(operation);
  return listed;
}

std::size_t Operations::running() const {
  std::scoped_lock lock(mutex_);
  return static_cast<std::size_t>(
      std::ranges::count_if(all_, [](const auto& each) { return !each.second->ended(); }));
}

void Operations::cancel_all() {
  for (const auto& operation : list()) (void)operation->cancel();
}

}  // namespace vps::daemon
