// The supervisor proper: one event loop for one running VPS. It owns the console, the notify socket, the sessions and the exit
// status, and outlives every death of vpsd. Its life: starting -> running -> (stopping) -> exited or failed, then it ends.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/pidfd.h"
#include "base/seqpacket.h"
#include "cgroups/cgroup.h"
#include "runtime/supervisor/children.h"
#include "runtime/supervisor/client.h"
#include "runtime/supervisor/console.h"
#include "runtime/supervisor/incidents.h"
#include "runtime/supervisor/protocol.h"

namespace vps::supervisor {

class Monitor {
 public:
  // `control`: the connection to the vpsd that spawned us. Everything that can fail before the first process is made, fails
  // here.
  static Result<std::unique_ptr<Monitor>> create(Plan plan, cgroups::Host host, Seqpacket control);
  // Until the VPS has ended and everything is cleaned up.
  Result<> run();

  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;
  ~Monitor();

 private:
  struct Connection {
    Seqpacket socket;
    bool control = false;
    std::uint32_t session = 0;  // exec session that it belongs to, 0: none
  };
  struct Pending {  // prepared, not attached yet
    std::optional<PrepareExec> exec;
    std::optional<PrepareConsole> console;
    EventLoop::TimerId expiry = 0;
  };
  struct Session {
    int connection = -1;  // fd, or -1 when the client has left
    Worker worker;
    PidFd process;
    bool started = false;            // execve has happened
    std::optional<ExitStatus> exit;  // it has been reaped
    int early_signal = 0;
  };
  using Connections = std::map<int, Connection>;

  Monitor(Plan plan, EventLoop loop);
  Result<> listen();
  Result<> begin_launch();

  // monitor_requests.cc
  void on_listener();
  void on_connection(int fd);
  void handle(Connection& connection, Packet packet);
  void handle_attach(Connection& connection, Packet packet);
  Result<std::string> serve_request(Message type, std::string_view body);
  Result<std::string> prepare(Pending pending);
  void drop_connection(int fd);
  Result<> start_exec(Connection& connection, const PrepareExec& request, std::vector<UniqueFd> fds);
  Result<> watch_session(std::uint32_t id);
  void on_session_worker(std::uint32_t id);
  void on_session_exit(std::uint32_t id);
  void end_session(std::uint32_t id);

  // monitor_stop.cc
  Result<> begin_stop(const Stop& request);
  Result<> ask_init_to_stop();
  Result<> exec_in_vps(std::vector<std::string> argv);
  void kill_all();

  // monitor.cc
  void on_launcher();
  void on_launcher_exit();
  void on_launch_message(Packet packet);
  void launched();
  void on_init_exit();
  void on_notify();
  void watch_limits();
  void on_memory_event();
  void on_pids_event();
  void look_at_pids_after(std::chrono::milliseconds delay);
  void watch_kernel_log();
  void on_kernel_log();
  void add_incident(Incident incident);
  void finish();
  ExitReason exit_reason() const;
  void changed();
  void last_word();  // writes state.json and tells every control connection
  void clean_up();

  Plan plan_;
  EventLoop loop_;
  Status status_;
  Console console_;
  Connections connections_;
  std::map<std::string, Pending> pending_;
  std::map<std::uint32_t, Session> sessions_;
  std::uint32_t next_session_ = 1;
  UniqueFd listener_, notify_, oom_log_, kernel_log_;
  std::optional<Worker> launcher_;
  PidFd init_;
  bool init_ended_ = false;
  std::optional<cgroups::Host> host_;
  std::optional<cgroups::Group> group_;
  std::vector<cgroups::Group::Watch> watches_;
  std::uint64_t oom_kills_ = 0, pids_events_ = 0;
  int oom_looks_left_ = 0;
  bool pids_quiet_ = false;
  bool killed_ = false;
  std::string init_oom_;
  EventLoop::TimerId stop_timer_ = 0;
  std::string boot_id_;
  unsigned long long own_start_time_ = 0;
};

}  // namespace vps::supervisor
