// The fixture of the podman tests: podman with storage and networks of its own. `shared` is a container that runs during the
// whole suite, for what only looks or execs.
#pragma once

#include "tests/interop/engine.h"
#include "tests/support/pty.h"

namespace vps::test {

constexpr const char* kImage = "localhost/bb";
constexpr const char* kShared = "shared";
// An ordinary user who exists in the suite's mount namespace only.
constexpr const char* kUser = "vps-tester";
constexpr unsigned kUserId = 47110;

class Podman : public EngineTest {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();

  static Argv argv(const Argv& words);
  static CommandResult podman(int code, const Argv& words, const CommandOptions& options = {});
  // `podman run --rm` in the suite's cgroup and without a network: the options, the image, and a command for the shell.
  static CommandResult run_once(int code, const Argv& options, const std::string& script);
  static Argv run_words(const Argv& options);
  static std::string inspect(const std::string& name, const std::string& field);
  // A container that ends with 3 on SIGTERM and says "usr1" on SIGUSR1; it is running and has its handlers when this returns.
  static void start(const std::string& name, const Argv& options = {});
  static void remove(const std::string& name);
  static std::map<std::string, std::string> environment();

  void TearDown() override;
};

}  // namespace vps::test
