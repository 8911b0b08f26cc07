// A vpsd of the build tree on roots of its own (state, run, configuration, cgroup folder, socket), for system and fault tests.
//
// VpsdTest is the gtest fixture: it skips where the host cannot run it (and says why), and after every test destroys what is
// left, stops vpsd and fails on any leftover (leak_check.h). Tests in one process run one after another.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/pidfd.h"
#include "tests/support/command.h"
#include "tests/support/json.h"
#include "tests/support/leak_check.h"

namespace vps::test {

// Programs of this build, or those in $VPS_TEST_BIN: "vpsd", "vpsctl", "vps-supervise".
std::string program_path(const std::string& name);

class Vpsd {
 public:
  // Makes the directories and vpsd.yaml (plus `extra_config` lines); nothing runs yet.
  static Result<std::unique_ptr<Vpsd>> create(const std::string& extra_config = {});
  ~Vpsd();  // last resort: kills vpsd and what is in its cgroups, unmounts and removes the roots
  Vpsd(const Vpsd&) = delete;
  Vpsd& operator=(const Vpsd&) = delete;

  // Returns when vpsd has said READY=1; an error carries the end of its log.
  Result<> start(const std::map<std::string, std::string>& env = {});
  Result<ExitStatus> stop();           // SIGTERM, then waits
  Result<> kill();                     // SIGKILL, then waits
  Result<ExitStatus> wait_exit(std::chrono::milliseconds timeout = std::chrono::seconds(30));  // until it ends by itself
  [[nodiscard]] bool running() const { return static_cast<bool>(process_) && process_.alive(); }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }

  // vpsctl on this daemon's socket, to its end.
  [[nodiscard]] CommandResult ctl(const Argv& arguments, const CommandOptions& options = {}) const;
  // The same in the background.
  [[nodiscard]] Result<Process> ctl_start(const Argv& arguments, const CommandOptions& options = {}) const;
  [[nodiscard]] Argv ctl_argv(const Argv& arguments) const;
  // `vpsctl -o json ...`, parsed; the error holds what was printed instead.
  [[nodiscard]] Result<Json> json(const Argv& arguments) const;

  // Puts a cached template into the state directory; before start().
  Result<> place_template(const std::string& recipe) const;

  [[nodiscard]] const std::string& root() const { return root_; }
  [[nodiscard]] std::string state() const { return root_ + "/state"; }
  [[nodiscard]] std::string run_dir() const { return root_ + "/run"; }
  [[nodiscard]] std::string socket() const { return run_dir() + "/vpsd.sock"; }
  [[nodiscard]] const std::string& cgroup_name() const { return cgroup_name_; }
  [[nodiscard]] std::string log() const;  // what vpsd printed
  [[nodiscard]] LeakScope leak_scope() const;

 private:
  Vpsd() = default;
  std::string root_, cgroup_name_;
  PidFd process_;
};

class VpsdTest : public ::testing::Test {
 protected:
  // Templates to place before vpsd starts.
  explicit VpsdTest(std::vector<std::string> templates = {"busybox"}) : templates_(std::move(templates)) {}
  void SetUp() override;
  void TearDown() override;
  // For tests that prepare the roots first (a small file system): called between create() and start().
  virtual void prepare() {}
  // First requests of its own kind, for what vpsd keeps open from then on: called before its descriptors are counted.
  virtual void warm_up() {}

  // vpsctl with an expected exit code; the failure shows what it printed. Returns the result for further looks.
  CommandResult ctl(const Argv& arguments, int expected = 0, const CommandOptions& options = {});
  Json json(const Argv& arguments);
  std::string state_of(const std::string& id);
  // Creates (and with `start` starts) a busybox VPS.
  void make_vps(const std::string& id, bool start = true, const Argv& more = {});
  // Waits until the event stream holds one of `type` for `id`, from sequence number `since` on.
  Json wait_event(const std::string& type, const std::string& id, std::chrono::milliseconds timeout = std::chrono::seconds(30));
  // After a deliberate kill or stop of vpsd: start it again (the descriptor check then begins anew).
  void restart_vpsd(const std::map<std::string, std::string>& env = {});

  std::unique_ptr<Vpsd> vpsd_;

 private:
  [[nodiscard]] LeakScope descriptor_scope() const;
  void remember_descriptors();
  std::vector<std::string> templates_;
  LeakSnapshot before_, descriptors_;
};

}  // namespace vps::test
