#include <unistd.h>

#include "base/files.h"
#include "base/units.h"
#include "cgroups/systemd_unit.h"
#include "cli/oci/commands.h"
#include "cli/oci/container.h"
#include "cli/oci/resources.h"
#include "runtime/resctrl.h"
#include "specs/oci/json.h"
#include "specs/oci/validate.h"

namespace vps::vpsrun {
namespace {

constexpr OptionSpec kOptions[] = {
    {.name = "resources", .letter = 'r', .value = "FILE", .help = "limits as JSON, like linux.resources; - reads standard input"},
    {.name = "memory", .value = "BYTES", .help = "memory limit; -1 is none"},
    {.name = "memory-reservation", .value = "BYTES", .help = "memory that is reclaimed last"},
    {.name = "memory-swap", .value = "BYTES", .help = "limit of memory and swap together; -1 is none"},
    {.name = "kernel-memory", .value = "BYTES", .help = "for compatibility; kernels have no such limit any more"},
    {.name = "kernel-memory-tcp", .value = "BYTES", .help = "for compatibility; kernels have no such limit any more"},
    {.name = "cpu-period", .value = "USEC", .help = "period of the CPU quota"},
    {.name = "cpu-quota", .value = "USEC", .help = "CPU time per period; -1 is no limit"},
    {.name = "cpu-burst", .value = "USEC", .help = "CPU time that may be saved up"},
    {.name = "cpu-share", .value = "N", .help = "CPU weight as v1 shares (2 to 262144)"},
    {.name = "cpu-shares", .value = "N", .help = "the same"},
    {.name = "cpu-rt-period", .value = "USEC", .help = "real-time period"},
    {.name = "cpu-rt-runtime", .value = "USEC", .help = "real-time run time per period"},
    {.name = "cpu-idle", .value = "0|1", .help = "run only when nobody else wants the CPU"},
    {.name = "cpuset-cpus", .value = "LIST", .help = "CPUs, like 0-2,7"},
    {.name = "cpuset-mems", .value = "LIST", .help = "memory nodes, like 0,1"},
    {.name = "blkio-weight", .value = "N", .help = "block I/O weight (10 to 1000)"},
    {.name = "pids-limit", .value = "N", .help = "number of processes; -1 is no limit"},
    {.name = "l3-cache-schema", .value = "SCHEMA", .help = "share of the L3 cache, as resctrl takes it"},
    {.name = "mem-bw-schema", .value = "SCHEMA", .help = "share of the memory bandwidth, as resctrl takes it"},
};

// Calls `take` with the value of an option that is there; sizes may have units.
template <class Take>
Result<> take_number(const Arguments& arguments, std::string_view name, bool size, Take take) {
  const auto* text = arguments.value(name);
  if (text == nullptr) return {};
  std::int64_t value = 0;
  if (auto plain = parse_i64(*text)) {
    value = *plain;
  } else if (size) {
    value = static_cast<std::int64_t>(VPS_TRY_CTX(fmt::format("--{}", name), parse_size(*text)).value);
  } else {
    return fail(Code::kUsage, "--{}: '{}' is not a number", name, *text);
  }
  take(value);
  return {};
}

template <class Take>
Result<> take_unsigned(const Arguments& arguments, std::string_view name, Take take) {
  bool negative = false;
  VPS_TRY(take_number(arguments, name, false, [&](std::int64_t value) {
    negative = value < 0;
    if (!negative) take(static_cast<std::uint64_t>(value));
  }));
  if (negative) return fail(Code::kUsage, "--{}: is negative", name);
  return {};
}

Result<> take_memory(const Arguments& arguments, oci::Resources& out) {
  auto memory = [&]() -> oci::MemoryLimits& { return out.memory ? *out.memory : out.memory.emplace(); };
  VPS_TRY(take_number(arguments, "memory", true, [&](std::int64_t v) { memory().limit = v; }));
  VPS_TRY(take_number(arguments, "memory-reservation", true, [&](std::int64_t v) { memory().reservation = v; }));
  return take_number(arguments, "memory-swap", true, [&](std::int64_t v) { memory().swap = v; });
}

Result<> take_cpu(const Arguments& arguments, oci::Resources& out) {
  auto cpu = [&]() -> oci::CpuLimits& { return out.cpu ? *out.cpu : out.cpu.emplace(); };
  VPS_TRY(take_unsigned(arguments, "cpu-period", [&](std::uint64_t v) { cpu().period = v; }));
  VPS_TRY(take_number(arguments, "cpu-quota", false, [&](std::int64_t v) { cpu().quota = v; }));
  VPS_TRY(take_unsigned(arguments, "cpu-burst", [&](std::uint64_t v) { cpu().burst = v; }));
  for (const char* name : {"cpu-share", "cpu-shares"})
    VPS_TRY(take_unsigned(arguments, name, [&](std::uint64_t v) { cpu().shares = v; }));
  VPS_TRY(take_unsigned(arguments, "cpu-rt-period", [&](std::uint64_t v) { cpu().realtime_period = v; }));
  VPS_TRY(take_number(arguments, "cpu-rt-runtime", false, [&](std::int64_t v) { cpu().realtime_runtime = v; }));
  VPS_TRY(take_number(arguments, "cpu-idle", false, [&](std::int64_t v) { cpu().idle = v; }));
  if (const auto* list = arguments.value("cpuset-cpus")) cpu().cpus = *list;
  if (const auto* list = arguments.value("cpuset-mems")) cpu().mems = *list;
  return {};
}

Result<oci::Resources> wanted(const Arguments& arguments) {
  if (const auto* file = arguments.value("resources")) {
    auto text = VPS_TRY_CTX("--resources", *file == "-" ? read_fd(STDIN_FILENO) : read_file(*file));
    return oci::parse_resources(text);
  }
  oci::Resources out;
  VPS_TRY(take_memory(arguments, out));
  VPS_TRY(take_cpu(arguments, out));
  bool weight_fits = true;
  VPS_TRY(take_unsigned(arguments, "blkio-weight", [&](std::uint64_t v) {
    weight_fits = v <= UINT16_MAX;
    out.block_io.emplace().weight = static_cast<std::uint16_t>(v);
  }));
  if (!weight_fits) return fail(Code::kUsage, "--blkio-weight: is not within 10..1000");
  VPS_TRY(take_number(arguments, "pids-limit", false, [&](std::int64_t v) { out.pids = oci::PidsLimit{v}; }));
  return out;
}

// The flags of resctrl, beside the limits; nullopt: none given.
Result<std::optional<oci::IntelRdt>> wanted_rdt(const Arguments& arguments, const Container& container) {
  oci::IntelRdt rdt;
  rdt.l3_cache_schema = arguments.value_or("l3-cache-schema", "");
  rdt.mem_bw_schema = arguments.value_or("mem-bw-schema", "");
  if (rdt.l3_cache_schema.empty() && rdt.mem_bw_schema.empty()) return std::optional<oci::IntelRdt>();
  if (!container.record().intel_rdt) return fail(Code::kUnavailable, "container '{}' is in no resctrl group (linux.intelRdt)", container.id());
  auto spec = VPS_TRY(container.spec());
  if (spec.linux_ && spec.linux_->intel_rdt) rdt.clos_id = spec.linux_->intel_rdt->clos_id;
  return std::optional(std::move(rdt));
}

Result<int> run(Context& context, const Arguments& arguments) {
  auto container = VPS_TRY(Container::open(context, arguments.positionals()[0]));
  VPS_TRY(container.lock(true));
  VPS_TRY(container.reload());
  VPS_TRY(container.require({Status::kCreated, Status::kRunning, Status::kPaused}, "update"));
  auto rdt = VPS_TRY(wanted_rdt(arguments, container));
  auto resources = without_unset(VPS_TRY(wanted(arguments)));
  VPS_TRY(oci::validate_resources(resources));
  auto group = VPS_TRY(container.group());
  if (!group) return fail(Code::kUnavailable, "container '{}' has no cgroup", container.id());
  // Engines repeat the device rules of the container's creation; they are no limits, and an update leaves them alone.
  resources.devices.clear();
  auto host = VPS_TRY(cgroups::Host::discover({.probe = true}));
  VPS_TRY(require_enforced(cgroups::Group::explain(host, resources)));
  std::string schemata;
  if (rdt) schemata = VPS_TRY(runtime::change_resctrl(runtime::kResctrlRoot, *rdt, container.id(), runtime::resctrl_schemata(*rdt)));
  auto applied = group->apply(resources);
  if (!applied && rdt) (void)runtime::change_resctrl(runtime::kResctrlRoot, *rdt, container.id(), schemata);
  auto limits = VPS_TRY(std::move(applied));
  VPS_TRY(require_enforced(limits));
  if (!container.record().unit.empty()) {
    // Or the next reload of systemd writes what it knew before.
    auto systemd = VPS_TRY(cgroups::Systemd::connect());
    VPS_TRY(systemd.set_properties(container.record().unit, cgroups::unit_properties(resources)));
  }
  return 0;
}

}  // namespace

constinit const CommandSpec kUpdate = {
    .name = "update",
    .summary = "change the limits of a container",
    .description =
        "All of them or none: when one cannot be set, those already written get their old values back. What is not named stays as it "
        "is. A memory limit below the present use makes the kernel reclaim first.",
    .options = kOptions,
    .positionals = {&kOneContainer, 1},
    .run = run,
};

}  // namespace vps::vpsrun
