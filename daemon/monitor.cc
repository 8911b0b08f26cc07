#include "daemon/monitor.h"

#include <sys/epoll.h>

#include "base/files.h"
#include "base/log.h"
#include "daemon/restart_policy.h"

namespace vps::daemon {

using std::chrono::milliseconds;
using supervisor::ExitReason;
using supervisor::Phase;
using supervisor::Status;

namespace {

// After its last status a supervisor only cleans up; one that hangs must not keep its VPS in limbo.
constexpr milliseconds kCleanUpTime{10'000};
constexpr milliseconds kTurnTime{600'000};

bool has_ended(Phase phase) { return phase == Phase::kExited || phase == Phase::kFailed; }

// The last word of a supervisor that is gone: what it left in state.json, or what must be assumed.
Status last_word(const Container& container, std::optional<Status> seen) {
  if (seen && has_ended(seen->phase)) return *seen;
  if (auto text = read_file(container.paths.run_state))
    if (auto state = supervisor::parse_run_state(*text); state && has_ended(state->status.phase)) return state->status;
  Status status = seen.value_or(Status());
  status.phase = Phase::kFailed;
  status.reason = ExitReason::kKilled;
  status.has_error = true;
  status.error = Error(Code::kFailed, "its supervisor ended without a word");
  return status;
}

// The caller holds the container's mutex.
std::uint64_t promise_restart(Container& container) {
  container.facts.restart_at = std::chrono::system_clock::now();
  return ++container.restart_ticket;
}

}  // namespace

void Monitor::attach(const ContainerPtr& container, supervisor::Client client) {
  int fd = client.fd();
  {
    std::scoped_lock lock(container->client_mutex);
    container->client = std::move(client);
  }
  services_.loop->post([this, container, fd] {
    // One shot: while a worker talks to the supervisor the reply must not wake this thread over and over; drain() rearms.
    auto added = services_.loop->loop().add(fd, EPOLLIN | EPOLLONESHOT, [this, container](std::uint32_t) { drain(container); });
    if (!added) log::error("vps {}: cannot watch its supervisor: {}", container->id, added.error().to_string());
    drain(container);
  });
}

void Monitor::drain(const ContainerPtr& container) {
  bool is_lost = false;
  std::vector<Status> statuses;
  {
    std::unique_lock lock(container->client_mutex, std::try_to_lock);
    if (!lock.owns_lock() || !container->client) return;  // whoever has it posts another drain when done
    auto& client = *container->client;
    while (!is_lost) {
      auto next = client.next_status(milliseconds(0));
      if (next && *next) {
        statuses.push_back(std::move(**next));
      } else if (next || next.error().code() != Code::kTimedOut) {
        if (!next) log::warning("vps {}: {}", container->id, next.error().to_string());
        is_lost = true;
      } else {
        break;
      }
    }
    if (is_lost) {
      services_.loop->loop().remove(client.fd());
      container->client.reset();
    } else if (auto armed = services_.loop->loop().modify(client.fd(), EPOLLIN | EPOLLONESHOT); !armed) {
      log::error("vps {}: cannot watch its supervisor: {}", container->id, armed.error().to_string());
    }
  }
  for (const auto& status : statuses) on_status(container, status);
  if (is_lost) lost(container);
}

void Monitor::report_incidents(const Container& container, const Status& status) {
  for (const auto& incident : status.incidents)
    services_.ledger->append("vps." + incident.kind, container.id, incident.message, incident.data);
}

void Monitor::on_status(const ContainerPtr& container, const Status& status) {
  bool started = false;
  bool ready = false;
  bool ended_now = false;
  std::uint64_t run = 0;
  {
    std::scoped_lock lock(container->mutex);
    auto& facts = container->facts;
    ready = status.ready && !(facts.status && facts.status->ready) && status.phase == Phase::kRunning;
    ended_now = has_ended(status.phase) && !(facts.status && has_ended(facts.status->phase));
    if (!status.limits.empty() && facts.limits.empty()) facts.limits = status.limits;
    facts.status = status;
    if (status.phase == Phase::kRunning) {
      started = facts.state == State::kStarting;
      if (auto next = next_state(facts.state, Transition::kStarted)) facts.state = *next;
      if (facts.state == State::kRunning && status.paused) facts.state = State::kPaused;
      if (facts.state == State::kPaused && !status.paused) facts.state = State::kRunning;
    }
    run = container->run;
  }
  container->changed.notify_all();
  if (started) services_.ledger->append("vps.started", container->id, fmt::format("its init runs as pid {}", status.pid));
  if (ready) services_.ledger->append("vps.ready", container->id, "ready");
  report_incidents(*container, status);
  if (ended_now)
    services_.loop->loop().after(kCleanUpTime, [this, container, run] {
      {
        std::scoped_lock lock(container->mutex);
        if (container->run != run || !is_running(container->facts.state)) return;
      }
      log::warning("vps {}: its supervisor does not end", container->id);
      {
        std::scoped_lock lock(container->client_mutex);
        if (!container->client) return;
        services_.loop->loop().remove(container->client->fd());
        container->client.reset();
      }
      lost(container);
    });
}

void Monitor::lost(const ContainerPtr& container) {
  std::optional<Status> seen;
  {
    std::scoped_lock lock(container->mutex);
    if (!is_running(container->facts.state)) return;
    seen = container->facts.status;
  }
  ended(container, last_word(*container, seen));
}

void Monitor::ended(const ContainerPtr& container, const Status& last) {
  AfterExit then = AfterExit::kStay;
  std::string how = describe_exit(last.reason, last.exit);
  bool asked = false;
  bool start_failed_now = false;
  bool automatic = false;
  Milliseconds ran{0};
  std::uint64_t run = 0;
  std::uint64_t ticket = 0;
  {
    std::scoped_lock lock(container->mutex);
    auto& facts = container->facts;
    const State before = facts.state;
    start_failed_now = before == State::kStarting && last.phase == Phase::kFailed;
    facts.state = next_state(before, start_failed_now ? Transition::kStartFailed : Transition::kExited).value_or(State::kFailed);
    facts.status = last;
    if (last.has_error) facts.error = last.error.to_string();
    asked = std::exchange(container->stop_asked, false);
    automatic = container->automatic;
    container->teardown_due = true;
    ran = std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - container->run_began);
    then = after_exit(facts.definition.restart, asked, last.reason, last.exit);
    // Whoever asked for a start that failed decides what next: the operator, or start_failed() for one by policy.
    if (start_failed_now) then = AfterExit::kStay;
    run = container->run;
    // Pending from this moment on, so that a stop never finds a VPS that is "stopped" and comes back by itself later.
    if (then != AfterExit::kStay) ticket = promise_restart(*container);
  }
  if (then == AfterExit::kStay && !(start_failed_now && automatic))
    if (auto done = set_wanted(*container, false); !done) log::warning("vps {}: {}", container->id, done.error().to_string());
  container->changed.notify_all();
  if (start_failed_now) {
    services_.ledger->append("vps.failed", container->id, last.has_error ? last.error.to_string() : "did not start");
  } else if (asked || last.reason == ExitReason::kPoweroff) {
    services_.ledger->append("vps.stopped", container->id, asked ? "stopped" : how);
  } else {
    std::string message = last.has_error ? last.error.to_string() : how;
    services_.ledger->append("vps.exited", container->id, message,
                             fmt::format(R"({{"code":{},"signal":{},"reason":"{}"}})", last.exit.code, last.exit.signal,
                                         exit_reason_name(last.reason)));
  }
  services_.workers->post([this, container, run, ticket, then, ran, how] {
    auto turn = container->slot.acquire({"", OperationSlot::kCleanUp}, std::chrono::steady_clock::now() + kTurnTime,
                                        services_.shutdown.get_token());
    if (!turn) {
      log::warning("vps {}: clean-up: {}", container->id, turn.error().to_string());
      return;
    }
    SlotLease lease(container->slot);
    bool due = false;
    {
      std::scoped_lock lock(container->mutex);
      if (container->run != run || container->gone) return;
      due = container->teardown_due;
    }
    if (due)
      if (auto done = tear_down(services_, container); !done)
        log::warning("vps {}: clean-up: {}", container->id, done.error().to_string());
    lease.release();
    if (then == AfterExit::kStartAgain) schedule_restart(container, ticket, Milliseconds(0), how);
    if (then == AfterExit::kBackOff) {
      Milliseconds delay{0};
      {
        std::scoped_lock lock(container->mutex);
        delay = container->backoff.next(ran);
      }
      schedule_restart(container, ticket, delay, how);
    }
  });
}

void Monitor::start_failed(const ContainerPtr& container) {
  Milliseconds delay{0};
  std::string error;
  std::uint64_t ticket = 0;
  {
    std::scoped_lock lock(container->mutex);
    if (container->facts.definition.restart == RestartPolicy::kNever || container->gone) return;
    delay = container->backoff.next(Milliseconds(0));
    error = container->facts.error;
    ticket = promise_restart(*container);
  }
  schedule_restart(container, ticket, delay, error);
}

void Monitor::schedule_restart(const ContainerPtr& container, std::uint64_t ticket, Milliseconds delay, const std::string& why) {
  {
    std::scoped_lock lock(container->mutex);
    if (container->restart_ticket != ticket || container->gone || is_running(container->facts.state)) return;
    container->facts.restart_at = std::chrono::system_clock::now() + delay;
  }
  services_.ledger->append("vps.restarting", container->id,
                           delay.count() == 0 ? why : fmt::format("{}; starting again in {}", why, format_duration(delay)),
                           fmt::format(R"({{"delayMs":{}}})", delay.count()));
  services_.loop->post([this, container, ticket, delay] {
    services_.loop->loop().after(delay, [this, container, ticket] {
      {
        std::scoped_lock lock(container->mutex);
        if (container->restart_ticket != ticket || container->gone) return;
      }
      if (start_again_) start_again_(container, ticket);
    });
  });
}

bool Monitor::cancel_restart(const ContainerPtr& container) {
  std::scoped_lock lock(container->mutex);
  ++container->restart_ticket;
  bool pending = container->facts.restart_at.has_value();
  container->facts.restart_at.reset();
  return pending;
}

bool Monitor::take_restart(const ContainerPtr& container, std::uint64_t ticket) {
  std::scoped_lock lock(container->mutex);
  if (container->restart_ticket != ticket || !container->facts.restart_at) return false;
  container->facts.restart_at.reset();
  return true;
}

Result<> detach_network(Services& services, const VpsPaths& paths) {
  std::optional<net::VpsPlan> recorded;
  constexpr std::size_t kMaxPlan = 1u << 20;
  if (auto text = read_file(paths.plan, kMaxPlan))
    if (auto plan = supervisor::parse_plan(*text)) recorded = std::move(plan->network);
  VPS_TRY(services.networks->detach(paths.id, recorded));
  // Its supervisor has done it, unless it was killed.
  const auto host = netns_host(services.config);
  if (!netns::holds_namespace(host, paths.id)) return {};
  return supervisor::Client::take_back_devices(services.supervisor.get(), paths.id, host.installation, host.run_dir);
}

Result<> tear_down(Services& services, const ContainerPtr& container) {
  const auto& paths = container->paths;
  VPS_TRY(cgroups::Group::remove(services.host, paths.cgroup_parent));
  VPS_TRY_CTX("network", detach_network(services, paths));
  for (const auto* file : {&paths.bundle_config, &paths.plan, &paths.supervisor_socket}) VPS_TRY(remove_file(*file));
  VPS_TRY(remove_file(paths.run_dir + "/active.yaml"));
  VPS_TRY(remove_file(paths.run_dir + "/limits.json"));
  VPS_TRY(remove_tree(paths.host_dir));
  std::scoped_lock lock(container->mutex);
  container->teardown_due = false;
  container->facts.active.reset();
  container->facts.limits.clear();
  return {};
}

Result<> set_wanted(const Container& container, bool wanted) {
  const std::string path = container.paths.run_dir + "/wanted";
  if (!wanted) return remove_file(path);
  return write_file_atomic(path, "", 0600);
}

bool is_wanted(const Container& container) { return path_exists(container.paths.run_dir + "/wanted"); }

}  // namespace vps::daemon
