#include "runtime/supervisor/monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/files.h"
#include "base/log.h"
#include "base/wire.h"
#include "netns/lent_namespace.h"
#include "runtime/sync.h"

namespace vps::supervisor {
namespace {

constexpr const char* kKmsg = "/dev/kmsg";

// The datagram socket that the init knows as NOTIFY_SOCKET (sd_notify(3)).
Result<UniqueFd> bind_notify(const std::string& directory, const IdRange& ids) {
  VPS_TRY(make_dirs(directory, 0755));
  std::string path = directory + "/notify";
  VPS_TRY(remove_file(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "make the notify socket");
  auto dir = VPS_TRY(open_path(directory, O_PATH | O_DIRECTORY));
  std::string shown = fmt::format("/proc/self/fd/{}/notify", dir.get());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, shown.c_str(), shown.size() + 1);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno(errno, "bind {}", path);
  if (::fchownat(dir.get(), "notify", ids.base, ids.base, AT_SYMLINK_NOFOLLOW) != 0 ||
      ::fchmodat(dir.get(), "notify", 0600, 0) != 0)
    return fail_errno(errno, "hand over {}", path);
  return fd;
}

std::uint64_t unix_ms() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

}  // namespace

Monitor::Monitor(Plan plan, EventLoop loop)
    : plan_(std::move(plan)), loop_(std::move(loop)), console_(loop_, plan_.console_log, plan_.console_log_size) {}

Monitor::~Monitor() = default;

Result<std::unique_ptr<Monitor>> Monitor::create(Plan plan, cgroups::Host host, Seqpacket control) {
  auto loop = VPS_TRY(EventLoop::create());
  std::unique_ptr<Monitor> monitor(new Monitor(std::move(plan), std::move(loop)));
  monitor->host_ = std::move(host);
  // Only SIGKILL ends a supervisor: its death is the death of the VPS's console, so no stray signal may bring it.
  for (int signo : {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2}) ::signal(signo, SIG_IGN);
  monitor->status_.supervisor_pid = ::getpid();
  monitor->own_start_time_ = VPS_TRY(process_start_time(::getpid()));
  auto boot_id = VPS_TRY(read_file("/proc/sys/kernel/random/boot_id"));
  while (boot_id.ends_with('\n')) boot_id.pop_back();
  monitor->boot_id_ = std::move(boot_id);
  VPS_TRY(monitor->listen());
  int fd = control.fd();
  monitor->connections_[fd].socket = std::move(control);
  monitor->connections_[fd].control = true;
  VPS_TRY(monitor->loop_.add(fd, EPOLLIN, [m = monitor.get(), fd](std::uint32_t) { m->on_connection(fd); }));
  return monitor;
}

Result<> Monitor::listen() {
  listener_ = VPS_TRY(Seqpacket::listen(plan_.socket, 0600));
  VPS_TRY(loop_.add(listener_.get(), EPOLLIN, [this](std::uint32_t) { on_listener(); }));
  notify_ = VPS_TRY(bind_notify(plan_.host_dir, plan_.ids));
  return loop_.add(notify_.get(), EPOLLIN, [this](std::uint32_t) { on_notify(); });
}

Result<> Monitor::begin_launch() {
  oom_log_ = open_kernel_log(kKmsg);
  launcher_ = VPS_TRY(fork_launcher(plan_, *host_));
  VPS_TRY(loop_.add(launcher_->channel.fd(), EPOLLIN, [this](std::uint32_t) { on_launcher(); }));
  return loop_.add(launcher_->process.fd(), EPOLLIN, [this](std::uint32_t) { on_launcher_exit(); });
}

Result<> Monitor::run() {
  changed();
  auto begun = begin_launch();
  if (!begun) {
    status_.phase = Phase::kFailed;
    status_.reason = ExitReason::kStartFailed;
    status_.error = begun.error();
    status_.has_error = true;
    clean_up();
    last_word();
    return begun;
  }
  return loop_.run();
}

// --- the launch ---

void Monitor::on_launcher() {
  auto packet = launcher_->channel.receive();
  if (packet && *packet) {
    on_launch_message(std::move(**packet));
    return;
  }
  loop_.remove(launcher_->channel.fd());
}

void Monitor::on_launch_message(Packet packet) {
  WireReader r(packet.body);
  switch (static_cast<ChildMessage>(packet.type)) {
    case ChildMessage::kPid: {
      pid_t pid = r.i32();
      if (packet.fds.size() != 1) return;
      init_ = PidFd(std::move(packet.fds[0]), pid);
      status_.pid = pid;
      if (killed_) (void)init_.signal(SIGKILL);  // a stop came before there was anything to stop
      (void)loop_.add(init_.fd(), EPOLLIN, [this](std::uint32_t) { on_init_exit(); });
      changed();
      break;
    }
    case ChildMessage::kConsole:
      if (packet.fds.size() == 1) (void)console_.attach_master(std::move(packet.fds[0]));
      break;
    case ChildMessage::kLimits: status_.limits = r.strings(); break;
    case ChildMessage::kStarted: launched(); break;
    case ChildMessage::kFailed:
      if (auto failure = runtime::decode_failure(packet.body)) {
        status_.error = std::move(failure->error);
        status_.has_error = true;
      }
      break;
  }
}

void Monitor::launched() {
  status_.phase = Phase::kRunning;
  status_.started_unix_ms = unix_ms();
  status_.ready = status_.ready || !plan_.notify_ready;
  auto group = cgroups::Group::open(*host_, plan_.cgroup_payload);
  if (group) {
    group_ = std::move(*group);
    watch_limits();
  }
  changed();
  if (killed_) kill_all();
}

void Monitor::on_launcher_exit() {
  // What it sent before it died comes first.
  while (launcher_) {
    (void)launcher_->channel.set_nonblocking(true);
    auto packet = launcher_->channel.receive();
    if (!packet || !*packet) break;
    on_launch_message(std::move(**packet));
  }
  loop_.remove(launcher_->channel.fd());
  loop_.remove(launcher_->process.fd());
  auto exit = launcher_->process.wait();
  launcher_.reset();
  if (status_.phase == Phase::kStarting && killed_) {
    // A stop came in the middle of the start: that is an end, not a failure.
    status_.has_error = false;
    if (!init_ || init_ended_) finish();
    return;
  }
  if (status_.phase == Phase::kStarting) {
    if (!status_.has_error) {
      int signo = exit ? exit->signal : 0;
      status_.error = Error(Code::kFailed, fmt::format("the launcher ended (signal {})", signo));
      status_.has_error = true;
    }
    status_.phase = Phase::kFailed;
    status_.reason = ExitReason::kStartFailed;
    kill_all();
    if (!init_ || init_ended_) finish();
    return;
  }
  if (init_ended_) finish();
}

// --- the init ---

void Monitor::on_init_exit() {
  auto exit = init_.try_wait();
  if (exit && !*exit) return;
  loop_.remove(init_.fd());
  if (exit) status_.exit = **exit;
  init_ended_ = true;
  // The launcher knows best why a start failed; wait for its word.
  if (!launcher_) finish();
}

ExitReason Monitor::exit_reason() const {
  if (status_.phase == Phase::kFailed) return ExitReason::kStartFailed;
  // reboot(2) in a pid namespace ends its init by SIGHUP for a restart, by SIGINT for halt and power-off; an init cannot die
  // of such a signal in any other way, since it is immune to signals that it does not handle.
  if (status_.exit.signal == SIGHUP) return ExitReason::kReboot;
  if (status_.exit.signal == SIGINT) return ExitReason::kPoweroff;
  if (!init_oom_.empty()) return ExitReason::kOom;
  if (status_.exit.signal != 0 || killed_) return ExitReason::kKilled;
  return ExitReason::kExited;
}

void Monitor::finish() {
  on_memory_event();
  status_.reason = exit_reason();
  if (status_.phase != Phase::kFailed) status_.phase = Phase::kExited;
  console_.drain();
  clean_up();
  last_word();
  console_.close_readers(fmt::format("the VPS has ended ({})", exit_reason_name(status_.reason)));
  // The processes of all sessions have ended with the VPS's pid namespace.
  while (!sessions_.empty()) {
    auto& session = sessions_.begin()->second;
    auto exit = session.process ? session.process.try_wait() : Result<std::optional<ExitStatus>>(std::nullopt);
    if (!session.exit) session.exit = exit && *exit ? **exit : ExitStatus{.code = 0, .signal = SIGKILL};
    end_session(sessions_.begin()->first);
  }
  loop_.quit();
}

void Monitor::clean_up() {
  watches_.clear();
  group_.reset();
  if (host_) {
    auto removed = cgroups::Group::remove(*host_, plan_.cgroup_payload);
    if (!removed) log::warning("remove cgroup {}: {}", plan_.cgroup_payload, removed.error().to_string());
  }
  // What fails here is tried again by vpsd, who tells the operator.
  if (auto back = netns::take_back_devices(netns_host(plan_), plan_.id); !back) log::warning("{}", back.error().to_string());
  (void)remove_tree(plan_.host_dir);
  (void)remove_tree(plan_.host_dir + ".layers");
  auto hooks = fork_poststop(plan_);
  if (hooks && *hooks) (void)(*hooks)->process.wait();
}

void Monitor::on_notify() {
  std::array<char, 4096> buffer{};
  ssize_t n = ::recv(notify_.get(), buffer.data(), buffer.size(), 0);
  if (n <= 0) return;
  std::string_view text(buffer.data(), static_cast<std::size_t>(n));
  bool news = false;
  while (!text.empty()) {
    auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line == "READY=1" && !status_.ready) {
      status_.ready = news = true;
    } else if (line.starts_with("STATUS=")) {
      constexpr std::size_t kKept = 256;
      std::string_view value = line.substr(7, kKept);
      if (status_.status_text != value) {
        status_.status_text = value;
        news = true;
      }
    }
  }
  if (news) changed();
}

