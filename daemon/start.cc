#include <algorithm>

#include "base/files.h"
#include "base/log.h"
#include "base/undo.h"
#include "daemon/change.h"
#include "daemon/failpoints.h"
#include "daemon/lifecycle.h"
#include "daemon/limit_words.h"
#include "daemon/networks/resolvers.h"
#include "specs/oci/json.h"
#include "specs/vps/definition_yaml.h"
#include "storage/disk.h"

namespace vps::daemon {
namespace {

using std::chrono::milliseconds;
constexpr mode_t kPrivate = 0700;
// From the spawn until init runs: mounts and limits, no boot. Beyond it something hangs.
constexpr milliseconds kStartTime{60'000};

Result<> write_run_files(const VpsPaths& paths, const StartPlan& plan) {
  VPS_TRY(write_file_atomic(paths.bundle_config, oci::format_spec(plan.compiled.spec), 0600));
  VPS_TRY(write_file_atomic(paths.plan, supervisor::format_plan(plan.plan), 0600));
  return write_file_atomic(paths.run_dir + "/active.yaml", format_definition(plan.definition), 0600);
}

// Back from "starting" when nothing has been spawned.
void start_refused(const ContainerPtr& container, const Error& error) {
  {
    std::scoped_lock lock(container->mutex);
    auto& facts = container->facts;
    // "stopping": a forced stop came before there was anything to stop.
    facts.state = facts.state == State::kStopping ? State::kStopped : State::kFailed;
    facts.error = error.to_string();
    facts.active.reset();
  }
  container->changed.notify_all();
}

// Until its init runs, or the run has ended.
Result<> wait_running(Services& services, const ContainerPtr& container) {
  std::unique_lock lock(container->mutex);
  const std::uint64_t run = container->run;
  bool moved = container->changed.wait_for(lock, services.shutdown.get_token(), kStartTime, [&] {
    return container->run != run || container->facts.state != State::kStarting;
  });
  const auto& facts = container->facts;
  if (facts.state == State::kRunning || facts.state == State::kPaused) return {};
  if (!moved && services.shutdown.stop_requested()) return fail(Code::kFailed, "vpsd is going away");
  if (!moved) return fail(Code::kTimedOut, "its init did not run within {}", format_duration(kStartTime));
  if (facts.status && facts.status->has_error) return std::unexpected(facts.status->error);
  if (facts.status && facts.state == State::kStopped) return {};  // it ran and has ended already: the exit tells
  if (facts.error.empty()) return fail(Code::kWrongState, "it was stopped meanwhile");
  return fail(Code::kFailed, "{}", facts.error);
}

// What limits of its interfaces the kernel has turned out not to hold; the others are known before (plan_start).
void warn_of_limits(Services& services, const std::string& id, Operation& operation) {
  auto plan = services.networks->running(id);
  if (!plan) return;
  auto reports = services.networks->unenforced(*plan);
  if (!reports) {
    operation.warn("limits of its interfaces: " + reports.error().to_string());
    return;
  }
  for (const auto& report : *reports) operation.warn(fmt::format("network.{}.{} is not enforced: {}", report.port, report.limit, report.by));
}

}  // namespace

Result<StartPlan> plan_start(Services& services, const VpsPaths& paths, const Definition& definition, const Record& record) {
  StartPlan start;
  const IdRange ids = record.ids;
  start.definition = definition;
  auto use = VPS_TRY(check_template(services, definition, paths.disk));
  start.init_path = use.init.path;
  start.compiled = VPS_TRY_CTX("compile its definition", compile_definition(services, paths, definition, ids, use.init.path));

  auto& plan = start.plan;
  plan.id = definition.id;
  plan.init_kind = storage::init_kind_name(use.init.kind);
  plan.rootfs = start.compiled.rootfs;
  plan.ids = ids;
  plan.notify_ready = use.init.kind == storage::InitKind::kSystemd;
  plan.cgroup_payload = paths.cgroup_payload;
  plan.cgroup_supervisor = paths.cgroup_supervisor;
  plan.console_log = paths.console_log;
  plan.run_state = paths.run_state;
  plan.socket = paths.supervisor_socket;
  plan.host_dir = paths.host_dir;
  plan.config = paths.bundle_config;
  plan.seccomp_cache = services.config.roots.state + "/cache/seccomp";
  plan.network = VPS_TRY(services.networks->preview(definition, record.uuid));
  plan.link_owner = services.config.network_links;
  plan.network_records = services.config.roots.run + "/net";
  plan.guest = guest_names(definition, services.config.resolv_conf);
  plan.etc_files = {"/etc/hostname=" + (definition.hostname.empty() ? definition.id : definition.hostname) + "\n"};

  start.warnings = start.compiled.warnings;
  if (start.compiled.spec.linux_ && start.compiled.spec.linux_->resources)
    for (auto& warning : enforcement_warnings(cgroups::Group::explain(services.host, *start.compiled.spec.linux_->resources)))
      start.warnings.push_back(std::move(warning));
  for (auto& warning : VPS_TRY(services.networks->warnings(definition))) start.warnings.push_back(std::move(warning));
  if (auto reason = storage::explain_disk(definition.disk); !reason.empty())
    start.warnings.push_back(fmt::format("disk.size is not enforced: {}", reason));
  return start;
}

Result<> start_vps(Services& services, Monitor& monitor, const ContainerPtr& container, Operation& operation) {
  const auto& paths = container->paths;
  Definition definition;
  Record record;
  DeferredClose::Ticket namespaces = 0;
  {
    std::scoped_lock lock(container->mutex);
    auto& facts = container->facts;
    namespaces = container->namespaces;
    if (facts.broken || facts.doomed) return fail(Code::kWrongState, "cannot start: {}", facts.error);
    facts.state = VPS_TRY(apply_transition(facts.state, Transition::kStart));
    facts.error.clear();
    facts.status.reset();
    container->stop_asked = false;
    ++container->run;
    container->run_began = std::chrono::steady_clock::now();
    definition = facts.definition;
    record = facts.record;
  }
  container->changed.notify_all();
  UndoStack undo;
  undo.push("run", [&] {
    if (auto done = set_wanted(*container, false); !done) log::error("vps {}: {}", container->id, done.error().to_string());
    if (auto done = tear_down(services, container); !done) log::error("vps {}: {}", container->id, done.error().to_string());
  });

  bool spawned = false;
  auto begun = [&]() -> Result<> {
    VPS_TRY(step("daemon.start.check"));
    operation.progress("plan", 5);
    std::vector<std::string> said;
    VPS_TRY(services.networks->reserve(definition, &said));
    for (const auto& warning : said) operation.warn(warning);
    if (auto kept = keep_addresses(services, container); !kept) operation.warn(kept.error().to_string());
    if (auto filtered = services.networks->filter_bridges(definition); !filtered) operation.warn(filtered.error().to_string());
    auto start = VPS_TRY(plan_start(services, paths, definition, record));
    for (const auto& warning : start.warnings) operation.warn(warning);
    VPS_TRY(step("daemon.start.compile"));
    // Two overlays at once on one upper directory are undefined behaviour (overlayfs.rst, "Sharing and copying layers").
    services.namespaces.wait(namespaces);
    // What an earlier run may have left (sub-cgroups of its systemd, for one) must not meet this one.
    VPS_TRY_CTX("remove what the last run left", tear_down(services, container));

    operation.progress("write its files", 20);
    VPS_TRY(make_dirs(paths.run_dir, kPrivate));
    VPS_TRY(remove_file(paths.run_state));
    VPS_TRY(make_dirs(paths.host_dir, 0755));
    VPS_TRY(make_dirs(start.plan.seccomp_cache, kPrivate));
    VPS_TRY(step("daemon.start.directory"));
    VPS_TRY(write_run_files(paths, start));
    VPS_TRY(step("daemon.start.files"));
    VPS_TRY(set_wanted(*container, true));
    VPS_TRY(step("daemon.start.wanted"));
    {
      std::scoped_lock lock(container->mutex);
      container->facts.active = definition;
      container->facts.limits.clear();
      container->facts.init_kind = start.plan.init_kind;
      container->facts.init_path = start.init_path;
      container->teardown_due = true;
    }

    operation.progress("launch", 40);
    VPS_TRY_CTX("network", services.networks->attach(start.plan.network));
    VPS_TRY(step("daemon.start.network"));
    auto client = VPS_TRY(supervisor::Client::spawn(services.supervisor.get(), paths.plan));
    spawned = true;
    monitor.attach(container, std::move(client));
    return step("daemon.start.spawn");
  }();
  if (!begun && !spawned) {
    undo.rollback();
    start_refused(container, begun.error());
    services.ledger->append("vps.failed", container->id, begun.error().to_string());
    return begun;
  }
  if (begun) begun = wait_running(services, container);
  if (begun) warn_of_limits(services, container->id, operation);
  if (begun) begun = step("daemon.start.running");
  if (begun || services.shutdown.stop_requested()) {
    undo.commit();  // vpsd going away does not touch what has been launched
    return begun;
  }
  // Stopped on purpose while it started: an end like any other. Looked at before we stop it ourselves.
  bool asked = false;
  {
    std::scoped_lock lock(container->mutex);
    asked = container->facts.state == State::kStopping || container->facts.state == State::kStopped;
  }
  // It may hang somewhere on its way: end it, so that a failed start leaves nothing.
  (void)kill_vps(services, monitor, container);
  undo.rollback();
  bool said = false;
  {
    std::scoped_lock lock(container->mutex);
    said = asked || container->facts.state == State::kFailed;
    container->facts.state = asked ? State::kStopped : State::kFailed;
    container->facts.error = asked ? std::string() : begun.error().to_string();
  }
  if (!said) services.ledger->append("vps.failed", container->id, begun.error().to_string());
  return begun;
}

Result<> wait_ready(Services& services, const ContainerPtr& container, Milliseconds timeout, Operation& operation) {
  operation.progress("wait until it is ready", 70);
  operation.allow_cancel(true);
  auto stop = operation.token();
  (void)services;
  std::unique_lock lock(container->mutex);
  const std::uint64_t run = container->run;
  const auto& facts = container->facts;
  auto over = [&] { return container->run != run || !is_running(facts.state) || facts.state == State::kStopping; };
  container->changed.wait_for(lock, stop, timeout, [&] { return over() || (facts.status && facts.status->ready); });
  if (over()) {
    std::string why = facts.status && !is_running(facts.state) ? facts.error : std::string();
    return fail(Code::kWrongState, "it ended before it was ready{}{}", why.empty() ? "" : ": ", why);
  }
  if (facts.status && facts.status->ready) return {};
  if (stop.stop_requested()) return fail(Code::kFailed, "cancelled; it goes on starting");
  std::string text = facts.status ? facts.status->status_text : std::string();
  return fail(Code::kTimedOut, "not ready after {}{}{}; it goes on starting", format_duration(timeout), text.empty() ? "" : ": ",
              text);
}

std::vector<std::string> describe_start(const Services& services, const StartPlan& start) {
  const auto& plan = start.plan;
  std::vector<std::string> steps = {
      fmt::format("check template {}: its init is {} ({})", start.definition.template_name, start.init_path, plan.init_kind),
      fmt::format("write {} and plan.json", plan.config),
      fmt::format("spawn the supervisor {} in cgroup {}", services.config.supervisor, plan.cgroup_supervisor)};
  for (auto& line : vps::describe_start(start.compiled)) steps.push_back(std::move(line));
  for (auto& line : describe_network(plan.network)) steps.push_back(std::move(line));
  if (plan.notify_ready) steps.emplace_back("ready when its init says READY=1");
  for (const auto& warning : start.warnings)
    if (std::ranges::find(start.compiled.warnings, warning) == start.compiled.warnings.end()) steps.push_back("warning: " + warning);
  return steps;
}

}  // namespace vps::daemon
