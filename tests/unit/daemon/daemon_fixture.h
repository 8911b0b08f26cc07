// A whole daemon in this process, on directories of its own, with a tree of files for cgroups and a supervisor that
// supervises nothing (tests/support/fake_supervise.cc).
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/failpoint.h"
#include "base/files.h"
#include "daemon/daemon.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/daemon/api_client.h"

namespace vps::daemon::test {

using nlohmann::json;

// Two templates: "plain" (some program as init) and "sysd" (one that says when it is ready).
inline void make_templates(const std::string& state, const std::string& scratch) {
  storage::TemplateStore store(state + "/templates");
  auto file = [](const std::string& path) {
    ASSERT_TRUE(make_dirs(path.substr(0, path.rfind('/'))));
    ASSERT_TRUE(write_file_atomic(path, "#!/bin/true\n", 0755));
  };
  file(scratch + "/plain/sbin/init");
  file(scratch + "/sysd/lib/systemd/systemd");
  ASSERT_TRUE(make_dirs(scratch + "/sysd/sbin"));
  ASSERT_EQ(::symlink("/lib/systemd/systemd", (scratch + "/sysd/sbin/init").c_str()), 0);
  file(scratch + "/bare/bin/sh");
  for (const char* name : {"plain", "sysd", "bare"}) {
    auto made = store.import(name, scratch + "/" + name, [](std::string_view, int) { return true; });
    ASSERT_TRUE(made) << made.error().to_string();
  }
}

class DaemonTest : public testing::Test {
 protected:
  void SetUp() override {
    config_.roots = {.config = dir_ / "etc", .state = dir_ / "state", .run = dir_ / "run", .cgroup_name = "t"};
    config_.supervisor = VPS_FAKE_SUPERVISE;
    config_.restart = {.initial = Milliseconds(20), .max = Milliseconds(100), .reset_after = Milliseconds(60'000)};
    ASSERT_TRUE(make_dirs(dir_ / "state/templates"));
    make_templates(config_.roots.state, dir_ / "scratch");
    host_.layout = cgroups::Layout::kUnified;
    host_.unified_root = host_.unified_base = dir_ / "cgroup";
    host_.unified_controllers = {"cpu", "cpuset", "io", "memory", "pids"};
    ASSERT_TRUE(make_dirs(host_.unified_root));
    start();
  }
  void TearDown() override {
    (void)failpoint::configure("");
    if (daemon_) {
      for (const auto& container : daemon_->services().registry.list()) (void)api_.del("/v1/containers/" + container->id + "?force=1&wait=30");
      daemon_->stop();
    }
  }

  void start() {
    Daemon::Options options;
    options.config = config_;
    options.host = host_;
    options.server.owner = ::getuid();
    auto daemon = Daemon::start(std::move(options));
    ASSERT_TRUE(daemon) << daemon.error().to_string();
    daemon_ = std::move(*daemon);
  }
  void stop() {
    daemon_->stop();
    daemon_.reset();
  }
  void restart() {
    stop();
    start();
  }

  json create(const std::string& id, json definition = json::object(), bool started = false) {
    definition["id"] = id;
    if (!definition.contains("template")) definition["template"] = "plain";
    auto answer = api_.post("/v1/containers?wait=60", {{"definition", definition}, {"start", started}});
    EXPECT_EQ(answer.status, 200) << answer.text;
    if (answer.status == 200) {
      EXPECT_EQ(answer.json["status"], "done") << answer.text;
    }
    return answer.json;
  }
  // What its fake supervisor does from its next start on.
  void behave(const std::string& id, const std::string& words) {
    ASSERT_TRUE(write_file_atomic(paths(id).state_dir + "/behaviour", words));
  }
  // An action that ends well.
  json act(const std::string& id, const std::string& action, const json& body = json::object()) {
    auto answer = api_.post("/v1/containers/" + id + "/" + action + "?wait=60", body);
    EXPECT_EQ(answer.status, 200) << action << ": " << answer.text;
    if (answer.status == 200) {
      EXPECT_EQ(answer.json["status"], "done") << action << ": " << answer.text;
    }
    return answer.json;
  }
  // A command to its fake supervisor.
  void tell(const std::string& id, const std::vector<std::string>& argv) {
    auto answer = api_.post("/v1/containers/" + id + "/exec", {{"argv", argv}});
    EXPECT_EQ(answer.status, 200) << answer.text;
  }
  json show(const std::string& id) {
    auto answer = api_.get("/v1/containers/" + id);
    EXPECT_EQ(answer.status, 200) << answer.text;
    return answer.json;
  }
  std::string state(const std::string& id) {
    auto answer = api_.get("/v1/containers/" + id);
    return answer.status == 200 ? answer.json["status"]["state"].get<std::string>() : answer.code();
  }
  // Event driven all through: only the test looks again and again.
  template <class Condition>
  bool eventually(Condition condition) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < deadline) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  bool comes_to(const std::string& id, const std::string& wanted) {
    return eventually([&] { return state(id) == wanted; });
  }
  std::vector<std::string> event_types(const std::string& id) {
    std::vector<std::string> types;
    auto events = daemon_->services().ledger->read(0, 10'000, id);
    if (events)
      for (const auto& event : *events) types.push_back(event.type);
    return types;
  }
  bool has_event(const std::string& id, const std::string& type) {
    auto types = event_types(id);
    return std::ranges::find(types, type) != types.end();
  }
  VpsPaths paths(const std::string& id) const { return vps_paths(config_.roots, id); }
  // Names that a test may not leave below the run directory of a VPS that does not run.
  std::vector<std::string> leavings(const std::string& id) {
    auto names = list_dir(paths(id).run_dir);
    if (!names) return {};
    std::erase_if(*names, [](const std::string& name) { return name == "state.json"; });
    return *names;
  }

  vps::test::TempDir dir_;
  Config config_;
  cgroups::Host host_;
  std::unique_ptr<Daemon> daemon_;
  ApiClient api_{dir_ / "run/vpsd.sock"};
};

}  // namespace vps::daemon::test
