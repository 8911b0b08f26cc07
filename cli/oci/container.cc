#include "cli/oci/container.h"

#include <linux/nsfs.h>
#include <poll.h>
#include <regex.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/files.h"
#include "base/log.h"
#include "base/units.h"
#include "cgroups/systemd_unit.h"
#include "namespaces/mounts.h"
#include "runtime/net_devices.h"
#include "specs/oci/json.h"

namespace vps::vpsrun {
namespace {

constexpr const char* kRecord = "state.json";
constexpr const char* kConfig = "config.json";
constexpr const char* kLock = "lock";
constexpr const char* kSocket = "start.sock";
constexpr const char* kNetwork = "network";
constexpr std::chrono::seconds kInitEnds{2};  // an init whose maker has died sees that at once

std::unexpected<Error> unknown(const std::string& id) { return fail(Code::kNotFound, "container '{}' does not exist", id); }

}  // namespace

std::string_view status_name(Status status) {
  switch (status) {
    case Status::kCreating: return "creating";
    case Status::kCreated: return "created";
    case Status::kRunning: return "running";
    case Status::kPaused: return "paused";
    case Status::kStopped: return "stopped";
  }
  return "unknown";
}

std::optional<ProcessLook> look_at_process(pid_t pid) {
  auto text = read_file(fmt::format("/proc/{}/stat", pid));
  if (!text) return std::nullopt;
  // "pid (comm) S ppid ...": comm may hold anything, so from its last parenthesis on. Field 3 is the state, 22 the start.
  auto end = text->rfind(')');
  if (end == std::string::npos || end + 2 >= text->size()) return std::nullopt;
  std::string_view rest = std::string_view(*text).substr(end + 2);
  ProcessLook look;
  look.state = rest[0];
  for (int field = 3; field < 22; ++field) {
    auto space = rest.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(space + 1);
  }
  auto start = parse_u64(rest.substr(0, rest.find(' ')));
  if (!start) return std::nullopt;
  look.start_time = *start;
  return look;
}

Result<Container> Container::make(const Context& context, const std::string& id) {
  VPS_TRY(check_id(id));
  VPS_TRY(make_dirs(context.root, 0700));
  Container container(context.root + "/" + id, id);
  if (::mkdir(container.path_.c_str(), 0700) != 0) {
    if (errno == EEXIST) return fail(Code::kExists, "container with id '{}' exists already", id);
    return fail_errno(errno, "make {}", container.path_);
  }
  container.dir_ = VPS_TRY(open_dir(container.path_));
  VPS_TRY(container.lock(true));
  return container;
}

Result<Container> Container::open(const Context& context, const std::string& id) {
  VPS_TRY(check_id(id));
  Container container(context.root + "/" + id, id);
  auto dir = open_dir(container.path_);
  if (!dir) {
    if (dir.error().err() == ENOENT) return unknown(id);
    return std::unexpected(std::move(dir).error());
  }
  container.dir_ = std::move(*dir);
  VPS_TRY(container.reload());
  return container;
}

Result<std::vector<std::string>> Container::ids(const Context& context) {
  auto names = list_dir(context.root);
  if (!names && names.error().err() == ENOENT) return std::vector<std::string>();
  if (!names) return names;
  std::erase_if(*names, [&](const std::string& name) {
    struct stat st{};
    std::string path = context.root + "/" + name;
    return !check_id(name) || ::lstat(path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode);
  });
  return names;
}

Result<std::vector<std::string>> Container::ids_matching(const Context& context, const std::string& pattern) {
  regex_t expression{};
  if (int err = ::regcomp(&expression, pattern.c_str(), REG_EXTENDED | REG_NOSUB); err != 0) {
    std::array<char, 128> reason{};
    ::regerror(err, &expression, reason.data(), reason.size());
    return fail(Code::kUsage, "'{}' is no regular expression: {}", pattern, reason.data());
  }
  auto names = ids(context);
  if (names) std::erase_if(*names, [&](const std::string& name) { return ::regexec(&expression, name.c_str(), 0, nullptr, 0) != 0; });
  ::regfree(&expression);
  return names;
}

Result<> Container::lock(bool wait) {
  lock_ = VPS_TRY(open_at(dir_.get(), kLock, O_RDWR | O_CREAT, 0600));
  // A lock of the process, not of the descriptor (flock(2)): the container that we clone is not to hold it.
  struct flock whole{};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  while (::fcntl(lock_.get(), wait ? F_SETLKW : F_SETLK, &whole) != 0) {
    if (errno == EINTR) continue;
    if (errno == EACCES || errno == EAGAIN) return fail(Code::kBusy, "container '{}' is being changed by another command", id_);
    return fail_errno(errno, "lock container '{}'", id_);
  }
  struct stat st{};
  // Removed by the command that held the lock before us.
  if (::fstat(dir_.get(), &st) != 0 || st.st_nlink == 0) return unknown(id_);
  return {};
}

Result<> Container::reload() {
  auto text = read_file_at(dir_.get(), kRecord);
  if (!text) {
    if (text.error().err() != ENOENT) return std::unexpected(std::move(text).error());
    record_ = {};  // its maker has not got further, or died
    record_.id = id_;
    return {};
  }
  record_ = VPS_TRY_CTX("container '" + id_ + "'", parse_record(*text));
  return {};
}

Result<> Container::store(Record record) {
  VPS_TRY(replace_file_at(dir_.get(), kRecord, format_record(record), 0600));
  record_ = std::move(record);
  return {};
}

Result<> Container::store_config(std::string_view text) const {
  auto fd = VPS_TRY(open_at(dir_.get(), kConfig, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  return write_all(fd.get(), text);
}

Result<oci::Spec> Container::spec() const {
  auto text = VPS_TRY_CTX("container '" + id_ + "'", read_file_at(dir_.get(), kConfig));
  return oci::parse_spec(text);
}

Result<runtime::ExecSpec> Container::exec_spec(const std::string& seccomp_cache) const {
  return VPS_TRY_CTX("container '" + id_ + "'", runtime::read_exec_spec(dir_.get(), kConfig, seccomp_cache));
}

bool Container::waits_for_start() const { return ::faccessat(dir_.get(), kSocket, F_OK, AT_SYMLINK_NOFOLLOW) == 0; }

Status Container::status() const {
  if (record_.pid == 0) return record_.complete ? Status::kStopped : Status::kCreating;
  auto look = look_at_process(record_.pid);
  if (!look || look->start_time != record_.start_time || look->state == 'Z' || look->state == 'X') return Status::kStopped;
  if (!record_.complete) return Status::kCreating;
  if (waits_for_start()) return Status::kCreated;
  return frozen() ? Status::kPaused : Status::kRunning;
}

// One file: a Group opens every hierarchy.
bool Container::frozen() const {
  if (record_.cgroup.empty()) return false;
  auto found = host();
  if (!found) return false;
  auto events = read_file((*found)->unified_base + "/" + record_.cgroup + "/cgroup.events");
  return events && events->find("frozen 1") != std::string::npos;
}

Result<PidFd> Container::process() const {
  auto gone = [&] { return fail(Code::kNotFound, "container '{}' is stopped: container not running", id_); };
  if (record_.pid == 0) return gone();
  auto fd = PidFd::open(record_.pid);
  if (!fd) return gone();
  // Looked at after the handle was opened: it is this process that the handle means.
  auto look = look_at_process(record_.pid);
  if (!look || look->start_time != record_.start_time || !fd->alive()) return gone();
  return fd;
}

Result<> Container::require(std::initializer_list<Status> allowed, std::string_view action) const {
  auto now = status();
  if (std::ranges::find(allowed, now) != allowed.end()) return {};
  if (now == Status::kStopped && action != "start")
    return fail(Code::kWrongState, "cannot {} container '{}': container not running (stopped)", action, id_);
  return fail(Code::kWrongState, "cannot {} container '{}' in the {} state", action, id_, status_name(now));
}

Result<const cgroups::Host*> Container::host() const {
  if (!host_) {
    auto found = VPS_TRY(cgroups::Host::discover({.disks = false}));
    if (!record_.unit.empty()) {
      found = cgroups::host_of_units(std::move(found));
    } else if (::geteuid() != 0) {
      // v1 hierarchies are delegated to no user.
      std::erase_if(found.v1, [](const cgroups::V1Hierarchy& h) { return ::access(h.base.c_str(), W_OK) != 0; });
    }
    host_ = std::move(found);
  }
  return &*host_;
}

Result<std::optional<cgroups::Group>> Container::group() const {
  if (record_.cgroup.empty()) return std::optional<cgroups::Group>();
  auto found = cgroups::Group::open(*VPS_TRY(host()), record_.cgroup);
  if (!found && found.error().code() == Code::kNotFound) return std::optional<cgroups::Group>();
  if (!found) return std::unexpected(std::move(found).error());
  return std::optional(std::move(*found));
}

Result<> Container::remove_group() const {
  if (!record_.unit.empty()) {
    auto systemd = cgroups::Systemd::connect();
    if (systemd) VPS_TRY(systemd->stop(record_.unit));
    // Without systemd there is no unit of its any more.
    if (!systemd && systemd.error().code() != Code::kUnavailable) return std::unexpected(std::move(systemd).error());
  }
  if (record_.cgroup.empty()) return {};
  if (record_.pid == 0) {
    // Recorded, but perhaps not made: who lives there then is somebody else.
    auto found = VPS_TRY(group());
    if (found && !found->wait_empty(kInitEnds)) {
      log::warning("cgroup {} is in use by others than container '{}' and stays", record_.cgroup, id_);
      return {};
    }
  }
  return cgroups::Group::remove(*VPS_TRY(host()), record_.cgroup);
}

Result<> Container::pin_network(pid_t pid) const {
  auto place = VPS_TRY(open_at(dir_.get(), kNetwork, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600));
  auto mount = VPS_TRY(namespaces::clone_mount(AT_FDCWD, fmt::format("/proc/{}/ns/net", pid), false));
  return namespaces::attach_mount(mount.get(), place.get());
}

Result<> Container::release_network(const oci::Spec& spec, bool give_up) const {
  if (!spec.linux_ || spec.linux_->net_devices.empty()) return {};
  auto path = path_ + "/" + kNetwork;
  const bool pinned = path_exists(path);
  if (!pinned) {
    // Nobody has got so far, or the namespace is somebody else's and known by its path.
    path.clear();
    for (const auto& entry : spec.linux_->namespaces)
      if (entry.type == "network") path = entry.path;
    if (path.empty()) return {};
  }
  auto netns = open_path(path, O_RDONLY);
  if (!netns && netns.error().err() == ENOENT) return {};
  if (!netns) return std::unexpected(std::move(netns).error());
  if (::ioctl(netns->get(), NS_GET_NSTYPE) == CLONE_NEWNET) {
    auto given = runtime::give_back_net_devices(spec, netns->get());
    if (!given && !give_up) return std::unexpected(std::move(given).error().wrap("give back network devices"));
    if (!given) log::warning("give back network devices: {}", given.error().to_string());
  }
  netns->reset();
  if (pinned && ::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL) return fail_errno(errno, "unmount {}", path);
  return {};
}

Result<UniqueFd> Container::listen() const { return Seqpacket::listen(path_ + "/" + kSocket, 0600); }

Result<Seqpacket> Container::connect() const { return Seqpacket::connect(path_ + "/" + kSocket); }

Result<> Container::forget_listener() const { return remove_file(path_ + "/" + kSocket); }

Result<> Container::kill_all() const {
  auto init = process();
  // Nobody outlives the init of a pid namespace. Without a pid there may be one all the same: its maker has died early.
  if (!init && record_.pid != 0 && record_.own_pid_namespace) return {};
  if (init) VPS_TRY(init->signal(SIGKILL));
  // Before the first process of ours is known there is none in the group but an init that ends with its maker.
  auto own = record_.pid != 0 ? VPS_TRY(group()) : std::nullopt;
  if (own) {
    auto empty = own->kill();
    if (empty) empty = own->wait_empty();
    // systemd removes a scope as soon as it is empty, also while we look at it.
    const bool removed = !empty && (empty.error().err() == ENODEV || empty.error().err() == ENOENT);
    if (!empty && !removed) return empty;
  }
  if (init) {
    // Whoever started the container reaps it; its end is what counts.
    constexpr int kPatience = 10'000;
    pollfd item{init->fd(), POLLIN, 0};
    while (::poll(&item, 1, kPatience) < 0 && errno == EINTR) {}
    if (init->alive()) return fail(Code::kTimedOut, "process {} of container '{}' does not end", init->pid(), id_);
  }
  return {};
}

Result<> Container::remove() { return remove_tree(path_); }

}  // namespace vps::vpsrun