// --- limits ---

void Monitor::watch_limits() {
  auto stats = group_->stats();
  if (stats) {
    oom_kills_ = 0;  // a fresh group: kills during the start count
    pids_events_ = 0;
  }
  auto watches = group_->watches();
  if (!watches) return;
  watches_ = std::move(*watches);
  watch_kernel_log();
  for (auto& watch : watches_) {
    using Kind = cgroups::Group::Watch::Kind;
    if (watch.kind == Kind::kPopulated) continue;
    int fd = watch.fd.get();
    bool eventfd = watch.eventfd;
    bool memory = watch.kind == Kind::kMemory;
    (void)loop_.add(fd, eventfd ? EPOLLIN : EPOLLPRI, [this, fd, eventfd, memory](std::uint32_t events) {
      std::array<char, 512> buffer{};
      // kernfs files announce the next change only after a read from the start.
      if (eventfd)
        (void)!::read(fd, buffer.data(), sizeof(std::uint64_t));
      else
        (void)!::pread(fd, buffer.data(), buffer.size(), 0);
      if ((events & EPOLLERR) != 0 && !eventfd && !group_) return;
      if (memory) {
        constexpr int kLooks = 20;
        oom_looks_left_ = kLooks;
        on_memory_event();
      } else {
        on_pids_event();
      }
    });
  }
}

