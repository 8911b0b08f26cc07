// What the tests of all engines share: one suite is one engine with directories, a cgroup folder and an image of its own.
//
// The test programs run in a mount and a network namespace of their own, with an empty /run (main.cc): engines leave
// folders, links and mounts there, which go with the namespaces. After every test the suite compares cgroups, mounts, links,
// processes and the runtime's own records with what was there before the test; at the end the engine's have to be gone, too.
//
// The runtime is vpsrun of this build (or of $VPS_TEST_BIN), or the program of $VPS_INTEROP_RUNTIME: the same tests run with
// runc and crun, which tells an engine's fault from ours.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/json.h"
#include "tests/support/leak_check.h"
#include "tests/support/temp_dir.h"

namespace vps::test {

class Engine {
 public:
  // Checks for root, the namespaces and the programs; `problem()` then says what the host lacks.
  explicit Engine(std::vector<std::string> programs);
  ~Engine();  // last resort: kills and removes what carries the suite's names
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] const std::string& problem() const { return problem_; }
  void set_problem(const std::string& text) { problem_ = text; }
  [[nodiscard]] std::string path(const std::string& name = "") const { return root_ + (name.empty() ? "" : "/" + name); }
  [[nodiscard]] const std::string& cgroup_name() const { return cgroup_name_; }
  [[nodiscard]] std::string cgroup() const { return "/" + cgroup_name_; }
  [[nodiscard]] static std::string runtime();
  // Whether the runtime under test is this build's.
  [[nodiscard]] static bool is_vpsrun();

  // A root file system of busybox and its commands, with root and user (1000) in passwd, packed: the layer of every image.
  [[nodiscard]] std::string layer() const { return path("layer.tar"); }

  // Starts a daemon with its output in `log`; `ready` is asked until it says yes. An error carries the end of the log.
  Result<> start_daemon(const Argv& argv, const std::function<bool()>& ready);
  Result<ExitStatus> stop_daemon();  // SIGTERM, then waits
  [[nodiscard]] std::string log() const;

  [[nodiscard]] LeakScope leak_scope() const;
  // Directories in which the runtime keeps its records, to be compared.
  void watch_records(const std::string& directory) { records_.push_back(directory); }
  // Links that this network namespace has now, and the rest of the snapshot.
  [[nodiscard]] LeakSnapshot snapshot() const;
  // After the engine has ended: what is left of it but plain files.
  [[nodiscard]] std::vector<std::string> left_at_end() const;

 private:
  Result<> make_layer() const;
  std::string root_, cgroup_name_, problem_;
  std::vector<std::string> records_;
  std::optional<Process> daemon_;
};

class EngineTest : public testing::Test {
 protected:
  // For SetUpTestSuite and TearDownTestSuite of the engines' fixtures.
  static void open_suite(std::vector<std::string> programs);
  static void close_suite();
  void SetUp() override;
  void TearDown() override;

  static Engine& engine() { return *engine_; }
  // With the expected exit code; a failure shows what was printed.
  static CommandResult run_expecting(int code, const Argv& argv, const CommandOptions& options = {});
  static std::unique_ptr<Engine> engine_;

 private:
  LeakSnapshot before_;
};

// An empty string, or why the test program has no namespaces of its own.
const std::string& isolation_problem();

// A file of the container's group: `v1` in the hierarchy of `controller`, or `v2` on a pure v2 host. "" when there is none.
std::string group_file(const std::string& group, const std::string& controller, const std::string& v1, const std::string& v2);

}  // namespace vps::test
