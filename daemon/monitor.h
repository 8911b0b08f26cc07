// The eyes of vpsd: watches every supervisor's control connection in the loop thread, turns what they say into states and
// events, and decides what becomes of a VPS that has ended. Thread-safe.
#pragma once

#include <functional>
#include <string>

#include "daemon/container.h"
#include "daemon/services.h"

namespace vps::daemon {

class Monitor {
 public:
  // Starts a VPS again; called in the loop thread, must not block. `ticket` is for take_restart().
  using StartAgain = std::function<void(const ContainerPtr&, std::uint64_t ticket)>;

  explicit Monitor(Services& services) : services_(services) {}
  void on_start_again(StartAgain start_again) { start_again_ = std::move(start_again); }

  // Hands over the control connection of a run that has just begun, or that was adopted (then its state and status are
  // set already, and only what its supervisor has to tell once is still to be told).
  void attach(const ContainerPtr& container, supervisor::Client client);
  void report_incidents(const Container& container, const supervisor::Status& status);

  // Calls `request` with the supervisor's connection; kWrongState when there is none.
  template <class T>
  Result<T> with_client(const ContainerPtr& container, const std::function<Result<T>(supervisor::Client&)>& request) {
    auto outcome = [&]() -> Result<T> {
      std::scoped_lock lock(container->client_mutex);
      if (!container->client) return fail(Code::kWrongState, "it is not running");
      return request(*container->client);
    }();
    // Statuses may have come in while the request waited for its reply.
    services_.loop->post([this, container] { drain(container); });
    return outcome;
  }

  // The same for a run that ended without a supervisor to say so (found at start of vpsd), or that was torn down.
  void ended(const ContainerPtr& container, const supervisor::Status& last);

  // Forgets a restart that is waiting; true when there was one.
  bool cancel_restart(const ContainerPtr& container);
  // The restart of this ticket begins now; false when it was taken back since.
  bool take_restart(const ContainerPtr& container, std::uint64_t ticket);
  // A start by policy has failed: wait longer, try again.
  void start_failed(const ContainerPtr& container);

 private:
  void drain(const ContainerPtr& container);
  void on_status(const ContainerPtr& container, const supervisor::Status& status);
  void lost(const ContainerPtr& container);
  void schedule_restart(const ContainerPtr& container, std::uint64_t ticket, Milliseconds delay, const std::string& why);

  Services& services_;
  StartAgain start_again_;
};

// The host's part of its network, by the plan of its last run; already gone is success.
Result<> detach_network(Services& services, const VpsPaths& paths);

// Removes by name what a run leaves: cgroups, its network, files of the run directory (state.json stays). Idempotent. The caller holds the slot.
Result<> tear_down(Services& services, const ContainerPtr& container);

// The marker that this VPS is meant to run, in its run directory: kept over a restart of vpsd.
Result<> set_wanted(const Container& container, bool wanted);
bool is_wanted(const Container& container);

}  // namespace vps::daemon
