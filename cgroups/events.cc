// Group: freezing, killing, watching and reading the figures.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"
#include "cgroups/cgroup.h"
#include "cgroups/text.h"
#include "cgroups/tree.h"

namespace vps::cgroups {
namespace {

// "" when the file is not there: this host or this group does not have the figure.
std::string text_of(int dirfd, const char* file) {
  if (dirfd == -1) return {};
  auto text = read_file_at(dirfd, file);
  return text ? std::move(*text) : std::string();
}

std::uint64_t number_of(int dirfd, const char* file) { return parse_limit(text_of(dirfd, file)).value_or(0); }

void read_memory_v2(int dirfd, MemoryStats& memory) {
  memory.current = number_of(dirfd, "memory.current");
  memory.peak = number_of(dirfd, "memory.peak");
  memory.limit = number_of(dirfd, "memory.max");
  memory.swap_current = number_of(dirfd, "memory.swap.current");
  parse_memory_stat(text_of(dirfd, "memory.stat"), memory);
  parse_memory_events(text_of(dirfd, "memory.events"), memory);
}

void read_memory_v1(int dirfd, MemoryStats& memory) {
  memory.current = number_of(dirfd, "memory.usage_in_bytes");
  memory.peak = number_of(dirfd, "memory.max_usage_in_bytes");
  memory.limit = number_of(dirfd, "memory.limit_in_bytes");
  auto with_swap = number_of(dirfd, "memory.memsw.usage_in_bytes");
  memory.swap_current = with_swap > memory.current ? with_swap - memory.current : 0;
  memory.kernel = number_of(dirfd, "memory.kmem.usage_in_bytes");
  parse_v1_memory_stat(text_of(dirfd, "memory.stat"), memory);
  memory.max_events = number_of(dirfd, "memory.failcnt");
  memory.oom_kills = keyed_value(text_of(dirfd, "memory.oom_control"), "oom_kill");
  memory.oom_events = memory.oom_kills;  // v1 counts kills only
}

void read_blkio(int dirfd, IoStats& io) {
  // The plain files count the group alone; what the tenant's sub-groups do is in the recursive ones.
  auto bytes = text_of(dirfd, "blkio.throttle.io_service_bytes_recursive");
  auto ops = text_of(dirfd, "blkio.throttle.io_serviced_recursive");
  parse_blkio(bytes, io.read_bytes, io.write_bytes);
  parse_blkio(ops, io.read_ops, io.write_ops);
}

Result<UniqueFd> v1_oom_eventfd(int memory) {
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return fail_errno(errno, "make eventfd");
  auto control = VPS_TRY(open_at(memory, "memory.oom_control", O_RDONLY));
  VPS_TRY(write_kernel_file_at(memory, "cgroup.event_control", fmt::format("{} {}", event.get(), control.get())));
  return event;
}

}  // namespace

Result<> Group::freeze() const {
  VPS_TRY_CTX("freeze cgroup " + path_, write_kernel_file_at(unified_.get(), "cgroup.freeze", "1"));
  auto frozen = wait_for(unified_.get(), "cgroup.events", "frozen", "1", kSettleTimeout);
  if (!frozen) {
    (void)write_kernel_file_at(unified_.get(), "cgroup.freeze", "0");
    return std::unexpected(std::move(frozen).error().wrap("freeze cgroup " + path_));
  }
  return {};
}

Result<> Group::thaw() const {
  VPS_TRY_CTX("thaw cgroup " + path_, write_kernel_file_at(unified_.get(), "cgroup.freeze", "0"));
  VPS_TRY_CTX("thaw cgroup " + path_, wait_for(unified_.get(), "cgroup.events", "frozen", "0", kSettleTimeout));
  return {};
}

Result<bool> Group::frozen() const { return VPS_TRY(keyed_word(unified_.get(), "cgroup.events", "frozen")) == "1"; }

Result<bool> Group::populated() const {
  return VPS_TRY(keyed_word(unified_.get(), "cgroup.events", "populated")) == "1";
}

Result<> Group::kill() const {
  auto killed = write_kernel_file_at(unified_.get(), "cgroup.kill", "1");
  if (killed) return {};
  if (killed.error().err() != ENOENT) return std::unexpected(std::move(killed).error().wrap("kill cgroup " + path_));
  VPS_TRY_CTX("kill cgroup " + path_, kill_by_signal(unified_.get(), kSettleTimeout));
  return {};
}

Result<> Group::wait_empty(std::chrono::milliseconds patience) const {
  VPS_TRY_CTX("cgroup " + path_, wait_for(unified_.get(), "cgroup.events", "populated", "0", patience));
  return {};
}

Result<std::vector<pid_t>> Group::processes() const { return subtree_processes(unified_.get()); }

Result<Stats> Group::stats() const {
  Stats stats;
  int v2 = unified_.get();
  // Usage is counted in the v2 tree with or without the controller, in microseconds, where v1 has ticks for user/system.
  auto cpu = VPS_TRY_CTX("cgroup " + path_, read_file_at(v2, "cpu.stat"));
  parse_cpu_stat(cpu, stats.cpu);
  if (int fd = v1_fd("cpu"); fd >= 0) parse_v1_cpu_stat(text_of(fd, "cpu.stat"), stats.cpu);
  int memory = v1_fd("memory");
  if (memory >= 0)
    read_memory_v1(memory, stats.memory);
  else
    read_memory_v2(v2, stats.memory);
  if (int fd = v1_fd("blkio"); fd >= 0)
    read_blkio(fd, stats.io);
  else
    parse_io_stat(text_of(v2, "io.stat"), stats.io);
  int pids = v1_fd("pids") >= 0 ? v1_fd("pids") : v2;
  stats.pids_current = number_of(pids, "pids.current");
  stats.pids_limit = number_of(pids, "pids.max");
  stats.pids_max_events = keyed_value(text_of(pids, "pids.events"), "max");
  stats.cpu_pressure = parse_pressure(text_of(v2, "cpu.pressure"));
  stats.memory_pressure = parse_pressure(text_of(v2, "memory.pressure"));
  stats.io_pressure = parse_pressure(text_of(v2, "io.pressure"));
  return stats;
}

Result<Usage> Group::usage(const Host& host, const std::string& raw_path) {
  auto path = VPS_TRY(normal_path(raw_path));
  Usage usage;
  auto cpu = read_file(host.unified_base + "/" + path + "/cpu.stat");
  if (!cpu) return fail(Code::kNotFound, "no cgroup {}/{}", host.unified_base, path);
  usage.cpu_usec = keyed_value(*cpu, "usage_usec");
  const char* memory = host.where("memory") == Where::kV1 ? "memory.usage_in_bytes" : "memory.current";
  usage.memory_bytes = number_of(AT_FDCWD, (host.directory_of("memory", path) + "/" + memory).c_str());
  return usage;
}

bool Group::announces_refused_forks() const {
  // v1 groups do not announce at all on newer kernels; pids.events.local came with the hierarchical count.
  return v1_fd("pids") < 0 && ::faccessat(unified_.get(), "pids.events.local", F_OK, 0) == 0;
}

std::uint64_t Group::oom_kills() const {
  if (int v1 = v1_fd("memory"); v1 >= 0) return keyed_value(text_of(v1, "memory.oom_control"), "oom_kill");
  return keyed_value(text_of(unified_.get(), "memory.events"), "oom_kill");
}

Result<std::uint64_t> Group::forks_refused() const {
  if (v1_fd("pids") >= 0) return VPS_TRY_CTX("cgroup " + path_, subtree_sum(v1_fd("pids"), "pids.events", "max"));
  if (announces_refused_forks()) return keyed_value(text_of(unified_.get(), "pids.events"), "max");
  return VPS_TRY_CTX("cgroup " + path_, subtree_sum(unified_.get(), "pids.events", "max"));
}

Result<> Group::Watch::rearm() const {
  if (eventfd) {
    std::uint64_t count = 0;
    if (::read(fd.get(), &count, sizeof count) < 0 && errno != EAGAIN) return fail_errno(errno, "read eventfd");
    return {};
  }
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) return fail_errno(errno, "rewind cgroup events");
  auto text = read_fd(fd.get());
  // ENODEV: the group has been removed, which is the last event.
  if (!text && text.error().err() != ENODEV) return std::unexpected(std::move(text).error());
  return {};
}

