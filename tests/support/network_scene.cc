#include "tests/support/network_scene.h"

#include <fcntl.h>
#include <sched.h>

#include <algorithm>
#include <sstream>

#include "base/files.h"

namespace vps::test {
namespace {

Result<> checked(const Argv& argv) {
  auto result = VPS_TRY(run(argv));
  if (result.code != 0) return fail(Code::kFailed, "{}", result.describe());
  return {};
}

}  // namespace

Result<std::string> NetworkScene::host(const Argv& argv) {
  auto result = VPS_TRY(run(argv));
  if (result.code != 0) return fail(Code::kFailed, "{}", result.describe());
  return result.out;
}

Argv NetworkScene::in_internet(const Argv& argv) const {
  Argv all = {"nsenter", "-t", std::to_string(keeper_.pid()), "-n", "--"};
  all.insert(all.end(), argv.begin(), argv.end());
  return all;
}

Result<std::unique_ptr<NetworkScene>> NetworkScene::enter() {
  auto before = VPS_TRY(open_path("/proc/self/ns/net", O_RDONLY));
  if (::unshare(CLONE_NEWNET) != 0) return fail_errno(errno, "unshare the network namespace");
  auto keeper = VPS_TRY(Process::start({"unshare", "-n", "sh", "-c", "echo there; exec cat"}));
  VPS_TRY(keeper.read_until("there"));
  std::unique_ptr<NetworkScene> scene(new NetworkScene(std::move(keeper), std::move(before)));
  const std::string pid = std::to_string(scene->keeper_.pid());
  VPS_TRY(checked({"ip", "link", "set", "lo", "up"}));
  VPS_TRY(checked({"ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1", "netns", pid}));
  for (const Argv& words : {Argv{"address", "add", "198.51.100.2/24", "dev", "up0"}, {"address", "add", "2001:db8:1::2/64", "dev", "up0", "nodad"},
                            {"link", "set", "up0", "up"}, {"route", "add", "default", "via", "198.51.100.1"},
                            {"-6", "route", "add", "default", "via", "2001:db8:1::1"}}) {
    Argv argv = {"ip"};
    argv.insert(argv.end(), words.begin(), words.end());
    VPS_TRY(checked(argv));
  }
  for (const Argv& words : {Argv{"link", "set", "lo", "up"}, {"address", "add", "198.51.100.1/24", "dev", "up1"},
                            {"address", "add", "2001:db8:1::1/64", "dev", "up1", "nodad"}, {"address", "add", "203.0.113.1/32", "dev", "lo"},
                            {"address", "add", "2001:db8:2::1/128", "dev", "lo", "nodad"}, {"link", "set", "up1", "up"}}) {
    Argv argv = {"ip"};
    argv.insert(argv.end(), words.begin(), words.end());
    VPS_TRY(checked(scene->in_internet(argv)));
  }
  return scene;
}

NetworkScene::~NetworkScene() {
  keeper_.close_input();
  (void)keeper_.finish();
  (void)::setns(before_.get(), CLONE_NEWNET);
}

CommandResult NetworkScene::internet(const Argv& argv, const CommandOptions& options) const {
  auto result = run(in_internet(argv), options);
  if (result) return *result;
  CommandResult failed;
  failed.err = result.error().to_string();
  return failed;
}

Result<Process> NetworkScene::internet_start(const Argv& argv, const CommandOptions& options) const {
  return Process::start(in_internet(argv), options);
}

Result<std::vector<std::string>> link_names() {
  std::istringstream text(VPS_TRY(read_file("/proc/self/net/dev")));
  std::vector<std::string> names;
  for (std::string line; std::getline(text, line);) {
    auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    auto name = line.substr(0, colon);
    name.erase(0, name.find_first_not_of(' '));
    if (name != "lo") names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace vps::test
