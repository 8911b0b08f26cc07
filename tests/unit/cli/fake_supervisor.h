// The session side of a supervisor for tests: each attached connection is given to a function in a thread of its own.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/seqpacket.h"
#include "runtime/supervisor/protocol.h"
#include "tests/support/temp_dir.h"

namespace vps::test {

class FakeSupervisor {
 public:
  // `serve` gets the connection and its kAttach packet (with the descriptors).
  using Serve = std::function<void(Seqpacket& connection, Packet& attach)>;
  explicit FakeSupervisor(Serve serve);
  ~FakeSupervisor();
  FakeSupervisor(const FakeSupervisor&) = delete;
  FakeSupervisor& operator=(const FakeSupervisor&) = delete;

  // What vpsd answers to a request for a session.
  [[nodiscard]] std::string session_json() const;
  void serve_with(Serve serve);

 private:
  void loop();

  TempDir dir_;
  std::string path_;
  UniqueFd listener_, wake_;
  std::mutex mutex_;
  Serve serve_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

// Helpers for serve functions.
void say(const Seqpacket& connection, supervisor::Message type, std::string_view body = {}, std::span<const int> fds = {});
void say_exit(const Seqpacket& connection, int code, int signal = 0);
// The next packet of that type; others are dropped. Empty type 0 at the end of the connection.
Packet await(const Seqpacket& connection, supervisor::Message type);

// Runs /bin/sh -c `script` on these descriptors (one: a terminal, made its controlling one by `slave`), and reaps it.
ExitStatus run_shell(const std::string& script, int in, int out, int err);
class ShellOnPty {
 public:
  explicit ShellOnPty(const std::string& script);
  ~ShellOnPty();
  ShellOnPty(const ShellOnPty&) = delete;
  ShellOnPty& operator=(const ShellOnPty&) = delete;
  [[nodiscard]] int master() const { return master_.get(); }
  void close_master() { master_.reset(); }
  void signal(int signo) const { (void)process_.signal(signo); }
  ExitStatus wait() const { return process_.wait().value_or(ExitStatus{}); }

 private:
  UniqueFd master_;
  PidFd process_;
};

}  // namespace vps::test
