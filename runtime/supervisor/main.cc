// vps-supervise --plan FILE, with vpsd's control connection as descriptor 3: one small process per running VPS.
// vps-supervise --take-back ID OWNER RECORDS, with such a connection for its error: gets back the devices of the host that a VPS had
// whose supervisor was killed, and ends.
//
// The process that vpsd started makes the real supervisor, born in its own cgroup and orphaned at once, and ends: vpsd has
// nothing to reap and nothing of vpsd's death reaches the supervisor.
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/failpoint.h"
#include "base/files.h"
#include "namespaces/clone.h"
#include "netns/lent_namespace.h"
#include "runtime/supervisor/monitor.h"
#include "specs/vps/id.h"

namespace {

using namespace vps;
using namespace vps::supervisor;

constexpr int kControlFd = 3;

// Errors before the event loop runs: vpsd waits on the control connection for a word.
int give_up(const Seqpacket& control, const Error& error) {
  Status status;
  status.phase = Phase::kFailed;
  status.reason = ExitReason::kStartFailed;
  status.error = error;
  status.has_error = true;
  (void)control.send(static_cast<std::uint32_t>(Message::kStatus), encode(status));
  return 1;
}

Result<> detach_stdio() {
  auto null = VPS_TRY(open_path("/dev/null", O_RDWR));
  for (int fd = 0; fd < 3; ++fd)
    if (::dup2(null.get(), fd) < 0) return fail_errno(errno, "detach standard streams");
  return {};
}

Result<namespaces::CloneResult> fork_supervisor(const Plan& plan, cgroups::Host host) {
  host.v1.clear();  // it has no limits: the v2 group that it is born in is all it needs
  // Stale from an earlier supervisor that was killed; refused (busy) while one lives in it.
  auto group = VPS_TRY_CTX("supervisor cgroup", cgroups::Group::create(host, plan.cgroup_supervisor));
  return namespaces::clone_process({.flags = 0, .cgroup_fd = group.dirfd()});
}

int take_back(const Seqpacket& control, std::string id, std::string owner, std::string records) {
  netns::Host host;
  host.installation = std::move(owner);
  host.run_dir = std::move(records);
  auto back = netns::take_back_devices(host, id);
  return back ? 0 : give_up(control, back.error());
}

int run(const Plan& plan, cgroups::Host host, Seqpacket control) {
  ::setsid();
  ::umask(022);
  if (auto detached = detach_stdio(); !detached) return give_up(control, detached.error());
  Seqpacket second{UniqueFd(::fcntl(control.fd(), F_DUPFD_CLOEXEC, 0))};
  auto monitor = Monitor::create(plan, std::move(host), std::move(control));
  if (!monitor) return give_up(second, monitor.error());
  second.close();
  return (*monitor)->run() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    std::printf("vps-supervise %s\n", VPS_VERSION);
    return 0;
  }
  const bool returns = argc == 5 && std::string_view(argv[1]) == "--take-back";
  if (!returns && (argc != 3 || std::string_view(argv[1]) != "--plan")) {
    std::fprintf(stderr, "usage: vps-supervise --plan FILE (started by vpsd, with its control connection as descriptor 3)\n");
    return 2;
  }
  if (::fcntl(kControlFd, F_GETFD) < 0) {
    std::fprintf(stderr, "vps-supervise: no control connection on descriptor 3; vpsd starts this program\n");
    return 2;
  }
  ::close_range(kControlFd + 1, ~0U, 0);
  ::fcntl(kControlFd, F_SETFD, FD_CLOEXEC);
  Seqpacket control{UniqueFd(kControlFd)};
  const char* failpoints = ::getenv("VPS_FAILPOINTS");
  if (auto set = failpoint::configure(failpoints != nullptr ? failpoints : ""); !set) return give_up(control, set.error());
  if (returns) return take_back(control, argv[2], argv[3], argv[4]);
  auto text = read_file(argv[2]);
  if (!text) return give_up(control, text.error());
  auto plan = parse_plan(*text);
  if (!plan) return give_up(control, plan.error());
  auto host = cgroups::Host::discover({.unified_leaf = kPayloadGroup});
  if (!host) return give_up(control, host.error());
  auto forked = fork_supervisor(*plan, *host);
  if (!forked) return give_up(control, forked.error());
  if (!forked->child) return 0;
  ::prctl(PR_SET_NAME, "vps-supervise");
  return run(*plan, std::move(*host), std::move(control));
}
