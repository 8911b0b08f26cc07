#include "runtime/supervisor/incidents.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/units.h"

namespace vps::supervisor {
namespace {

std::string_view field(std::string_view record, std::string_view key) {
  auto at = record.find(key);
  if (at == std::string_view::npos) return {};
  at += key.size();
  return record.substr(at, record.find_first_of(",\n", at) - at);
}

template <class Function>
void for_each_record(int kernel_log, Function function) {
  std::array<char, 8192> buffer{};
  while (true) {
    ssize_t n = ::read(kernel_log, buffer.data(), buffer.size());
    // EPIPE: older records were overwritten while we read; the next read goes on with what is there.
    if (n < 0 && (errno == EPIPE || errno == EINTR)) continue;
    if (n <= 0) return;
    function(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
  }
}

}  // namespace

std::optional<OomVictim> parse_oom_record(std::string_view record, std::string_view cgroup_path) {
  if (record.find("oom-kill:") == std::string_view::npos) return std::nullopt;
  auto group = field(record, "oom_memcg=");
  if (!group.starts_with(cgroup_path)) return std::nullopt;
  if (group.size() > cgroup_path.size() && group[cgroup_path.size()] != '/') return std::nullopt;
  OomVictim victim;
  victim.process = field(record, ",task=");
  auto pid = field(record, ",pid=");
  std::from_chars(pid.data(), pid.data() + pid.size(), victim.pid);
  return victim;
}

bool is_fork_rejection(std::string_view record, std::string_view cgroup_path) {
  constexpr std::string_view kText = "fork rejected by pids controller in ";
  auto at = record.find(kText);
  if (at == std::string_view::npos) return false;
  auto group = record.substr(at + kText.size());
  group = group.substr(0, group.find('\n'));
  return group.starts_with(cgroup_path) && (group.size() == cgroup_path.size() || group[cgroup_path.size()] == '/');
}

UniqueFd open_kernel_log(const std::string& kmsg_path) {
  auto log = open_path(kmsg_path, O_RDONLY | O_NONBLOCK);
  if (!log || ::lseek(log->get(), 0, SEEK_END) < 0) return {};
  return std::move(*log);
}

std::vector<OomVictim> read_oom_victims(int kernel_log, std::string_view cgroup_path) {
  std::vector<OomVictim> victims;
  for_each_record(kernel_log, [&](std::string_view record) {
    if (auto victim = parse_oom_record(record, cgroup_path)) victims.push_back(std::move(*victim));
  });
  return victims;
}

std::string describe(const Incident& incident) {
  if (incident.kind == "oom") {
    std::string who = incident.process.empty() ? std::string("a process") : fmt::format("{} (pid {})", incident.process, incident.pid);
    return fmt::format("{} was killed: memory limit {} reached ({})", who, format_size(Bytes{incident.value}), incident.file);
  }
  return fmt::format("{} refused: limit of {} processes reached ({})",
                     incident.count == 1 ? "a fork was" : fmt::format("{} forks were", incident.count), incident.value, incident.file);
}

std::string to_json(const Incident& incident) {
  nlohmann::json value{{"kind", incident.kind}, {"limit", incident.limit}, {"file", incident.file},
                       {"value", incident.value}, {"count", incident.count}};
  if (!incident.process.empty()) value["process"] = incident.process;
  if (incident.pid > 0) value["pid"] = incident.pid;
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace vps::supervisor
