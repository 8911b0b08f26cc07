#include "daemon/reconciler.h"

#include "base/files.h"
#include "base/log.h"
#include "daemon/lifecycle.h"
#include "daemon/limit_words.h"
#include "specs/vps/definition_yaml.h"

namespace vps::daemon {

using std::chrono::milliseconds;
using supervisor::ExitReason;
using supervisor::Phase;
using supervisor::Status;

namespace {

constexpr milliseconds kHelloTime{10'000};
constexpr milliseconds kTurnTime{30'000};
constexpr std::size_t kMaxSmallFile = 1u << 20;

void warn(const std::string& id, std::string_view what, const Result<>& outcome) {
  if (!outcome) log::error("vps {}: {}: {}", id, what, outcome.error().to_string());
}

Result<supervisor::RunState> read_run_state(const VpsPaths& paths) {
  return supervisor::parse_run_state(VPS_TRY(read_file(paths.run_state, kMaxSmallFile)));
}

Result<supervisor::Plan> read_plan(const VpsPaths& paths) {
  return supervisor::parse_plan(VPS_TRY(read_file(paths.plan, kMaxSmallFile)));
}

}  // namespace

RecoveryReport Reconciler::recover() {
  report_ = {};
  if (auto removed = services_.templates.recover(); !removed) {
    log::error("templates: {}", removed.error().to_string());
  } else {
    for (const auto& name : *removed) report_.undone.push_back("template " + name);
  }
  std::vector<std::string> strangers;
  auto ids = list_container_dirs(services_.config.roots, &strangers);
  if (!ids) {
    log::error("{}", ids.error().to_string());
    return report_;
  }
  for (const auto& name : strangers) log::warning("{}/containers/{} is no vps; left alone", services_.config.roots.state, name);
  call_supervisors(*ids);
  std::vector<ContainerPtr> containers;
  for (const auto& id : *ids)
    if (auto container = read(id)) containers.push_back(std::move(container));
  // Before anything can start: an end that is found below may be a reboot.
  restore_addresses(containers);
  for (const auto& container : containers) settle_run(container);
  for (const auto& container : without_range_) {
    auto range = services_.idmap.allocate(container->id);
    std::scoped_lock lock(container->mutex);
    if (range) container->facts.record.ids = *range;
    auto saved = range ? save_record(container->paths, container->facts.record) : Result<>(std::unexpected(range.error()));
    warn(container->id, "make a new record", saved);
    if (!range) container->facts.broken = true;
  }
  sweep_run_directories();
  sweep_cgroups();
  services_.networks->settle([this](const std::string& id) { return services_.registry.find(id).has_value(); });
  keep_records(containers);
  return report_;
}

// All at once: while definitions are read each of them writes down how its VPS is, and nobody is waited for. The networks know what
// lives before the first end is settled: a start that was refused for another's prefix must not take that away when it is undone.
void Reconciler::call_supervisors(const std::vector<std::string>& ids) {
  for (const auto& id : ids) {
    const auto paths = vps_paths(services_.config.roots, id);
    bool settled_otherwise = path_exists(marker_path(paths, Marker::kDestroying)) || path_exists(marker_path(paths, Marker::kCreating));
    if (settled_otherwise || !path_exists(paths.run_dir)) continue;
    const auto& client = calls_.emplace(id, supervisor::Client::connect(paths.supervisor_socket)).first->second;
    if (!client) continue;
    auto plan = read_plan(paths);
    if (!plan) continue;
    services_.networks->adopt(plan->network);
    plans_.emplace(id, *std::move(plan));
  }
}

bool Reconciler::settle_markers(const std::string& id, const VpsPaths& paths) {
  if (path_exists(marker_path(paths, Marker::kDestroying))) {
    auto finished = destroy_files(services_, paths);
    if (!finished) {
      warn(id, "finish its destruction", finished);
      auto container = std::make_shared<Container>(services_.config.roots, id, services_.config.restart);
      container->facts.definition.id = container->facts.record.id = id;
      container->facts.state = State::kFailed;
      container->facts.doomed = true;
      container->facts.error = "its destruction was interrupted: " + finished.error().to_string();
      warn(id, "register", services_.registry.add(container, "", ""));
      return true;
    }
    services_.ledger->append("vps.destroyed", id, "its destruction, which had been interrupted, is finished");
    report_.finished.push_back(id);
    return true;
  }
  if (path_exists(marker_path(paths, Marker::kCreating))) {
    warn(id, "undo its creation", undo_create(services_, paths));
    services_.ledger->append("vps.failed", id, "its creation, which had been interrupted, is undone");
    report_.undone.push_back(id);
    return true;
  }
  auto names = list_dir(paths.state_dir);
  if (names && names->empty()) {  // a crash between two steps, before the first file or after the last
    warn(id, "remove its empty directory", remove_tree(paths.state_dir));
    report_.undone.push_back(id);
    return true;
  }
  return false;
}

void Reconciler::set_aside(const std::string& id, const std::string& path, const Error& why) {
  auto aside = quarantine_file(services_.config.roots, id, path);
  if (!aside) {
    log::error("vps {}: {}", id, aside.error().to_string());
    return;
  }
  services_.ledger->append("vps.quarantined", id, fmt::format("{}; set aside as {}", why.to_string(), *aside));
  report_.quarantined.push_back(*aside);
}

void Reconciler::load(const ContainerPtr& container) {
  const auto& paths = container->paths;
  auto& facts = container->facts;
  auto record = load_record(paths);
  if (!record && record.error().code() == Code::kUsage) set_aside(container->id, paths.record, record.error());
  auto text = read_file(paths.definition, kMaxSmallFile);
  auto definition = text ? parse_definition(*text, "vps.yaml") : Result<Definition>(std::unexpected(text.error()));
  if (definition && definition->id != container->id)
    definition = fail(Code::kUsage, "vps.yaml: id: expected {}, found {}", container->id, definition->id);
  if (!definition && text) set_aside(container->id, paths.definition, definition.error());

  if (definition) facts.definition = *definition;
  if (record && record->id == container->id) facts.record = *record;
  if (!definition) {
    facts.broken = true;
    facts.error = fmt::format("its definition cannot be read ({}); apply a new one, or destroy it", definition.error().to_string());
    facts.definition.id = container->id;
    facts.definition.uuid = facts.record.uuid;
    facts.definition.template_name = facts.record.template_name;
  }
  facts.state = facts.broken ? State::kFailed : State::kStopped;
  if (record) return;
  // A lost record is made anew. If it runs, its id range is the one that it runs with.
  facts.record = Record{.id = container->id,
                        .uuid = facts.definition.uuid.empty() ? make_uuid() : facts.definition.uuid,
                        .template_name = facts.definition.template_name,
                        .template_digest = "",
                        .created = format_time(std::chrono::system_clock::now()),
                        .ids = {},
                        .addresses = {}};
  auto asked = requested_range(facts.definition);
  if (auto plan = read_plan(paths)) {
    facts.record.ids = plan->ids;
  } else if (asked && *asked) {
    facts.record.ids = **asked;
  } else {
    without_range_.push_back(container);  // one from the pool, once all others have theirs
  }
}

void Reconciler::add(const ContainerPtr& container) {
  auto& facts = container->facts;
  auto added = services_.registry.add(container, facts.definition.name, facts.record.uuid);
  if (!added) {
    // Two directories that claim one name: the second keeps its id only.
    facts.error = added.error().to_string();
    log::error("vps {}: {}", container->id, facts.error);
    facts.definition.name.clear();
    warn(container->id, "register", services_.registry.add(container, "", ""));
  }
  if (auto mine = services_.idmap.reserve(facts.record.ids, container->id); !mine) {
    facts.broken = true;
    facts.state = State::kFailed;
    facts.error = mine.error().to_string();
    services_.ledger->append("vps.failed", container->id, facts.error);
  }
}

ContainerPtr Reconciler::read(const std::string& id) {
  auto container = std::make_shared<Container>(services_.config.roots, id, services_.config.restart);
  if (settle_markers(id, container->paths)) return nullptr;
  load(container);
  add(container);
  return container;
}

void Reconciler::restore_addresses(const std::vector<ContainerPtr>& containers) {
  std::vector<LeaseBook::Claim> claims;
  for (const auto& container : containers) {
    const auto running = plans_.find(container->id);
    const auto& facts = container->facts;
    auto said = lease_claims(facts.record.addresses, facts.definition, running == plans_.end() ? nullptr : &running->second.network);
    claims.insert(claims.end(), said.begin(), said.end());
  }
  services_.networks->restore_leases(std::move(claims));
}

// What a sudden end of vpsd left behind the book, and records that were written before they said anything of addresses.
void Reconciler::keep_records(const std::vector<ContainerPtr>& containers) {
  auto held = services_.networks->leases().by_vps();
  if (!held) return;
  std::vector<ContainerPtr> behind;
  for (const auto& container : containers) {
    const auto facts = container->snapshot();
    if (!facts.doomed && facts.record.addresses != (*held)[container->id]) behind.push_back(container);
  }
  if (behind.empty()) return;
  // They may be all that there are, and nobody waits for it.
  services_.workers->post([behind, services = &services_] {
    for (const auto& container : behind) {
      auto turn = container->slot.acquire({"", OperationSlot::kCleanUp}, std::chrono::steady_clock::now() + kTurnTime, services->shutdown.get_token());
      if (!turn) continue;  // whatever it is that changes it looks after this as well, or the next start of vpsd does
      SlotLease slot(container->slot);
      warn(container->id, "write its addresses down", keep_addresses(*services, container));
    }
  });
}

void Reconciler::adopt(const ContainerPtr& container, supervisor::Client client) {
  auto first = client.next_status(kHelloTime);
  auto& facts = container->facts;
  const bool wanted = is_wanted(*container);
  // An operator's stop was under way; did it come as far as the supervisor?
  if (!wanted && first && *first && ((*first)->phase == Phase::kRunning || (*first)->phase == Phase::kStarting))
    warn(container->id, "go on stopping it", client.stop({.force = false, .timeout_ms = static_cast<std::uint64_t>(facts.definition.stop_timeout.count())}));
  {
    std::scoped_lock lock(container->mutex);
    ++container->run;
    container->run_began = std::chrono::steady_clock::now();
    container->automatic = true;
    container->teardown_due = true;
    facts.state = State::kRunning;
    if (first && *first) {
      facts.status = **first;
      if ((*first)->phase == Phase::kStarting) facts.state = State::kStarting;
      if ((*first)->phase == Phase::kRunning && (*first)->paused) facts.state = State::kPaused;
      facts.limits = (*first)->limits;
    }
    // What its start applied is not what holds once a limit was changed live.
    if (auto changed = read_file(container->paths.run_dir + "/limits.json", kMaxSmallFile))
      if (auto limits = parse_limits(*changed)) {
        facts.limits.clear();
        for (const auto& limit : *limits) facts.limits.push_back(enforcement_json(limit));
      }
    if (!wanted) {
      facts.state = State::kStopping;
      container->stop_asked = true;
    }
    auto active = read_file(container->paths.run_dir + "/active.yaml", kMaxSmallFile);
    if (active)
      if (auto parsed = parse_definition(*active, "active.yaml")) facts.active = *parsed;
    if (!facts.active) facts.active = facts.definition;
    if (auto plan = plans_.find(container->id); plan != plans_.end()) facts.init_kind = plan->second.init_kind;
  }
  services_.ledger->append("vps.adopted", container->id, fmt::format("found {}", state_name(container->state())));
  report_.adopted.push_back(container->id);
  if (first && *first) monitor_.report_incidents(*container, **first);
  monitor_.attach(container, std::move(client));
}

void Reconciler::settle_run(const ContainerPtr& container) {
  const auto& paths = container->paths;
  if (!path_exists(paths.run_dir)) return;
  auto call = calls_.extract(container->id);
  auto client = call ? std::move(call.mapped()) : supervisor::Client::connect(paths.supervisor_socket);
  if (client) return adopt(container, std::move(*client));
  if (client.error().code() != Code::kNotFound) warn(container->id, "its supervisor", std::unexpected(client.error()));

  auto state = read_run_state(paths);
  const bool this_boot = state && state->boot_id == services_.boot_id;
  if (!this_boot && state) {
    warn(container->id, "remove its run directory", remove_tree(paths.run_dir));
    return;
  }
  const bool wanted = is_wanted(*container);
  warn(container->id, "remove what its run left", tear_down(services_, container));
  if (!state) {
    if (wanted) {
      warn(container->id, "remove its marker", set_wanted(*container, false));
      services_.ledger->append("vps.failed", container->id, "its start, which had been interrupted, is undone");
      report_.undone.push_back(container->id);
    }
    return;
  }
  Status last = state->status;
  if (last.phase != Phase::kExited && last.phase != Phase::kFailed) {
    last.phase = Phase::kFailed;
    last.reason = ExitReason::kKilled;
    last.has_error = true;
    last.error = Error(Code::kFailed, "its supervisor ended while vpsd was away");
  }
  report_.stopped.push_back(container->id);
  if (!wanted) {
    std::scoped_lock lock(container->mutex);
    container->facts.status = last;
    if (last.has_error && last.phase == Phase::kFailed && last.reason == ExitReason::kStartFailed) {
      container->facts.state = State::kFailed;
      container->facts.error = last.error.to_string();
    }
    return;
  }
  {
    std::scoped_lock lock(container->mutex);
    ++container->run;
    container->run_began = std::chrono::steady_clock::now();
    container->automatic = true;
    container->facts.state = State::kRunning;
  }
  monitor_.ended(container, last);
}

void Reconciler::sweep_run_directories() {
  const std::string directory = services_.config.roots.run + "/containers";
  if (!path_exists(directory)) return;
  auto names = list_dir(directory);
  if (!names) return;
  for (const auto& name : *names) {
    if (!validate_id(name) || services_.registry.find(name)) continue;
    auto paths = vps_paths(services_.config.roots, name);
    if (supervisor::Client::connect(paths.supervisor_socket)) {
      // Its files are gone, but somebody's processes are not: a person must decide.
      services_.ledger->append("vps.failed", name, "runs without a definition; left alone");
      report_.left_alone.push_back(name);
      continue;
    }
    warn(name, "remove its cgroups", cgroups::Group::remove(services_.host, paths.cgroup_parent));
    warn(name, "remove its network", detach_network(services_, paths));
    warn(name, "remove its run directory", remove_tree(paths.run_dir));
    report_.finished.push_back(name);
  }
}

void Reconciler::sweep_cgroups() {
  const auto& host = services_.host;
  if (host.unified_base.empty()) return;
  const std::string directory = host.unified_base + "/" + services_.config.roots.cgroup_name;
  auto top = open_dir(directory);
  if (!top) return;
  auto names = list_dir_at(top->get());
  if (!names) return;
  for (const auto& name : *names) {
    struct stat st{};
    if (!validate_id(name) || ::fstatat(top->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode)) continue;
    auto known = services_.registry.find(name);
    if (known && is_running((*known)->state())) continue;
    const std::string path = services_.config.roots.cgroup_name + "/" + name;
    if (!known) {
      auto group = cgroups::Group::open(host, path);
      auto populated = group ? group->populated() : Result<bool>(false);
      if (populated && *populated) {
        log::warning("cgroup {} has processes and no vps; left alone", path);
        report_.left_alone.push_back(path);
        continue;
      }
    }
    warn(name, "remove its cgroups", cgroups::Group::remove(host, path));
  }
}

}  // namespace vps::daemon