// Where the group does not announce refused forks (v1, and sub-groups before 6.11), the kernel log tells of the first one.
void Monitor::watch_kernel_log() {
  if (group_->announces_refused_forks()) return;
  kernel_log_ = open_kernel_log(kKmsg);
  if (kernel_log_) (void)loop_.add(kernel_log_.get(), EPOLLIN, [this](std::uint32_t) { on_kernel_log(); });
}

void Monitor::on_kernel_log() {
  const std::string group = "/" + host_->path_in("pids", plan_.cgroup_payload);
  std::array<char, 8192> buffer{};
  bool refused = false;
  while (true) {
    ssize_t n = ::read(kernel_log_.get(), buffer.data(), buffer.size());
    if (n < 0 && (errno == EPIPE || errno == EINTR)) continue;
    if (n <= 0) break;
    refused = refused || is_fork_rejection(std::string_view(buffer.data(), static_cast<std::size_t>(n)), group);
  }
  if (!refused) return;
  loop_.remove(kernel_log_.get());
  kernel_log_.reset();
  on_pids_event();
}

void Monitor::on_memory_event() {
  if (!group_) return;
  auto stats = group_->stats();
  if (!stats || stats->memory.oom_kills <= oom_kills_) {
    // v1 announces an OOM before the kill is counted.
    if (host_->layout == cgroups::Layout::kHybrid && oom_looks_left_ > 0) {
      --oom_looks_left_;
      constexpr std::chrono::milliseconds kSoon{100};
      loop_.after(kSoon, [this] { on_memory_event(); });
    }
    return;
  }
  std::uint64_t count = stats->memory.oom_kills - oom_kills_;
  oom_kills_ = stats->memory.oom_kills;
  Incident incident{.kind = "oom", .process = "", .pid = 0, .limit = "memory.limit",
                    .file = host_->layout == cgroups::Layout::kUnified ? "memory.max" : "memory.limit_in_bytes",
                    .value = stats->memory.limit, .count = count};
  auto victims = read_oom_victims(oom_log_.get(), "/" + host_->path_in("memory", plan_.cgroup_payload));
  if (victims.empty()) {
    add_incident(incident);
    return;
  }
  for (const auto& victim : victims) {
    incident.process = victim.process;
    incident.pid = victim.pid;
    incident.count = 1;
    if (victim.pid == init_.pid()) init_oom_ = victim.process;
    add_incident(incident);
  }
}

