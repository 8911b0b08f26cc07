#include <poll.h>

#include <cerrno>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/units.h"
#include "cli/oci/commands.h"
#include "cli/oci/container.h"

namespace vps::vpsrun {
namespace {

using Json = nlohmann::ordered_json;

constexpr OptionSpec kOptions[] = {
    {.name = "stats", .help = "the figures once, then end"},
    {.name = "interval", .value = "TIME", .help = "between two lines of figures; default: 5s"},
};

std::string event(const std::string& type, const std::string& id, const Json* data) {
  Json json{{"type", type}, {"id", id}};
  if (data != nullptr) json["data"] = *data;
  return json.dump() + "\n";
}

Json pressure(const cgroups::Pressure& p) {
  return {{"some", {{"avg10", p.some_avg10}, {"total", p.some_total_usec}}}, {"full", {{"avg10", p.full_avg10}, {"total", p.full_total_usec}}}};
}

// The shape of runc's "stats" event, as far as the kernel tells it; times are nanoseconds there.
Json stats_json(const cgroups::Stats& s) {
  constexpr std::uint64_t kNanos = 1000;
  Json json;
  json["cpu"] = {{"usage", {{"total", s.cpu.usage_usec * kNanos}, {"kernel", s.cpu.system_usec * kNanos}, {"user", s.cpu.user_usec * kNanos}}},
                 {"throttling", {{"periods", s.cpu.periods}, {"throttledPeriods", s.cpu.throttled_periods},
                                 {"throttledTime", s.cpu.throttled_usec * kNanos}}}};
  json["memory"] = {{"usage", {{"limit", s.memory.limit}, {"usage", s.memory.current}, {"max", s.memory.peak}, {"failcnt", s.memory.max_events}}},
                    {"swap", {{"usage", s.memory.swap_current}}},
                    {"raw", {{"anon", s.memory.anon}, {"file", s.memory.file}, {"kernel", s.memory.kernel}, {"oom_kill", s.memory.oom_kills}}}};
  json["pids"] = {{"current", s.pids_current}, {"limit", s.pids_limit}};
  json["blkio"] = {{"ioServiceBytesRecursive",
                    {{{"major", 0}, {"minor", 0}, {"op", "Read"}, {"value", s.io.read_bytes}},
                     {{"major", 0}, {"minor", 0}, {"op", "Write"}, {"value", s.io.write_bytes}}}},
                   {"ioServicedRecursive",
                    {{{"major", 0}, {"minor", 0}, {"op", "Read"}, {"value", s.io.read_ops}},
                     {{"major", 0}, {"minor", 0}, {"op", "Write"}, {"value", s.io.write_ops}}}}};
  if (s.cpu_pressure.known) json["cpu"]["psi"] = pressure(s.cpu_pressure);
  if (s.memory_pressure.known) json["memory"]["psi"] = pressure(s.memory_pressure);
  if (s.io_pressure.known) json["blkio"]["psi"] = pressure(s.io_pressure);
  json["hugetlb"] = Json::object();
  json["network_interfaces"] = nullptr;
  return json;
}

Result<> print_stats(const std::string& id, const cgroups::Group& group) {
  auto json = stats_json(VPS_TRY(group.stats()));
  return print(event("stats", id, &json));
}

// Until the container ends: figures at the interval, and a line for each process that the kernel kills for want of memory.
Result<> follow(const Container& container, const cgroups::Group& group, Milliseconds interval) {
  auto process = VPS_TRY(container.process());
  auto watches = VPS_TRY(group.watches());
  std::uint64_t kills = VPS_TRY(group.stats()).memory.oom_kills;
  std::vector<pollfd> items{{process.fd(), POLLIN, 0}};
  for (const auto& watch : watches) items.push_back({watch.fd.get(), static_cast<short>(watch.eventfd ? POLLIN : POLLPRI), 0});
  while (true) {
    int ready = ::poll(items.data(), items.size(), static_cast<int>(interval.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail_errno(errno, "poll");
    for (std::size_t i = 1; i < items.size(); ++i)
      if (items[i].revents != 0) VPS_TRY(watches[i - 1].rearm());
    auto stats = group.stats();
    if (stats && stats->memory.oom_kills > kills) {
      kills = stats->memory.oom_kills;
      VPS_TRY(print(event("oom", container.id(), nullptr)));
    }
    if (items[0].revents != 0) return {};
    if (ready == 0) VPS_TRY(print_stats(container.id(), group));
  }
}

Result<int> run(Context& context, const Arguments& arguments) {
  auto container = VPS_TRY(Container::open(context, arguments.positionals()[0]));
  VPS_TRY(container.require({Status::kCreated, Status::kRunning, Status::kPaused}, "watch"));
  auto group = VPS_TRY(container.group());
  if (!group) return fail(Code::kUnavailable, "container '{}' has no cgroup to take figures from", container.id());
  if (arguments.flag("stats")) {
    VPS_TRY(print_stats(container.id(), *group));
    return 0;
  }
  auto interval = VPS_TRY_CTX("--interval", parse_duration(arguments.value_or("interval", "5s")));
  if (interval.count() <= 0 || interval.count() > INT32_MAX) return fail(Code::kUsage, "--interval: is out of range");
  VPS_TRY(follow(container, *group, interval));
  return 0;
}

}  // namespace

constinit const CommandSpec kEvents = {
    .name = "events",
    .summary = "print the usage figures of a container as JSON lines",
    .description = "With --stats once; else at the interval until the container ends, with a line {\"type\":\"oom\"} for each out-of-memory kill.",
    .options = kOptions,
    .positionals = {&kOneContainer, 1},
    .run = run,
};

}  // namespace vps::vpsrun
