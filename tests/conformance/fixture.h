// A bundle of one test: an empty root with the probe in it, a config.json that the test edits, and a runtime with a state
// directory of the test's own. The runtime is vpsrun, or the program of $VPS_CONFORMANCE_RUNTIME: the same tests run with runc
// and crun to check the tests themselves.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/json.h"
#include "tests/support/leak_check.h"
#include "tests/support/temp_dir.h"

namespace vps::test {

class ConformanceTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // config.json: the value at a JSON pointer; "/mounts/-" appends to an array.
  void set(const std::string& pointer, const std::string& json);
  void remove(const std::string& pointer);
  // The probe's arguments.
  void look(const std::vector<std::string>& looks);
  void add_mount(const std::string& destination, const std::string& type, const std::string& source, const std::vector<std::string>& options);
  void use_user_namespace(std::uint32_t first = 100000);

  CommandResult runtime(std::vector<std::string> words, const CommandOptions& options = {});
  // `run` of the bundle: what the probe said. Fails the test when the runtime fails.
  std::map<std::string, std::string> report();
  CommandResult run();
  // Detached, with the probe waiting for a signal; its output goes to `path("out")`.
  void start_waiting(const std::string& id = "");
  std::map<std::string, std::string> exec(std::vector<std::string> options, const std::vector<std::string>& looks);
  Json state();
  static std::map<std::string, std::string> parse_report(const std::string& text);

  [[nodiscard]] std::string path(const std::string& name) const { return temp_.path() + "/" + name; }
  [[nodiscard]] std::string rootfs(const std::string& name = "") const { return path("bundle/rootfs" + name); }
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] std::string cgroup_name() const { return "vps-test-" + id_; }
  [[nodiscard]] std::string cgroup_file(const std::string& controller, const std::string& v1, const std::string& v2) const;
  [[nodiscard]] const std::string& program() const { return program_; }
  [[nodiscard]] bool is_crun() const { return program_.ends_with("crun"); }
  [[nodiscard]] bool is_vpsrun() const { return program_.ends_with("vpsrun"); }
  void write_file(const std::string& name, const std::string& text, mode_t mode = 0644);
  void store_config();

 private:
  struct Config;
  TempDir temp_;
  std::string id_, program_;
  std::shared_ptr<Config> config_;
  LeakScope scope_;
  LeakSnapshot before_;
};

}  // namespace vps::test
