#include <fcntl.h>

#include <optional>
#include <vector>

#include "base/files.h"
#include "base/log.h"
#include "cgroups/cgroup.h"
#include "daemon/failpoints.h"
#include "daemon/lifecycle.h"

namespace vps::daemon {
namespace {

using std::chrono::milliseconds;
// Beyond the time that the VPS has: killing, unmounting, hooks.
constexpr milliseconds kGrace{30'000};

Result<> wait_ended(Services& services, const ContainerPtr& container, milliseconds timeout) {
  std::unique_lock lock(container->mutex);
  bool ended = container->changed.wait_for(lock, services.shutdown.get_token(), timeout,
                                           [&] { return !is_running(container->facts.state); });
  if (ended) return {};
  if (services.shutdown.stop_requested()) return fail(Code::kFailed, "vpsd is going away; it goes on stopping");
  return fail(Code::kTimedOut, "it has not ended after {}", format_duration(timeout));
}

// Its supervisor says so with a status right behind the reply.
Result<> wait_state(Services& services, const ContainerPtr& container, State wanted) {
  std::unique_lock lock(container->mutex);
  container->changed.wait_for(lock, services.shutdown.get_token(), kGrace,
                              [&] { return container->facts.state == wanted || !is_running(container->facts.state); });
  if (container->facts.state == wanted) return {};
  return fail(Code::kFailed, "it is {} instead of {}", state_name(container->facts.state), state_name(wanted));
}

Result<> ask(Monitor& monitor, const ContainerPtr& container, const supervisor::Stop& request) {
  auto asked = monitor.with_client<void>(container, [&](supervisor::Client& client) { return client.stop(request); });
  // No connection: it is ending by itself, which the wait will see.
  if (!asked && asked.error().code() != Code::kWrongState) return std::unexpected(std::move(asked).error());
  return {};
}

// Keeps the mount and network namespaces of its init alive while it is killed: who drops the last reference waits for a grace
// period (3 to 10 ms), and that must not be the dying init, whose end is waited for.
class HeldNamespaces {
 public:
  HeldNamespaces(Services& services, const ContainerPtr& container) : services_(services), container_(container) {
    auto facts = container_->snapshot();
    if (!facts.status || facts.status->pid <= 0) return;
    // Should the pid be another process's by now, that one's namespaces live some milliseconds longer: no harm.
    for (const char* kind : {"mnt", "net"})
      if (auto fd = open_path(fmt::format("/proc/{}/ns/{}", facts.status->pid, kind), O_RDONLY)) fds_.push_back(std::move(*fd));
  }
  ~HeldNamespaces() {
    auto ticket = services_.namespaces.close(std::move(fds_));
    std::scoped_lock lock(container_->mutex);
    container_->namespaces = ticket;
  }
  HeldNamespaces(const HeldNamespaces&) = delete;
  HeldNamespaces& operator=(const HeldNamespaces&) = delete;

 private:
  Services& services_;
  const ContainerPtr& container_;
  std::vector<UniqueFd> fds_;
};

// A stop that failed before anybody was asked to stop: it goes on as before.
void take_back_stop(const ContainerPtr& container, State before) {
  {
    std::scoped_lock lock(container->mutex);
    if (container->facts.state != State::kStopping) return;  // it ended meanwhile
    container->facts.state = before;
    container->stop_asked = false;
  }
  if (auto wanted = set_wanted(*container, is_running(before)); !wanted)
    log::warning("vps {}: {}", container->id, wanted.error().to_string());
  container->changed.notify_all();
}

}  // namespace

Result<> stop_vps(Services& services, Monitor& monitor, const ContainerPtr& container, bool force,
                  std::optional<Milliseconds> timeout, Operation& operation) {
  const bool restart_pending = monitor.cancel_restart(container);
  bool ends = false;
  State before{};
  Milliseconds time{0};
  {
    std::scoped_lock lock(container->mutex);
    auto& facts = container->facts;
    before = facts.state;
    auto next = apply_transition(before, Transition::kStop);
    if (!next && !(restart_pending && facts.state == State::kStopped)) return std::unexpected(std::move(next).error());
    if (next) facts.state = *next;
    ends = is_running(facts.state);
    container->stop_asked = ends;
    time = timeout.value_or(facts.definition.stop_timeout);
  }
  container->changed.notify_all();
  auto asked_for = [&]() -> Result<> {
    VPS_TRY(set_wanted(*container, false));
    return step("daemon.stop.wanted");
  }();
  if (!asked_for) {
    take_back_stop(container, before);
    return asked_for;
  }
  if (!ends) {
    services.ledger->append("vps.stopped", container->id, restart_pending ? "will not be started again" : "stopped");
    return {};
  }
  operation.progress(force ? "kill it" : "ask its init to stop", 20);
  std::optional<HeldNamespaces> held;
  if (force) held.emplace(services, container);
  auto asked = ask(monitor, container, {.force = force, .timeout_ms = static_cast<std::uint64_t>(time.count())});
  VPS_TRY(step("daemon.stop.request"));
  if (!asked) {
    log::warning("vps {}: {}", container->id, asked.error().to_string());
    if (!force) {
      take_back_stop(container, before);
      return asked;
    }
    VPS_TRY(kill_vps(services, monitor, container));
  }
  operation.progress("wait until it has ended", 40);
  VPS_TRY(wait_ended(services, container, (force ? milliseconds(0) : time) + kGrace));
  VPS_TRY(step("daemon.stop.ended"));
  operation.progress("clean up", 90);
  VPS_TRY(tear_down(services, container));
  return step("daemon.stop.cleaned");
}

Result<> kill_vps(Services& services, Monitor& monitor, const ContainerPtr& container) {
  (void)set_wanted(*container, false);
  {
    std::scoped_lock lock(container->mutex);
    auto next = next_state(container->facts.state, Transition::kStop);
    if (!next || !is_running(*next)) return {};
    container->facts.state = *next;
    container->stop_asked = true;
  }
  HeldNamespaces held(services, container);
  if (auto asked = ask(monitor, container, {.force = true, .timeout_ms = 0}); !asked) {
    // A supervisor that does not answer shares the fate of its VPS; the lost connection tells the rest.
    log::warning("vps {}: {}; killing its supervisor too", container->id, asked.error().to_string());
    VPS_TRY(cgroups::Group::remove(services.host, container->paths.cgroup_parent));
  }
  return wait_ended(services, container, kGrace);
}

Result<> pause_vps(Services& services, Monitor& monitor, const ContainerPtr& container) {
  {
    std::scoped_lock lock(container->mutex);
    VPS_TRY(apply_transition(container->facts.state, Transition::kPause));
  }
  VPS_TRY(monitor.with_client<void>(container, [](supervisor::Client& client) { return client.pause(); }));
  VPS_TRY(wait_state(services, container, State::kPaused));
  services.ledger->append("vps.paused", container->id, "paused");
  return {};
}

Result<> resume_vps(Services& services, Monitor& monitor, const ContainerPtr& container) {
  {
    std::scoped_lock lock(container->mutex);
    VPS_TRY(apply_transition(container->facts.state, Transition::kResume));
  }
  VPS_TRY(monitor.with_client<void>(container, [](supervisor::Client& client) { return client.resume(); }));
  VPS_TRY(wait_state(services, container, State::kRunning));
  services.ledger->append("vps.resumed", container->id, "resumed");
  return {};
}

}  // namespace vps::daemon
