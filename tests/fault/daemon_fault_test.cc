// Every step of daemon/failpoints.h, once with an error and once with a sudden death of vpsd: the operation fails cleanly or is
// finished after the next start, another VPS that runs meanwhile notices nothing, and nothing is left over.
#include "daemon/failpoints.h"

#include "tests/fault/fault_fixture.h"

namespace vps::test {
namespace {

class DaemonFaultTest : public FaultTest {
 protected:
  // The operations of a life, each only as far as the one before has come.
  void live(const std::string& id) {
    const std::string interfaces = "network.interfaces=[{name: eth0, network: mesh, addresses: [auto]}]";
    for (const Argv& command : {Argv{"network", "create", "mesh", "--nat"},
                                {"create", id, "--template", "busybox", "--set", interfaces, "--set", kInit, "--ram", "64M"},
                                {"start", id},
                                {"set", id, "ram=80M"},
                                {"set", id, "network.interfaces.eth0.addresses="},
                                {"stop", id},
                                {"destroy", "--force", id},
                                {"network", "delete", "mesh"}}) {
      auto result = vpsd_->ctl(command, {.timeout = std::chrono::seconds(60)});
      EXPECT_FALSE(result.timed_out) << result.describe();
      if (result.code != 0) failures_.push_back(result);
      if (!vpsd_->running()) return;
    }
  }
  std::vector<CommandResult> failures_;
};

TEST_P(DaemonFaultTest, IsSurvived) {
  make_prompt_vps("bystander");
  auto pid = json({"show", "bystander"}).number("/status/pid");
  arm();
  live("101");
  // Its connections are closed a moment before it can be waited for.
  bool died = GetParam().action == "kill" ? eventually([&] { return !vpsd_->running(); }, std::chrono::seconds(5)) : !vpsd_->running();
  EXPECT_EQ(died, GetParam().action == "kill") << "the step was not passed";
  if (!died) {
    // The error has reached somebody: the client of the operation.
    EXPECT_FALSE(failures_.empty()) << "the step was not passed, or its error was swallowed";
    for (const auto& failure : failures_) EXPECT_FALSE(failure.err.empty()) << failure.describe();
  }
  disarm();
  EXPECT_EQ(json({"show", "bystander"}).number("/status/pid"), pid);
  EXPECT_EQ(state_of("bystander"), "running");
  // An interrupted operation is finished or undone, and what is then is a state that an operator can go on from.
  EXPECT_TRUE(eventually([&] {
    auto show = vpsd_->json({"show", "101"});
    if (!show) return true;
    auto state = show->string("/status/state");
    return state == "stopped" || state == "running" || state == "failed";
  }, std::chrono::seconds(30)));
  whole_life("101");
}

std::vector<FaultPoint> all_points() {
  std::vector<FaultPoint> points;
  for (auto name : daemon::kFailpoints)
    for (const char* action : {"error:EIO", "kill"}) points.push_back({std::string(name), action});
  return points;
}

INSTANTIATE_TEST_SUITE_P(Steps, DaemonFaultTest, testing::ValuesIn(all_points()), fault_point_name);

}  // namespace
}  // namespace vps::test
