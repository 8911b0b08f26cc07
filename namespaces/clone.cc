#include "namespaces/clone.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/files.h"

namespace vps::namespaces {
namespace {

struct Type {
  std::string_view name;
  std::uint64_t flag;
  std::string_view proc;
};
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
constexpr auto kTypes = std::to_array<Type>({{"cgroup", CLONE_NEWCGROUP, "cgroup"},
                                             {"ipc", CLONE_NEWIPC, "ipc"},
                                             {"mount", CLONE_NEWNS, "mnt"},
                                             {"network", CLONE_NEWNET, "net"},
                                             {"pid", CLONE_NEWPID, "pid"},
                                             {"time", CLONE_NEWTIME, "time"},
                                             {"user", CLONE_NEWUSER, "user"},
                                             {"uts", CLONE_NEWUTS, "uts"}});

std::string format_map(const std::vector<oci::IdMapping>& maps) {
  std::string text;
  for (const auto& map : maps) text += fmt::format("{} {} {}\n", map.container_id, map.host_id, map.size);
  return text;
}

bool is_only(const std::vector<oci::IdMapping>& maps, std::uint32_t own) {
  return maps.empty() || (maps.size() == 1 && maps[0].size == 1 && maps[0].host_id == own);
}

// Ids beyond one's own are given by the set-uid programs of shadow-utils, after /etc/subuid and /etc/subgid (newuidmap(1)).
Result<> map_by_program(const char* program, pid_t pid, const std::vector<oci::IdMapping>& maps) {
  std::vector<std::string> words{program, std::to_string(pid)};
  for (const auto& map : maps)
    for (auto number : {map.container_id, map.host_id, map.size}) words.push_back(std::to_string(number));
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = -1;
  if (int err = ::posix_spawnp(&child, program, nullptr, nullptr, argv.data(), environ); err != 0)
    return fail_errno(err, "execute {}, which maps ids that are not one's own", program);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (status != 0) return fail(Code::kNotAllowed, "{} refuses the ids (see /etc/subuid and /etc/subgid)", program);
  return {};
}

}  // namespace

std::uint64_t namespace_flag(std::string_view type) {
  for (const auto& known : kTypes)
    if (known.name == type) return known.flag;
  return 0;
}

std::string namespace_flag_names(std::uint64_t flags) {
  std::string text;
  for (const auto& known : kTypes) {
    if ((flags & known.flag) == 0) continue;
    if (!text.empty()) text += ",";
    text += known.name;
  }
  return text;
}

std::vector<std::string> known_namespace_types() {
  std::vector<std::string> names;
  for (const auto& known : kTypes)
    if (path_exists(fmt::format("/proc/self/ns/{}", known.proc))) names.emplace_back(known.name);
  return names;
}

Result<CloneResult> clone_process(const CloneRequest& request) {
  int pidfd = -1;
  clone_args args{};
  args.flags = request.flags | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  args.exit_signal = static_cast<std::uint64_t>(request.exit_signal);
  if (request.cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(request.cgroup_fd);
  }
  long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return fail_errno(errno, "clone ({})", namespace_flag_names(request.flags));
  CloneResult result;
  result.child = pid == 0;
  if (!result.child) result.process = PidFd(UniqueFd(pidfd), static_cast<pid_t>(pid));
  return result;
}

Result<> join_namespaces(int pidfd, std::uint64_t flags) {
  if (::setns(pidfd, static_cast<int>(flags)) != 0) return fail_errno(errno, "join namespaces ({})", namespace_flag_names(flags));
  return {};
}

Result<> join_namespace_fd(int ns_fd, std::uint64_t flag) {
  if (::setns(ns_fd, static_cast<int>(flag)) != 0) return fail_errno(errno, "join namespace ({})", namespace_flag_names(flag));
  return {};
}

Result<> write_id_maps(pid_t pid, const std::vector<oci::IdMapping>& uids, const std::vector<oci::IdMapping>& gids) {
  if (::geteuid() != 0 && !(is_only(uids, ::geteuid()) && is_only(gids, ::getegid()))) {
    VPS_TRY(map_by_program("newuidmap", pid, uids));
    return map_by_program("newgidmap", pid, gids);
  }
  auto dir = VPS_TRY(open_dir(fmt::format("/proc/{}", pid)));
  if (!uids.empty()) VPS_TRY(write_kernel_file_at(dir.get(), "uid_map", format_map(uids)));
  if (gids.empty()) return {};
  auto written = write_kernel_file_at(dir.get(), "gid_map", format_map(gids));
  if (!written && written.error().err() == EPERM) {
    // Without CAP_SETGID over the parent namespace the kernel wants setgroups(2) given up first (user_namespaces(7)).
    VPS_TRY(write_kernel_file_at(dir.get(), "setgroups", "deny"));
    written = write_kernel_file_at(dir.get(), "gid_map", format_map(gids));
  }
  return written;
}

Result<UniqueFd> make_userns(const std::vector<oci::IdMapping>& uids, const std::vector<oci::IdMapping>& gids) {
  auto cloned = VPS_TRY(clone_process({.flags = CLONE_NEWUSER}));
  if (cloned.child) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (true) ::pause();
  }
  auto fd = [&]() -> Result<UniqueFd> {
    VPS_TRY(write_id_maps(cloned.process.pid(), uids, gids));
    return open_path(fmt::format("/proc/{}/ns/user", cloned.process.pid()), O_RDONLY);
  }();
  VPS_TRY(cloned.process.signal(SIGKILL));
  VPS_TRY(cloned.process.wait());
  return fd;
}

std::int64_t map_to_host(const std::vector<oci::IdMapping>& maps, std::uint32_t container_id) {
  if (maps.empty()) return container_id;
  for (const auto& map : maps)
    if (container_id >= map.container_id && container_id - map.container_id < map.size)
      return std::int64_t{map.host_id} + (container_id - map.container_id);
  return -1;
}

Result<> write_time_offsets(pid_t pid, const std::map<std::string, oci::TimeOffset>& offsets) {
  std::string text;
  for (const auto& [clock, offset] : offsets) text += fmt::format("{} {} {}\n", clock, offset.secs, offset.nanosecs);
  if (text.empty()) return {};
  auto dir = VPS_TRY(open_dir(fmt::format("/proc/{}", pid)));
  return write_kernel_file_at(dir.get(), "timens_offsets", text);
}

}  // namespace vps::namespaces
