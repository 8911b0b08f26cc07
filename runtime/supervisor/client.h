// vpsd's side of a supervisor: spawning one and talking to it. Links no launch code (this target is vps_supervisor_client).
// A Client is used from one thread at a time; spawn() may be called from any thread (posix_spawn only).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/seqpacket.h"
#include "runtime/supervisor/protocol.h"
#include "specs/net/plan.h"
#include "specs/vps/compile.h"
#include "specs/vps/guest_network.h"
#include "specs/vps/id.h"

namespace vps::supervisor {

// What the supervisor needs beside config.json; written to VpsPaths::plan before the spawn.
struct Plan {
  std::string id;
  std::string init_kind;              // storage::init_kind_name: how to ask it to stop
  RootfsPlan rootfs;
  IdRange ids;
  bool notify_ready = false;          // wait for READY=1 on the notify socket
  std::string cgroup_payload, cgroup_supervisor;
  std::string console_log, run_state, socket, host_dir, config;
  std::string seccomp_cache;
  std::uint64_t console_log_size = 256u << 10;
  net::VpsPlan network;               // its ports; the names of installation and records for netns/ below
  GuestNames guest;                   // what the guest's own files are to say
  std::string link_owner, network_records;
  std::vector<std::string> etc_files; // "/etc/hostname=web\n": PATH=CONTENT, written into the root before init runs
};
std::string format_plan(const Plan& plan);
Result<Plan> parse_plan(std::string_view json);

class Client {
 public:
  // Starts `executable_fd` (pinned at vpsd's start) as the supervisor of `plan_path` and returns the control connection.
  // The supervisor detaches itself; nothing is left for vpsd to reap when this returns.
  static Result<Client> spawn(int executable_fd, const std::string& plan_path);
  // A short run of the same program, waited for: netns::take_back_devices for a VPS whose supervisor has not lived to do it.
  static Result<> take_back_devices(int executable_fd, const std::string& id, const std::string& link_owner, const std::string& records);
  // To a running supervisor (after a restart of vpsd); kNotFound when nobody listens.
  static Result<Client> connect(const std::string& socket_path);

  // Readable when a message is there; for poll loops.
  [[nodiscard]] int fd() const;
  // Requests wait for their reply (statuses that arrive meanwhile are queued for next_status).
  Result<> stop(const Stop& request);
  Result<> signal(int signo);
  Result<> pause();
  Result<> resume();
  Result<std::string> prepare_exec(const PrepareExec& request);        // token
  Result<std::string> prepare_console(const PrepareConsole& request);  // token
  // The next status; blocks up to timeout (kTimedOut). nullopt: the supervisor is gone.
  Result<std::optional<Status>> next_status(std::chrono::milliseconds timeout);
  // A status came in while a request waited for its reply: fd() will not become readable for it.
  [[nodiscard]] bool has_queued_status() const;

 private:
  static Result<Client> run(int executable_fd, std::vector<std::string> words);
  Result<Reply> request(Message type, std::string_view body);
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// One limit of a run, as a line of Status::limits.
struct LimitLine {
  std::string limit, value, state, file, reason;  // state: cgroups::kind_name
};
std::string limit_json(const LimitLine& limit);

// state.json, as the supervisor leaves it for whoever comes later (also when vpsd was away as the VPS ended).
struct RunState {
  std::string id;
  Status status;
  std::string boot_id;
  std::uint64_t pid_start_time = 0, supervisor_start_time = 0;
};
std::string format_run_state(const RunState& state);
Result<RunState> parse_run_state(std::string_view json);

}  // namespace vps::supervisor
