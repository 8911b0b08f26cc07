// What concerns all VPSes of a host at once: its boot and its shutdown.
#include <atomic>
#include <latch>
#include <map>

#include "base/files.h"
#include "base/log.h"
#include "daemon/manager.h"

namespace vps::daemon {
namespace {

// Calls `job` for each of `all`, `width` at a time, and returns when all are done.
void for_each_parallel(Workers& workers, const std::vector<ContainerPtr>& all, std::size_t width,
                       const std::function<void(const ContainerPtr&)>& job) {
  std::atomic<std::size_t> next = 0;
  auto run = [&] {
    for (std::size_t i = next++; i < all.size(); i = next++) job(all[i]);
  };
  const std::size_t helpers = std::min(width, all.size()) - (all.empty() ? 0 : 1);
  std::latch done(static_cast<std::ptrdiff_t>(helpers));
  for (std::size_t i = 0; i < helpers; ++i) {
    bool posted = workers.post([&] {
      run();
      done.count_down();
    });
    if (!posted) done.count_down();
  }
  run();
  done.wait();
}

using Groups = std::map<std::int32_t, std::vector<ContainerPtr>>;

std::string autostart_marker(const Services& services) { return services.config.roots.run + "/autostart"; }

}  // namespace

void Manager::autostart() {
  const std::string marker = autostart_marker(services_);
  auto text = read_file(marker, 4096);
  const std::string begun = services_.boot_id + " begun\n";
  const std::string done = services_.boot_id + " done\n";
  if (text && *text == done) return;
  const bool resumed = text && *text == begun;
  Groups groups;
  for (const auto& container : services_.registry.list()) {
    auto facts = container->snapshot();
    if (!facts.definition.onboot || facts.broken || facts.doomed || is_running(facts.state)) continue;
    // An earlier vpsd of this boot came as far as this one already, whatever became of it.
    if (resumed && path_exists(container->paths.run_state)) continue;
    groups[facts.definition.boot_order].push_back(container);
  }
  if (auto written = write_file_atomic(marker, begun); !written) {
    // Without the marker a restart of vpsd would start again what an operator has stopped.
    log::error("nothing is started at boot: {}", written.error().to_string());
    return;
  }
  auto submitted = run_unslotted("autostart", "", [this, groups, marker, done](Operation& operation) -> Result<> {
    std::atomic<int> failed = 0;
    const std::size_t width = services_.config.start_parallel != 0 ? services_.config.start_parallel : services_.facts.cpus;
    for (const auto& [order, members] : groups) {
      operation.progress(fmt::format("boot order {}", order));
      for_each_parallel(*services_.workers, members, width, [&](const ContainerPtr& container) {
        if (services_.shutdown.stop_requested()) return;
        auto started = start(container->id, {}, Milliseconds(0));
        if (!started) {
          log::warning("vps {}: not started at boot: {}", container->id, started.error().to_string());
          ++failed;
          return;
        }
        auto view = (*started)->wait(SteadyTime::max(), services_.shutdown.get_token());
        if (view.status != OperationStatus::kDone) ++failed;
      });
    }
    if (services_.shutdown.stop_requested()) return fail(Code::kFailed, "vpsd is going away");
    VPS_TRY(write_file_atomic(marker, done));
    if (failed > 0) return fail(Code::kFailed, "{} did not start", failed.load());
    return {};
  });
  if (!submitted) log::error("nothing is started at boot: {}", submitted.error().to_string());
}

Result<OperationPtr> Manager::shut_down_host(std::optional<Milliseconds> timeout) {
  Groups groups;
  for (const auto& container : services_.registry.list()) {
    auto facts = container->snapshot();
    if (is_running(facts.state) || facts.restart_at) groups[facts.definition.boot_order].push_back(container);
  }
  return run_unslotted("host-shutdown", "", [this, groups, timeout](Operation& operation) -> Result<> {
    constexpr Milliseconds kTurn{600'000};
    std::atomic<int> failed = 0;
    for (auto it = groups.rbegin(); it != groups.rend(); ++it) {
      operation.progress(fmt::format("stop boot order {}", it->first));
      // All of one order at once: each mostly waits for its own init.
      for_each_parallel(*services_.workers, it->second, it->second.size(), [&](const ContainerPtr& container) {
        auto stopped = stop(container->id, {.force = false, .timeout = timeout}, kTurn);
        if (!stopped) {
          // Ended by itself meanwhile: that is what was wanted.
          if (is_running(container->state())) ++failed;
          return;
        }
        auto view = (*stopped)->wait(SteadyTime::max(), services_.shutdown.get_token());
        if (view.status != OperationStatus::kDone && is_running(container->state())) ++failed;
      });
    }
    if (failed > 0) return fail(Code::kFailed, "{} did not stop", failed.load());
    return {};
  });
}

}  // namespace vps::daemon
