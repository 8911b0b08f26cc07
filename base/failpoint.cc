#include "base/failpoint.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/units.h"

namespace vps::failpoint {
namespace {

enum class Action { kError, kKill, kSleep };
struct Point {
  std::string name;
  Action action = Action::kError;
  std::uint64_t argument = 0;  // errno or milliseconds
  std::uint64_t pass = 0;      // 0: every pass
  std::atomic<std::uint64_t> passes{0};
};

using Points = std::vector<std::unique_ptr<Point>>;

// Whoever passes a point keeps the list that he has found, while another may set a new one.
struct Configured {
  std::mutex mutex;
  std::shared_ptr<const Points> points;
};
Configured& configured() {
  static Configured instance;
  return instance;
}
constinit std::atomic<bool> any_points = false;

void use(Points list) {
  auto& now = configured();
  std::scoped_lock lock(now.mutex);
  any_points.store(!list.empty());
  now.points = std::make_shared<const Points>(std::move(list));
}

Result<int> errno_by_name(std::string_view name) {
  constexpr int kLastErrno = 133;
  for (int err = 1; err <= kLastErrno; ++err) {
    const char* known = strerrorname_np(err);
    if (known != nullptr && name == known) return err;
  }
  return fail(Code::kUsage, "unknown errno {}", name);
}

}  // namespace

namespace {

Result<Points> parse(std::string_view spec) {
  Points list;
  while (!spec.empty()) {
    auto end = spec.find(';');
    std::string_view item = spec.substr(0, end);
    spec = end == std::string_view::npos ? std::string_view() : spec.substr(end + 1);
    if (item.empty()) continue;
    auto equals = item.find('=');
    if (equals == std::string_view::npos) return fail(Code::kUsage, "failpoint '{}' has no action", item);
    auto point = std::make_unique<Point>();
    std::string_view name = item.substr(0, equals);
    if (auto star = name.find('*'); star != std::string_view::npos) {
      point->pass = VPS_TRY(parse_u64(name.substr(star + 1)));
      name = name.substr(0, star);
    }
    if (name.empty()) return fail(Code::kUsage, "failpoint '{}' has no name", item);
    point->name = name;
    std::string_view action = item.substr(equals + 1);
    std::string_view argument;
    if (auto colon = action.find(':'); colon != std::string_view::npos) {
      argument = action.substr(colon + 1);
      action = action.substr(0, colon);
    }
    if (action == "error") {
      point->action = Action::kError;
      point->argument = static_cast<std::uint64_t>(argument.empty() ? EIO : VPS_TRY(errno_by_name(argument)));
    } else if (action == "kill") {
      point->action = Action::kKill;
    } else if (action == "sleep") {
      point->action = Action::kSleep;
      point->argument = VPS_TRY(parse_u64(argument));
    } else {
      return fail(Code::kUsage, "unknown failpoint action '{}'", action);
    }
    list.push_back(std::move(point));
  }
  return list;
}

}  // namespace

Result<> configure(std::string_view spec) {
  use({});
  use(VPS_TRY(parse(spec)));
  return {};
}

Result<> hit(std::string_view name) {
  if (!any_points.load(std::memory_order_relaxed)) return {};
  std::shared_ptr<const Points> points;
  {
    std::scoped_lock lock(configured().mutex);
    points = configured().points;
  }
  for (const auto& point : *points) {
    if (point->name != name) continue;
    std::uint64_t pass = ++point->passes;
    if (point->pass != 0 && point->pass != pass) continue;
    switch (point->action) {
      case Action::kError: return fail_errno(static_cast<int>(point->argument), "failpoint {}", name);
      case Action::kKill:
        ::kill(::getpid(), SIGKILL);
        ::_exit(128 + SIGKILL);  // pid 1 of a namespace is immune to its own SIGKILL
      case Action::kSleep: std::this_thread::sleep_for(std::chrono::milliseconds(point->argument)); break;
    }
  }
  return {};
}

}  // namespace vps::failpoint
