#include "daemon/change.h"

#include <time.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/log.h"
#include "base/undo.h"
#include "cgroups/cgroup.h"
#include "cgroups/shares.h"
#include "daemon/failpoints.h"
#include "daemon/lifecycle.h"
#include "daemon/limit_words.h"
#include "storage/disk.h"

namespace vps::daemon {
namespace {

// What is in force now: of the run, or of the next one.
const Definition& in_force(const ContainerFacts& facts) { return facts.active ? *facts.active : facts.definition; }

std::int64_t clock_seconds(clockid_t clock) {
  timespec now{};
  return ::clock_gettime(clock, &now) == 0 ? now.tv_sec : 0;
}

bool runs(const ContainerFacts& facts) {
  return facts.active && (facts.state == State::kRunning || facts.state == State::kPaused);
}

Result<> save_active(const VpsPaths& paths, const Definition& definition) {
  return write_file_atomic(paths.run_dir + "/active.yaml", format_definition(definition), 0600);
}

}  // namespace

Result<ChangeMode> change_mode_from_name(std::string_view name) {
  if (name == "both") return ChangeMode::kBoth;
  if (name == "live") return ChangeMode::kLive;
  if (name == "saved") return ChangeMode::kSaved;
  return fail(Code::kUsage, "mode: expected both, live or saved, found '{}'", name);
}

Result<Definition> checked_replacement(const ContainerFacts& facts, Definition wanted) {
  const auto& record = facts.record;
  auto fixed = [](std::string& value, const std::string& own, std::string_view key) -> Result<> {
    if (value.empty()) value = own;
    if (value != own && !own.empty()) return fail(Code::kUsage, "{}: cannot be changed from {} to {}", key, own, value);
    return {};
  };
  VPS_TRY(fixed(wanted.id, record.id, "id"));
  VPS_TRY(fixed(wanted.uuid, record.uuid, "uuid"));
  VPS_TRY(fixed(wanted.template_name, record.template_name, "template"));
  number_firewall(wanted);
  VPS_TRY(validate_definition(wanted));
  return wanted;
}

Result<Definition> checked_assignments(const ContainerFacts& facts, ChangeMode mode,
                                       const std::vector<std::string>& assignments) {
  Definition wanted = mode == ChangeMode::kLive ? in_force(facts) : facts.definition;
  for (const auto& assignment : assignments) VPS_TRY(set_key(wanted, assignment));
  number_firewall(wanted);
  VPS_TRY(validate_definition(wanted));
  return wanted;
}

Result<Compiled> compile_definition(const Services& services, const VpsPaths& paths, const Definition& definition, IdRange ids,
                                    const std::string& init) {
  CompileInput input;
  input.definition = definition;
  if (input.definition.init.empty()) input.definition.init = {init};
  input.ids = ids;
  input.rootfs = storage::rootfs_plan(paths.disk, services.templates.rootfs_path(definition.template_name), definition.disk);
  input.host = services.facts;
  input.host.monotonic_seconds = clock_seconds(CLOCK_MONOTONIC);
  input.host.boottime_seconds = clock_seconds(CLOCK_BOOTTIME);
  input.roots = services.config.roots;
  return compile_vps(input);
}

Result<oci::Resources> resources_of(const Services& services, const VpsPaths& paths, const Definition& definition, IdRange ids) {
  auto compiled = VPS_TRY(compile_definition(services, paths, definition, ids));
  if (!compiled.spec.linux_ || !compiled.spec.linux_->resources) return oci::Resources();
  return std::move(*compiled.spec.linux_->resources);
}

oci::Resources with_lifted_limits(const oci::Resources& from, oci::Resources to, std::uint32_t cpus) {
  constexpr std::int64_t kUnlimited = -1;
  constexpr std::uint64_t kDefaultShares = 1024;
  constexpr std::uint16_t kDefaultBlockWeight = 500;
  if (from.memory) {
    auto& memory = to.memory ? *to.memory : to.memory.emplace();
    if (from.memory->limit && !memory.limit) memory.limit = kUnlimited;
    if (from.memory->swap && !memory.swap) memory.swap = kUnlimited;
    if (from.memory->reservation && !memory.reservation) memory.reservation = 0;
  }
  if (from.cpu) {
    auto& cpu = to.cpu ? *to.cpu : to.cpu.emplace();
    if (from.cpu->quota && !cpu.quota) cpu.quota = kUnlimited;
    if (from.cpu->period && !cpu.period) cpu.period = from.cpu->period;
    if (from.cpu->shares && !cpu.shares) cpu.shares = kDefaultShares;
    if (!from.cpu->cpus.empty() && cpu.cpus.empty()) cpu.cpus = cpus > 1 ? fmt::format("0-{}", cpus - 1) : "0";
  }
  if (from.pids && from.pids->limit && (!to.pids || !to.pids->limit)) to.pids.emplace().limit = kUnlimited;
  if (from.block_io) {
    auto& io = to.block_io ? *to.block_io : to.block_io.emplace();
    if (from.block_io->weight && !io.weight) io.weight = kDefaultBlockWeight;
    auto lift = [](const std::vector<oci::ThrottleDevice>& old, std::vector<oci::ThrottleDevice>& now) {
      for (const auto& device : old) {
        bool kept = std::ranges::any_of(now, [&](const auto& each) { return each.major == device.major && each.minor == device.minor; });
        if (!kept) now.push_back({device.major, device.minor, 0});  // rate 0: no throttle
      }
    };
    lift(from.block_io->throttle_read_bps, io.throttle_read_bps);
    lift(from.block_io->throttle_write_bps, io.throttle_write_bps);
    lift(from.block_io->throttle_read_iops, io.throttle_read_iops);
    lift(from.block_io->throttle_write_iops, io.throttle_write_iops);
  }
  for (const auto& [file, value] : from.unified) {
    if (to.unified.contains(file)) continue;
    if (file.ends_with(".weight")) to.unified[file] = "100";
    else if (file.ends_with(".min") || file.ends_with(".low")) to.unified[file] = "0";
    else if (file.ends_with(".max") || file.ends_with(".high")) to.unified[file] = "max";
  }
  return to;
}

// On a running VPS.
Result<std::vector<cgroups::Enforcement>> put_in_force(const Services& services, const VpsPaths& paths, const oci::Resources& resources) {
  auto group = VPS_TRY(cgroups::Group::open(services.host, paths.cgroup_payload));
  auto limits = VPS_TRY(group.apply(resources));
  VPS_TRY(cgroups::apply_shares(services.host, paths.cgroup_parent, resources));
  return limits;
}

// Rates, guards and firewall, and the record of them for whoever cleans up later.
Result<> put_network_in_force(Services& services, const VpsPaths& paths, const net::VpsPlan& network) {
  VPS_TRY(services.networks->change_live(network));
  auto text = VPS_TRY(read_file(paths.plan));
  auto plan = VPS_TRY(supervisor::parse_plan(text));
  plan.network = network;
  return write_file_atomic(paths.plan, supervisor::format_plan(plan), 0600);
}

// What it runs with stays its own until it has ended. `facts` outlives `undo`.
Result<> change_addresses(Services& services, const ContainerPtr& container, const ContainerFacts& facts, const Definition& wanted,
                          std::vector<std::string>& warnings, UndoStack& undo) {
  if (wanted.network.interfaces == facts.definition.network.interfaces) return {};
  const bool running = runs(facts);
  undo.push("addresses", [&services, &facts, container, running] {
    std::vector<std::string> ignored;
    (void)services.networks->reserve(facts.definition, &ignored, running);
    (void)keep_addresses(services, container);
  });
  VPS_TRY(services.networks->reserve(wanted, &warnings, running));
  VPS_TRY(step("daemon.change.addresses"));
  return keep_addresses(services, container);
}

// To `after`, from what its ports run with now.
Result<> change_ports(Services& services, const VpsPaths& paths, const net::VpsPlan& after, UndoStack& undo) {
  auto before = services.networks->running(paths.id);
  if (!before || *before == after) return {};
  undo.push("network", [&services, &paths, before] { (void)put_network_in_force(services, paths, *before); });
  return put_network_in_force(services, paths, after);
}

// Networks that are not there, addresses that cannot be had: said before anything is changed.
Result<> check_network(Services& services, const ContainerFacts& facts, const Definition& wanted) {
  if (!(wanted.network == facts.definition.network)) VPS_TRY(services.networks->check_neighbours(wanted, facts.record.uuid));
  VPS_TRY(services.networks->preview(wanted, facts.record.uuid));
  return {};
}

Result<ChangeResult> change_vps(Services& services, const ContainerPtr& container, const Definition& wanted, ChangeMode mode,
                                bool dry_run) {
  const auto& paths = container->paths;
  const ContainerFacts facts = container->snapshot();
  if (facts.doomed) return fail(Code::kWrongState, "cannot change it: {}", facts.error);
  if (container->gone) return fail(Code::kNotFound, "no vps {}", container->id);
  if (facts.state == State::kCreating) return fail(Code::kWrongState, "cannot change it: it is still being created");
  const bool running = runs(facts);
  if (mode == ChangeMode::kLive && !running)
    return fail(Code::kWrongState, "cannot change it live: it is {}", state_name(facts.state));
  const Definition before = mode == ChangeMode::kLive ? in_force(facts) : facts.definition;

  ChangeResult result;
  result.changes = diff_definitions(before, wanted);
  if (mode == ChangeMode::kLive)
    for (const auto& change : result.changes)
      if (change.effect == ChangeEffect::kNextStart)
        return fail(Code::kUsage, "{} takes effect at the next start only: it cannot be set live", change.key);

  // What will be in force, and with what the kernel enforces it.
  Definition active = in_force(facts);
  if (running && mode != ChangeMode::kSaved) active = with_live_keys(active, wanted);
  auto old_resources = VPS_TRY(resources_of(services, paths, in_force(facts), facts.record.ids));
  auto new_resources = VPS_TRY(resources_of(services, paths, running ? active : wanted, facts.record.ids));
  result.limits = cgroups::Group::explain(services.host, new_resources);
  ContainerFacts after = facts;
  if (mode != ChangeMode::kLive) after.definition = wanted;
  if (running) after.active = active;
  result.restart_required = restart_required(after);
  if (auto reason = storage::explain_disk(wanted.disk); !reason.empty() && wanted.disk != before.disk)
    result.warnings.push_back(fmt::format("disk.size is not enforced: {}", reason));
  const bool limits_change = running && mode != ChangeMode::kSaved && in_force(facts).resources != active.resources;
  if (before.resources != wanted.resources)
    for (auto& warning : enforcement_warnings(result.limits)) result.warnings.push_back(std::move(warning));
  const bool live = running && mode != ChangeMode::kSaved;
  auto network = live ? VPS_TRY(services.networks->plan_live(active, facts.record.uuid)) : std::optional<net::VpsPlan>();
  VPS_TRY(check_network(services, facts, wanted));
  if (!(before.network == wanted.network))
    for (auto& warning : VPS_TRY(services.networks->warnings(wanted))) result.warnings.push_back(std::move(warning));
  if (dry_run || (result.changes.empty() && in_force(facts) == active)) return result;

  UndoStack undo;
  const bool renamed = mode != ChangeMode::kLive && wanted.name != facts.definition.name;
  if (renamed) {
    VPS_TRY(services.registry.rename(container->id, wanted.name));
    undo.push("name", [&] { (void)services.registry.rename(container->id, facts.definition.name); });
  }
  if (mode != ChangeMode::kLive) VPS_TRY(change_addresses(services, container, facts, wanted, result.warnings, undo));
  if (network) VPS_TRY_CTX("network", change_ports(services, paths, *network, undo));
  if (limits_change) {
    undo.push("limits", [&services, &paths, old_resources, new_resources] {
      if (auto done = put_in_force(services, paths, with_lifted_limits(new_resources, old_resources, services.facts.cpus)); !done)
        log::error("{}: old limits: {}", paths.cgroup_payload, done.error().to_string());
    });
    result.limits = VPS_TRY_CTX("apply the limits", put_in_force(services, paths, with_lifted_limits(old_resources, new_resources, services.facts.cpus)));
    // Lifted limits were only written to get rid of the old ones.
    auto kept = cgroups::Group::explain(services.host, new_resources);
    std::erase_if(result.limits, [&](const auto& each) {
      return std::ranges::none_of(kept, [&](const auto& other) { return other.limit == each.limit; });
    });
    VPS_TRY(step("daemon.change.live"));
  }
  if (running && mode != ChangeMode::kSaved) {
    VPS_TRY(save_active(paths, active));
    undo.push("active definition", [&] { (void)save_active(paths, in_force(facts)); });
    if (limits_change) VPS_TRY(write_file_atomic(paths.run_dir + "/limits.json", format_limits(result.limits), 0600));
  }
  if (mode != ChangeMode::kLive) {
    VPS_TRY(write_file_atomic(paths.definition, format_definition(wanted)));
    undo.push("definition", [&] { (void)write_file_atomic(paths.definition, format_definition(facts.definition)); });
    VPS_TRY(step("daemon.change.saved"));
  }
  undo.commit();
  {
    std::scoped_lock lock(container->mutex);
    if (mode != ChangeMode::kLive) container->facts.definition = wanted;
    if (running && container->facts.active) container->facts.active = active;
    if (limits_change) {
      container->facts.limits.clear();
      for (const auto& limit : result.limits) container->facts.limits.push_back(enforcement_json(limit));
    }
    if (container->facts.broken && mode != ChangeMode::kLive) {  // a whole new definition mends it
      container->facts.broken = false;
      container->facts.error.clear();
    }
  }
  nlohmann::json keys = nlohmann::json::array();
  for (const auto& change : result.changes) keys.push_back(change.key);
  services.ledger->append("vps.changed", container->id,
                          fmt::format("{} changed", result.changes.size() == 1 ? result.changes[0].key
                                                                               : fmt::format("{} keys", result.changes.size())),
                          nlohmann::json{{"keys", keys}}.dump());
  return result;
}

}  // namespace vps::daemon
