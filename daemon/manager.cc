#include "daemon/manager.h"

#include "base/log.h"
#include "daemon/failpoints.h"
#include "daemon/limit_words.h"
#include "daemon/password.h"
#include "storage/disk.h"

namespace vps::daemon {
namespace {

constexpr Milliseconds kReadyTime{90'000};
constexpr Milliseconds kPolicyTurn{600'000};
constexpr Milliseconds kCleanUpTurn{30'000};

std::string started_json(const Container& container) {
  auto facts = container.snapshot();
  return fmt::format(R"({{"pid":{},"state":"{}"}})", facts.status ? facts.status->pid : 0, state_name(facts.state));
}

// What vpsd does by itself after a run is short and nobody's: it is waited for, never reported as busy. So is a slot that has
// become free in this moment.
Milliseconds turn_behind_clean_up(const Container& container) {
  auto held_by = container.slot.holder().kind;
  return held_by == OperationSlot::kCleanUp || held_by.empty() ? kCleanUpTurn : Milliseconds(0);
}

bool holds_a_run(const OperationSlot::Holder& holder) {
  return holder.kind == "start" || holder.kind == "stop" || holder.kind == "restart";
}

Result<> check_transition(const ContainerPtr& container, Transition transition) {
  std::scoped_lock lock(container->mutex);
  VPS_TRY(apply_transition(container->facts.state, transition));
  return {};
}

}  // namespace

Manager::Manager(Services& services) : services_(services), monitor_(services) {
  monitor_.on_start_again([this](const ContainerPtr& container, std::uint64_t ticket) { start_by_policy(container, ticket); });
}

Result<OperationPtr> Manager::submit(const std::string& kind, const ContainerPtr& container, Milliseconds turn,
                                     std::function<Result<>()> check, Work work) {
  auto refuse_gone = [container]() -> Result<> {
    std::scoped_lock lock(container->mutex);
    if (container->gone) return fail(Code::kNotFound, "no vps {}", container->id);
    return {};
  };
  auto operation = services_.operations.create(kind, container->id);
  const OperationSlot::Holder holder{operation->id(), kind};
  const bool now = container->slot.try_acquire(holder);
  if (!now && turn.count() == 0) {
    turn = turn_behind_clean_up(*container);
  }
  if (!now && turn.count() == 0) {
    auto busy = container->slot.busy_error();
    operation->finish(std::unexpected(busy));
    return std::unexpected(std::move(busy));
  }
  if (now) {
    // What is wrong already is said at once, instead of by an operation that fails.
    auto good = refuse_gone();
    if (good && check) good = check();
    if (!good) {
      container->slot.release();
      operation->finish(good);
      return std::unexpected(std::move(good).error());
    }
  } else {
    operation->allow_cancel(true);
    operation->progress("wait for its turn");
  }
  const auto deadline = std::chrono::steady_clock::now() + turn;
  auto job = [=, this] {
    if (!now) {
      if (auto mine = container->slot.acquire(holder, deadline, operation->token()); !mine) {
        operation->finish(mine);
        return;
      }
      operation->allow_cancel(false);
    }
    SlotLease lease(container->slot);
    auto outcome = now ? Result<>() : refuse_gone();
    if (outcome && !now && check) outcome = check();
    if (outcome) outcome = work(*operation, lease);
    lease.release();  // before anyone is told: who waits for this operation may go on with the VPS at once
    if (!outcome) log::info("{} {}: {}", operation->kind(), container->id, outcome.error().to_string());
    operation->finish(outcome);
  };
  if (!services_.workers->post(job)) {
    if (now) container->slot.release();
    operation->finish(fail(Code::kUnavailable, "vpsd is going away"));
    return fail(Code::kUnavailable, "vpsd is going away");
  }
  return operation;
}

Result<OperationPtr> Manager::run_unslotted(const std::string& kind, const std::string& vps,
                                            std::function<Result<>(Operation&)> work) {
  auto operation = services_.operations.create(kind, vps);
  bool posted = services_.workers->post([=] {
    auto outcome = work(*operation);
    if (!outcome) log::info("{} {}: {}", operation->kind(), vps, outcome.error().to_string());
    operation->finish(outcome);
  });
  if (posted) return operation;
  operation->finish(fail(Code::kUnavailable, "vpsd is going away"));
  return fail(Code::kUnavailable, "vpsd is going away");
}

Result<Definition> Manager::prepare_definition(const Definition& definition, std::vector<std::string>* warnings) {
  VPS_TRY(validate_definition(definition));
  VPS_TRY(requested_range(definition));
  Definition prepared = definition;
  number_firewall(prepared);
  if (!prepared.uuid.empty() && services_.registry.uuid_taken(prepared.uuid)) {
    warnings->push_back(fmt::format("uuid {} is another vps's: a new one is made", prepared.uuid));
    prepared.uuid.clear();
  }
  if (prepared.uuid.empty()) prepared.uuid = make_uuid();
  return prepared;
}

Result<std::vector<cgroups::Enforcement>> Manager::explain_definition(const Definition& definition,
                                                                      std::vector<std::string>* warnings) {
  // Which range it will be does not matter here, only whether there is one.
  auto asked = VPS_TRY(requested_range(definition));
  auto ids = asked.value_or(IdRange{services_.config.idmap_base, kIdRangeSize});
  auto compiled = VPS_TRY(compile_definition(services_, vps_paths(services_.config.roots, definition.id), definition, ids));
  for (auto& warning : compiled.warnings) warnings->push_back(std::move(warning));
  std::vector<cgroups::Enforcement> limits;
  if (compiled.spec.linux_ && compiled.spec.linux_->resources)
    limits = cgroups::Group::explain(services_.host, *compiled.spec.linux_->resources);
  for (auto& warning : enforcement_warnings(limits)) warnings->push_back(std::move(warning));
  return limits;
}

Result<CreatePreview> Manager::preview_create(const Definition& definition) {
  CreatePreview preview;
  preview.definition = VPS_TRY(prepare_definition(definition, &preview.warnings));
  const auto paths = vps_paths(services_.config.roots, definition.id);
  if (services_.registry.find(definition.id)) return fail(Code::kExists, "vps {} exists already", definition.id);
  VPS_TRY(check_template(services_, definition, paths.disk));
  VPS_TRY(services_.networks->check_neighbours(preview.definition, preview.definition.uuid));
  VPS_TRY(services_.networks->preview(preview.definition, preview.definition.uuid));
  preview.steps = describe_create(services_, paths, definition);
  preview.limits = VPS_TRY(explain_definition(definition, &preview.warnings));
  if (auto reason = storage::explain_disk(definition.disk); !reason.empty())
    preview.warnings.push_back(fmt::format("disk.size is not enforced: {}", reason));
  return preview;
}

Result<OperationPtr> Manager::create(const Definition& definition, bool start, const std::vector<std::string>& ssh_keys) {
  const std::string authorized_keys = VPS_TRY(format_authorized_keys(ssh_keys));
  std::vector<std::string> warnings;
  auto prepared = VPS_TRY(prepare_definition(definition, &warnings));
  // What is wrong with it is said at once; what this host does not give is said by the operation.
  std::vector<std::string> said_later;
  VPS_TRY(explain_definition(prepared, &said_later));

  auto container = std::make_shared<Container>(services_.config.roots, prepared.id, services_.config.restart);
  {
    std::scoped_lock lock(container->mutex);
    container->facts.definition = prepared;
    container->facts.record.id = prepared.id;
    container->facts.record.uuid = prepared.uuid;
    container->facts.record.template_name = prepared.template_name;
  }
  {
    std::shared_lock gate(services_.template_gate);
    VPS_TRY(services_.registry.add(container, prepared.name, prepared.uuid));
  }
  auto work = [this, container, prepared, warnings, start, authorized_keys](Operation& operation, SlotLease& lease) -> Result<> {
    for (const auto& warning : warnings) operation.warn(warning);
    operation.allow_cancel(true);
    if (auto made = create_vps(services_, container, prepared, authorized_keys, operation); !made) {
      {
        std::scoped_lock lock(container->mutex);
        container->gone = true;
      }
      services_.registry.remove(container->id);
      return made;
    }
    operation.set_result(fmt::format(R"({{"id":"{}","uuid":"{}"}})", prepared.id, prepared.uuid));
    if (!start) return {};
    VPS_TRY_CTX("created, but not started", start_vps(services_, monitor_, container, operation));
    lease.release();
    return {};
  };
  auto operation = submit("create", container, Milliseconds(0), {}, work);
  if (!operation) services_.registry.remove(container->id);
  return operation;
}

Result<OperationPtr> Manager::destroy(const std::string& vps, bool force, Milliseconds turn) {
  auto container = VPS_TRY(find(vps));
  auto check = [container, force]() -> Result<> {
    std::scoped_lock lock(container->mutex);
    const auto& facts = container->facts;
    if (facts.doomed || (force && is_running(facts.state))) return {};
    VPS_TRY(apply_transition(facts.state, Transition::kDestroy));
    return {};
  };
  if (force && holds_a_run(container->slot.holder())) {
    // As with a forced stop: what is under way is ended, and then it is our turn.
    turn = std::max(turn, kCleanUpTurn);
    services_.workers->post([=, this] {
      if (auto killed = kill_vps(services_, monitor_, container); !killed)
        log::warning("vps {}: {}", container->id, killed.error().to_string());
    });
  }
  return submit("destroy", container, turn, check, [=, this](Operation& operation, SlotLease&) -> Result<> {
    (void)monitor_.cancel_restart(container);
    if (is_running(container->state())) VPS_TRY(stop_vps(services_, monitor_, container, true, {}, operation));
    return destroy_vps(services_, container, operation);
  });
}

Result<std::vector<std::string>> Manager::preview_start(const std::string& vps) {
  auto container = VPS_TRY(find(vps));
  VPS_TRY(check_transition(container, Transition::kStart));
  auto facts = container->snapshot();
  auto plan = VPS_TRY(plan_start(services_, container->paths, facts.definition, facts.record));
  return describe_start(services_, plan);
}

Result<OperationPtr> Manager::start(const std::string& vps, StartOptions options, Milliseconds turn) {
  auto container = VPS_TRY(find(vps));
  auto check = [container] { return check_transition(container, Transition::kStart); };
  return submit("start", container, turn, check, [=, this](Operation& operation, SlotLease& lease) -> Result<> {
    (void)monitor_.cancel_restart(container);
    {
      std::scoped_lock lock(container->mutex);
      container->automatic = false;
      container->backoff.reset();
      container->facts.restarts = 0;
    }
    VPS_TRY(start_vps(services_, monitor_, container, operation));
    operation.set_result(started_json(*container));
    lease.release();  // it runs: a stop need not wait until it is ready
    if (options.wait_ready) return wait_ready(services_, container, options.timeout.value_or(kReadyTime), operation);
    return {};
  });
}

Result<OperationPtr> Manager::stop(const std::string& vps, StopOptions options, Milliseconds turn) {
  auto container = VPS_TRY(find(vps));
  if (options.force && holds_a_run(container->slot.holder()))
    // The harder request does not wait behind the softer one, it ends it.
    return run_unslotted("stop", container->id, [=, this](Operation& operation) -> Result<> {
      operation.progress("kill it", 20);
      (void)monitor_.cancel_restart(container);
      return kill_vps(services_, monitor_, container);
    });
  auto check = [container]() -> Result<> {
    std::scoped_lock lock(container->mutex);
    if (container->facts.restart_at) return {};  // stopping what would be started again soon
    VPS_TRY(apply_transition(container->facts.state, Transition::kStop));
    return {};
  };
  return submit("stop", container, turn, check, [=, this](Operation& operation, SlotLease&) -> Result<> {
    return stop_vps(services_, monitor_, container, options.force, options.timeout, operation);
  });
}

Result<OperationPtr> Manager::restart(const std::string& vps, StopOptions stop, StartOptions start, Milliseconds turn) {
  auto container = VPS_TRY(find(vps));
  auto check = [container]() -> Result<> {
    std::scoped_lock lock(container->mutex);
    if (container->facts.state == State::kCreating) VPS_TRY(apply_transition(container->facts.state, Transition::kStop));
    return {};
  };
  return submit("restart", container, turn, check, [=, this](Operation& operation, SlotLease& lease) -> Result<> {
    (void)monitor_.cancel_restart(container);
    if (is_running(container->state()))
      VPS_TRY(stop_vps(services_, monitor_, container, stop.force, stop.timeout, operation));
    {
      std::scoped_lock lock(container->mutex);
      container->automatic = false;
      container->backoff.reset();
      container->facts.restarts = 0;
    }
    VPS_TRY(start_vps(services_, monitor_, container, operation));
    operation.set_result(started_json(*container));
    lease.release();
    if (start.wait_ready) return wait_ready(services_, container, start.timeout.value_or(kReadyTime), operation);
    return {};
  });
}

Result<OperationPtr> Manager::pause(const std::string& vps, Milliseconds turn) {
  auto container = VPS_TRY(find(vps));
  auto check = [container] { return check_transition(container, Transition::kPause); };
  return submit("pause", container, turn, check,
                [=, this](Operation&, SlotLease&) { return pause_vps(services_, monitor_, container); });
}

Result<OperationPtr> Manager::resume(const std::string& vps, Milliseconds turn) {
  auto container = VPS_TRY(find(vps));
  auto check = [container] { return check_transition(container, Transition::kResume); };
  return submit("resume", container, turn, check,
                [=, this](Operation&, SlotLease&) { return resume_vps(services_, monitor_, container); });
}

namespace {
Result<SlotLease> take_slot(Services& services, const ContainerPtr& container, const std::string& kind, Milliseconds turn) {
  const OperationSlot::Holder holder{"a request", kind};
  if (!container->slot.try_acquire(holder)) {
    if (turn.count() == 0) turn = turn_behind_clean_up(*container);
    if (turn.count() == 0) return std::unexpected(container->slot.busy_error());
    VPS_TRY(container->slot.acquire(holder, std::chrono::steady_clock::now() + turn, services.shutdown.get_token()));
  }
  SlotLease lease(container->slot);
  std::scoped_lock lock(container->mutex);
  if (container->gone) return fail(Code::kNotFound, "no vps {}", container->id);
  return lease;
}
}  // namespace

Result<ChangeResult> Manager::set(const std::string& vps, const std::vector<std::string>& assignments, ChangeMode mode,
                                  bool dry_run, Milliseconds turn) {
  auto container = VPS_TRY(find(vps));
  auto lease = VPS_TRY(take_slot(services_, container, "set", turn));
  auto facts = container->snapshot();
  if (facts.broken) return fail(Code::kWrongState, "cannot change it: {}", facts.error);
  auto wanted = VPS_TRY(checked_assignments(facts, mode, assignments));
  return change_vps(services_, container, wanted, mode, dry_run);
}

Result<ChangeResult> Manager::replace(const std::string& vps, const Definition& definition, bool dry_run, Milliseconds turn) {
  auto container = VPS_TRY(find(vps));
  auto lease = VPS_TRY(take_slot(services_, container, "apply", turn));
  auto wanted = VPS_TRY(checked_replacement(container->snapshot(), definition));
  return change_vps(services_, container, wanted, ChangeMode::kBoth, dry_run);
}

Result<ChangeResult> Manager::edit(const std::string& vps, const std::string& kind, Milliseconds turn,
                                   const std::function<Result<>(Definition&)>& change) {
  auto container = VPS_TRY(find(vps));
  auto lease = VPS_TRY(take_slot(services_, container, kind, turn));
  auto facts = container->snapshot();
  if (facts.broken) return fail(Code::kWrongState, "cannot change it: {}", facts.error);
  Definition wanted = facts.definition;
  VPS_TRY(change(wanted));
  VPS_TRY(validate_definition(wanted));
  return change_vps(services_, container, wanted, ChangeMode::kBoth, false);
}

Result<> Manager::rename(const std::string& vps, const std::string& name, Milliseconds turn) {
  auto container = VPS_TRY(find(vps));
  if (!name.empty()) VPS_TRY(validate_name(name));
  auto lease = VPS_TRY(take_slot(services_, container, "rename", turn));
  auto facts = container->snapshot();
  if (facts.broken) return fail(Code::kWrongState, "cannot rename it: {}", facts.error);
  if (facts.definition.name == name) return {};
  Definition wanted = facts.definition;
  wanted.name = name;
  VPS_TRY(change_vps(services_, container, wanted, ChangeMode::kBoth, false));
  services_.ledger->append("vps.renamed", container->id, name.empty() ? "has no name any more" : "is now named " + name);
  return {};
}

Result<> Manager::set_password(const std::string& vps, const std::string& user, const std::string& password, Milliseconds turn) {
  auto container = VPS_TRY(find(vps));
  auto lease = VPS_TRY(take_slot(services_, container, "passwd", turn));
  auto facts = container->snapshot();
  if (facts.broken || facts.doomed) return fail(Code::kWrongState, "cannot change it: {}", facts.error);
  const bool up = facts.state == State::kRunning || facts.state == State::kPaused;
  if (!up && facts.state != State::kStopped && facts.state != State::kFailed) return fail(Code::kWrongState, "it is {}", state_name(facts.state));
  if (up && facts.status) {
    VPS_TRY(set_password_running(facts.status->pid, facts.record.ids, user, password));
  } else {
    auto rootfs = storage::rootfs_plan(container->paths.disk, services_.templates.rootfs_path(facts.record.template_name), facts.definition.disk);
    VPS_TRY(set_password_stopped(rootfs, user, password));
  }
  services_.ledger->append("vps.changed", container->id, fmt::format("password of {} changed", user));
  return {};
}

Result<Session> Manager::prepare_session(const ContainerPtr& container,
                                         const std::function<Result<std::string>(supervisor::Client&)>& prepare) {
  const State state = container->state();
  if (state != State::kRunning && state != State::kStopping)
    return fail(Code::kWrongState, "vps {} is {}", container->id, state_name(state));
  Session session;
  session.token = VPS_TRY(monitor_.with_client<std::string>(container, prepare));
  session.socket = container->paths.supervisor_socket;
  session.number = next_session_++;
  return session;
}

Result<Session> Manager::exec(const std::string& vps, const supervisor::PrepareExec& request) {
  auto container = VPS_TRY(find(vps));
  return prepare_session(container, [&](supervisor::Client& client) { return client.prepare_exec(request); });
}

Result<Session> Manager::console(const std::string& vps, bool readonly) {
  auto container = VPS_TRY(find(vps));
  return prepare_session(container, [&](supervisor::Client& client) {
    return client.prepare_console(supervisor::PrepareConsole{.readonly = readonly});
  });
}

Result<OperationPtr> Manager::template_build(const std::string& recipe, const std::string& name) {
  return run_unslotted("template-build", "", [=, this](Operation& operation) -> Result<> {
    operation.allow_cancel(true);
    auto made = VPS_TRY(services_.templates.build(recipe, name, [&](std::string_view what, int percent) {
      operation.progress(what, percent);
      return !operation.cancelled();
    }));
    operation.set_result(fmt::format(R"({{"name":"{}","digest":"{}"}})", made.name, made.digest));
    services_.ledger->append("template.built", "", fmt::format("template {} built from {}", made.name, recipe));
    return {};
  });
}

Result<OperationPtr> Manager::template_import(const std::string& name, const std::string& path) {
  return run_unslotted("template-import", "", [=, this](Operation& operation) -> Result<> {
    operation.allow_cancel(true);
    auto made = VPS_TRY(services_.templates.import(name, path, [&](std::string_view what, int percent) {
      operation.progress(what, percent);
      return !operation.cancelled();
    }));
    operation.set_result(fmt::format(R"({{"name":"{}","digest":"{}"}})", made.name, made.digest));
    services_.ledger->append("template.imported", "", fmt::format("template {} imported", made.name));
    return {};
  });
}

Result<> Manager::template_remove(const std::string& name) {
  std::unique_lock gate(services_.template_gate);
  VPS_TRY(services_.templates.remove(name, template_users(services_, name)));
  services_.ledger->append("template.removed", "", fmt::format("template {} removed", name));
  return {};
}

void Manager::start_by_policy(const ContainerPtr& container, std::uint64_t ticket) {
  auto check = [container] { return check_transition(container, Transition::kStart); };
  auto work = [this, container, ticket](Operation& operation, SlotLease&) -> Result<> {
    if (!monitor_.take_restart(container, ticket)) return fail(Code::kWrongState, "the restart was taken back");
    {
      std::scoped_lock lock(container->mutex);
      container->automatic = true;
      ++container->facts.restarts;
    }
    auto started = start_vps(services_, monitor_, container, operation);
    if (!started && !services_.shutdown.stop_requested()) monitor_.start_failed(container);
    return started;
  };
  // Not in the caller's thread beyond this: submit() only queues.
  if (auto submitted = submit("restart", container, kPolicyTurn, check, work); !submitted)
    log::info("vps {}: not started again: {}", container->id, submitted.error().to_string());
}

}  // namespace vps::daemon
