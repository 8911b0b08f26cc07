// Every step of a start: of the launcher in the supervisor, and of the init half in the new process. A step that fails is named
// in the error; a process that is killed in the middle of one fails the start as well; either way nothing of it is left.
#include "runtime/init.h"
#include "tests/fault/fault_fixture.h"

namespace vps::test {
namespace {

class LaunchFaultTest : public FaultTest {};

TEST_P(LaunchFaultTest, FailsTheStartAndLeavesNothing) {
  make_prompt_vps("101", false, {"--set", "restart=never", "--set", "ip=auto"});
  arm();
  auto result = vpsd_->ctl({"start", "101"}, {.timeout = std::chrono::seconds(60)});
  EXPECT_FALSE(result.timed_out);
  EXPECT_NE(result.code, 0) << "the step was not passed";
  EXPECT_TRUE(vpsd_->running()) << "vpsd itself is not concerned";
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << "one clear line, not: " << result.err;
  if (GetParam().action != "kill") {
    // "init.pivot-root" is told as the step "pivot-root".
    EXPECT_THAT(result.err, testing::HasSubstr(GetParam().name.substr(GetParam().name.find('.') + 1)));
  }
  EXPECT_THAT(state_of("101"), testing::AnyOf("stopped", "failed"));
  EXPECT_EQ(json({"show", "101"}).number("/status/pid"), 0);

  // At once, without any help of a restarted vpsd: no process and no mount of the failed start is there.
  auto scope = vpsd_->leak_scope();
  scope.file_trees.clear();
  EXPECT_TRUE(eventually([&] {
    auto now = take_snapshot(scope);
    return now && !now->contains("mount") && (*now)["process"].size() <= 1;  // vpsd
  })) << testing::PrintToString(take_snapshot(scope).value_or(LeakSnapshot{}));

  const std::vector<std::string> wanted = {"up0", "vbr-default"};
  EXPECT_TRUE(eventually([&] { return link_names().value_or(std::vector<std::string>{}) == wanted; }))
      << "links left: " << testing::PrintToString(link_names().value_or(std::vector<std::string>{}));

  disarm();
  whole_life("101");
}

std::vector<FaultPoint> all_points() {
  std::vector<std::string> names = {"launch.cgroup", "launch.limits", "launch.prepared", "launch.cloned", "launch.id-map", "launch.network", "launch.rootfs", "launch.start", "launch.started"};
  // Steps that a VPS of this definition does not need are not passed.
  for (const auto& step : runtime::init_steps())
    if (step.need != runtime::Need::kNewTime) names.push_back("init." + std::string(step.name));
  std::vector<FaultPoint> points;
  for (const auto& name : names)
    for (const char* action : {"error:EIO", "kill"}) points.push_back({name, action});
  for (const char* name : {"port.enter", "port.link", "port.inside", "port.announce"}) points.push_back({name, "kill"});
  return points;
}

INSTANTIATE_TEST_SUITE_P(Steps, LaunchFaultTest, testing::ValuesIn(all_points()), fault_point_name);

}  // namespace
}  // namespace vps::test
