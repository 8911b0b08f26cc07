// One VPS as vpsd knows it. What changes a VPS holds its `slot`; the fields below `mutex` are read and written under it, for
// moments only (no I/O, no waiting but on `changed`). `client_mutex` is held while a request to the supervisor waits for its
// reply. Order of locks: slot, client_mutex, mutex.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cgroups/cgroup.h"
#include "daemon/backoff.h"
#include "daemon/deferred_close.h"
#include "daemon/networks/traffic.h"
#include "daemon/clock.h"
#include "daemon/records.h"
#include "daemon/slot.h"
#include "runtime/supervisor/client.h"
#include "specs/vps/definition.h"
#include "specs/vps/id.h"
#include "specs/vps/state.h"

namespace vps::daemon {

struct Sample {
  SystemTime time;
  cgroups::Stats stats;
  TrafficTotals network;
};

// The facts that are copied out for whoever prints them.
struct ContainerFacts {
  Definition definition;               // as saved
  std::optional<Definition> active;    // what is in force in the present run
  Record record;
  State state = State::kCreating;
  std::optional<supervisor::Status> status;  // of the present or the last run
  std::vector<std::string> limits;           // JSON objects: what enforces each, as applied to the present run
  std::string init_kind, init_path;
  std::string error;                   // why the last start failed, or what is wrong with its files
  bool broken = false;                 // its definition could not be read: only destroy and apply are possible
  bool doomed = false;                 // its destruction was interrupted: only destroy is possible
  unsigned restarts = 0;               // by policy or reboot, since the last start that was asked for
  std::optional<SystemTime> restart_at;
  std::optional<cgroups::Usage> usage;  // of the last round
};

class Container {
 public:
  Container(const Roots& roots, std::string vps_id, BackoffPolicy backoff_policy)
      : id(std::move(vps_id)), paths(vps_paths(roots, id)), backoff(backoff_policy) {}

  const std::string id;
  const VpsPaths paths;
  OperationSlot slot;

  mutable std::mutex mutex;
  mutable std::condition_variable_any changed;
  ContainerFacts facts;
  Backoff backoff;
  SteadyTime run_began{};
  bool stop_asked = false;         // an operator's stop is under way
  bool automatic = false;          // this run was begun by policy, reboot or boot: a failed start counts as a failed run
  bool teardown_due = false;       // a run has ended and its leavings are still there
  std::uint64_t run = 0;           // counts starts and adoptions
  std::uint64_t restart_ticket = 0;  // a pending restart is valid only while this has not changed
  DeferredClose::Ticket namespaces = 0;  // of the last run, in Services::namespaces
  bool gone = false;               // destroyed; holders of a pointer see it

  std::mutex client_mutex;
  std::optional<supervisor::Client> client;

  [[nodiscard]] ContainerFacts snapshot() const {
    std::scoped_lock lock(mutex);
    return facts;
  }
  [[nodiscard]] State state() const {
    std::scoped_lock lock(mutex);
    return facts.state;
  }
};

using ContainerPtr = std::shared_ptr<Container>;

constexpr bool is_running(State state) {
  return state == State::kRunning || state == State::kPaused || state == State::kStopping || state == State::kStarting;
}

// Keys of the saved definition that differ from what is in force; empty when it does not run.
std::vector<std::string> restart_required(const ContainerFacts& facts);

}  // namespace vps::daemon
