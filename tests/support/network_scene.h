// A little internet for tests: the calling process goes into a network namespace of its own, which plays the host (whatever it
// starts from then on is in there too), and a second one plays the rest of the world, connected by a veth pair.
//
//   host: up0 198.51.100.2/24, 2001:db8:1::2/64, default routes       internet: up1 198.51.100.1, 2001:db8:1::1
//                                                                     and 203.0.113.1, 2001:db8:2::1 as servers
#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "tests/support/command.h"

namespace vps::test {

class NetworkScene {
 public:
  static Result<std::unique_ptr<NetworkScene>> enter();
  ~NetworkScene();  // back into the namespace that it was entered from
  NetworkScene(const NetworkScene&) = delete;
  NetworkScene& operator=(const NetworkScene&) = delete;

  // A command in the internet's namespace, to its end, or in the background.
  [[nodiscard]] CommandResult internet(const Argv& argv, const CommandOptions& options = {}) const;
  [[nodiscard]] Result<Process> internet_start(const Argv& argv, const CommandOptions& options = {}) const;
  // For `ip link set NAME netns PID`.
  [[nodiscard]] std::string internet_pid() const { return std::to_string(keeper_.pid()); }
  // A command in the host's; its output, or the error.
  static Result<std::string> host(const Argv& argv);

 private:
  explicit NetworkScene(Process keeper, UniqueFd before) : keeper_(std::move(keeper)), before_(std::move(before)) {}
  [[nodiscard]] Argv in_internet(const Argv& argv) const;

  Process keeper_;  // holds the internet's namespace
  UniqueFd before_;
};

// Names of the links of the calling process's namespace, sorted, without lo.
Result<std::vector<std::string>> link_names();

}  // namespace vps::test
