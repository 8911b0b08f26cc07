// The launcher: builds one container from an oci::Spec, whoever asks (vps-supervise, vpsrun). The sequence is drawn in sync.h.
//
// Only single-threaded programs may use it: it clones. One Launcher is one container's start; it holds no fds afterwards but
// the process handle. Errors carry the failed step: "init mounts: mount proc on /proc: Operation not permitted".
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/pidfd.h"
#include "base/seqpacket.h"
#include "cgroups/cgroup.h"
#include "namespaces/seccomp.h"
#include "runtime/init_plan.h"
#include "runtime/sync.h"
#include "specs/oci/spec.h"
#include "specs/vps/compile.h"
#include "specs/vps/guest_network.h"

namespace vps::runtime {

// A small file written into the root before its init runs, resolved inside the root only; an existing one is replaced.
struct EtcFile {
  std::string path;  // absolute, inside
  std::string content;
};

struct LaunchRequest {
  std::string id;
  const oci::Spec* spec = nullptr;         // outlives the launcher
  std::string bundle;                      // relative paths of the spec start here
  RootfsPlan rootfs;                       // with no lower directories: spec.root.path as it is
  std::string staging;                     // an existing directory to mount the layers on, seen by the launcher alone
  const cgroups::Group* group = nullptr;   // where pid 1 is born; null: the caller's own cgroups
  bool clone_parent = false;               // pid 1 becomes a child of the launcher's parent
  // A listening SEQPACKET socket where the created container waits for start_container(), so that the launcher may end in
  // between. -1: it waits for Launcher::start().
  int start_listener = -1;
  int preserve_fds = 0;                    // descriptors 3 to 2 + n, which the container's program gets besides its stdio
  std::string keyring;                     // name of a session keyring of its own; empty: it shares the launcher's
  bool no_pivot = false;                   // chroot(2) into the root: for rootfs file systems that cannot be pivoted to
  std::array<int, 3> stdio{-1, -1, -1};    // for process.terminal=false; -1 inherits the launcher's
  bool console_by_pty_name = false;        // stdio on a terminal is /dev/pts/N, as engines' users know it; else /dev/console, as an init wants
  std::string seccomp_cache;               // empty: compile each time
  std::vector<EtcFile> etc_files;
  const net::VpsPlan* network = nullptr;   // its ports, and how its own files are to speak of them; both outlive the launcher
  const GuestNames* guest = nullptr;
  // Called as soon as the process exists and before it may go on: the place to record it.
  std::function<Result<>(const PidFd&)> on_process;
  // The place to connect its network: called when its namespaces and id maps are there, while it puts its mounts in place.
  std::function<Result<>(const PidFd&)> on_network;
  // Called with the console's pty master (process.terminal=true).
  std::function<Result<>(UniqueFd)> on_console;
};

class Launcher {
 public:
  // Steps 0 to 7 of sync.h: on success the container exists and waits for start(). On failure nothing is left of the
  // process; the cgroup is the caller's, and so are network devices that have been moved in (net_devices.h).
  static Result<Launcher> create(LaunchRequest request);
  // kExec, and the confirmation by end of file.
  Result<> start();

  [[nodiscard]] const PidFd& process() const { return process_; }
  [[nodiscard]] PidFd take_process() { return std::move(process_); }
  [[nodiscard]] UniqueFd take_seccomp_listener() { return std::move(seccomp_listener_); }

 private:
  Launcher(LaunchRequest request, SyncChannel channel) : request_(std::move(request)), channel_(std::move(channel)) {}
  Result<> serve(const InitPlan& plan);
  Result<> serve_id_maps(const InitPlan& plan);
  Result<> serve_net_devices(const InitPlan& plan);
  Result<> serve_network();
  Result<> make_mounts(const InitPlan& plan, int userns, const std::function<Result<>(int index, UniqueFd mount)>& hand_over);
  Result<> serve_mounts(const InitPlan& plan);
  Result<> send_mounts(const InitPlan& plan);
  Result<> serve_until_ready();
  Result<> run_hooks_before_pivot();
  Error explain(Error error);

  LaunchRequest request_;
  SyncChannel channel_;
  PidFd process_;
  UniqueFd seccomp_listener_;
  std::uint64_t oom_kills_before_ = 0;
};

// The second half of a start, from another process than the launcher's: `connection` leads to the container's start_listener.
Result<> start_container(Seqpacket connection);

}  // namespace vps::runtime
