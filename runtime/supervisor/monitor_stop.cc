#include <signal.h>

#include <charconv>

#include "base/files.h"
#include "base/log.h"
#include "runtime/supervisor/monitor.h"

namespace vps::supervisor {
namespace {

// Does the process have a handler for this signal? An init without one never sees it (pid_namespaces(7)).
bool catches(pid_t pid, int signo) {
  auto text = read_file(fmt::format("/proc/{}/status", pid));
  if (!text) return false;
  constexpr std::string_view kKey = "SigCgt:\t";
  auto at = text->find(kKey);
  if (at == std::string::npos) return false;
  std::uint64_t mask = 0;
  std::from_chars(text->data() + at + kKey.size(), text->data() + text->size(), mask, 16);
  return ((mask >> (signo - 1)) & 1) != 0;
}

}  // namespace

Result<> Monitor::begin_stop(const Stop& request) {
  status_.phase = status_.phase == Phase::kRunning ? Phase::kStopping : status_.phase;
  if (request.force || !group_) {
    kill_all();
    changed();
    return {};
  }
  if (status_.paused) {
    VPS_TRY(group_->thaw());
    status_.paused = false;
  }
  if (stop_timer_ == 0)
    stop_timer_ = loop_.after(std::chrono::milliseconds(request.timeout_ms), [this] { kill_all(); });
  auto asked = ask_init_to_stop();
  if (!asked) {
    log::warning("ask the init to stop: {}", asked.error().to_string());
    kill_all();
  }
  changed();
  return {};
}

// What each init understands as "power off": systemd(1) SIGNALS, busybox init, sysvinit's telinit, openrc-shutdown(8).
Result<> Monitor::ask_init_to_stop() {
  const std::string& kind = plan_.init_kind;
  if (kind == "systemd") return init_.signal(SIGRTMIN + 4);
  if (kind == "busybox") return init_.signal(SIGUSR2);
  if (kind == "sysvinit") return exec_in_vps({"/sbin/init", "0"});
  if (kind == "openrc") return exec_in_vps({"/sbin/openrc-shutdown", "--poweroff", "now"});
  if (!catches(init_.pid(), SIGTERM)) {
    kill_all();
    return {};
  }
  return init_.signal(SIGTERM);
}

Result<> Monitor::exec_in_vps(std::vector<std::string> argv) {
  ExecWork work;
  work.request.argv = std::move(argv);
  work.request.cwd = "/";
  std::uint32_t id = next_session_++;
  Session session;
  session.worker = VPS_TRY(fork_exec(plan_, *group_, init_, work));
  sessions_.emplace(id, std::move(session));
  return watch_session(id);
}

void Monitor::kill_all() {
  killed_ = true;
  if (init_ && !init_ended_) (void)init_.signal(SIGKILL);
  if (!host_) return;
  auto group = cgroups::Group::open(*host_, plan_.cgroup_payload);
  if (group) (void)group->kill();
}

}  // namespace vps::supervisor