Result<std::vector<Group::Watch>> Group::watches() const {
  std::vector<Watch> watches;
  auto file = [&](Watch::Kind kind, int dirfd, const char* name) -> Result<> {
    if (dirfd < 0) return {};
    auto fd = open_at(dirfd, name, O_RDONLY);
    if (!fd && fd.error().err() == ENOENT) return {};
    if (!fd) return std::unexpected(std::move(fd).error());
    watches.push_back({kind, std::move(*fd), false});
    return watches.back().rearm();  // the kernel reports changes since the last read
  };
  int v1_memory = v1_fd("memory");
  VPS_TRY(file(Watch::Kind::kPopulated, unified_.get(), "cgroup.events"));
  VPS_TRY(file(Watch::Kind::kMemory, v1_memory >= 0 ? -1 : unified_.get(), "memory.events"));
  VPS_TRY(file(Watch::Kind::kPids, v1_fd("pids") >= 0 ? v1_fd("pids") : unified_.get(), "pids.events"));
  if (v1_memory >= 0) {
    auto event = v1_oom_eventfd(v1_memory);
    // Kernels without the deprecated eventfd interface: OOM kills show in stats() only.
    if (event) watches.push_back({Watch::Kind::kMemory, std::move(*event), true});
  }
  return watches;
}

}  // namespace vps::cgroups