void Monitor::on_pids_event() {
  if (!group_ || pids_quiet_) return;
  auto refused = group_->forks_refused();
  auto stats = group_->stats();
  if (!refused || !stats || *refused <= pids_events_) return;
  // Counted in the sub-groups, a refusal may as well be due to a limit that the tenant's own systemd has set there.
  bool own = group_->announces_refused_forks() || host_->layout == cgroups::Layout::kHybrid ||
             stats->pids_current >= stats->pids_limit - stats->pids_limit / 4;
  if (own)
    add_incident({.kind = "pids-limit", .process = "", .pid = 0, .limit = "pids.limit", .file = "pids.max",
                  .value = stats->pids_limit, .count = *refused - pids_events_});
  pids_events_ = *refused;
  // A fork bomb hits its limit thousands of times a second: one event now, the sum later.
  constexpr std::chrono::seconds kQuiet{10};
  pids_quiet_ = true;
  look_at_pids_after(kQuiet);
}

void Monitor::look_at_pids_after(std::chrono::milliseconds delay) {
  loop_.after(delay, [this, delay] {
    pids_quiet_ = false;
    on_pids_event();
    // Where nothing announces further events, a group that has hit its limit once is looked at now and then.
    if (!pids_quiet_ && group_ && !group_->announces_refused_forks()) look_at_pids_after(delay);
  });
}

// A vpsd that comes back in this moment finds either somebody to ask or the end written down, never neither.
void Monitor::last_word() {
  changed();
  (void)remove_file(plan_.socket);
}

void Monitor::add_incident(Incident incident) {
  status_.incidents.push_back({.kind = incident.kind, .message = describe(incident), .data = to_json(incident)});
  changed();
  status_.incidents.clear();
}

// --- what others see ---

void Monitor::changed() {
  RunState state;
  state.id = plan_.id;
  state.status = status_;
  state.boot_id = boot_id_;
  state.supervisor_start_time = own_start_time_;
  if (init_) state.pid_start_time = process_start_time(init_.pid()).value_or(0);
  auto written = write_file_atomic(plan_.run_state, format_run_state(state), 0600);
  if (!written) log::warning("{}", written.error().to_string());
  for (auto& [fd, connection] : connections_) {
    if (!connection.control) continue;
    // A vpsd that does not read must not hold up the supervisor; it asks again when it reconnects.
    (void)connection.socket.set_nonblocking(true);
    (void)connection.socket.send(static_cast<std::uint32_t>(Message::kStatus), encode(status_));
    (void)connection.socket.set_nonblocking(false);
  }
}

}  // namespace vps::supervisor
