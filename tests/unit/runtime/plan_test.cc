#include <gmock/gmock.h>

#include "runtime/supervisor/client.h"

namespace vps::supervisor {
namespace {

TEST(SupervisorPlan, RoundTrips) {
  Plan plan;
  plan.id = "101";
  plan.init_kind = "systemd";
  plan.rootfs = {.lower = {"/t/rootfs"}, .upper = "/d/upper", .work = "/d/work", .idmapped = true};
  plan.ids = {.base = 1'000'000, .size = 65536};
  plan.notify_ready = true;
  plan.cgroup_payload = "vps/101/payload";
  plan.etc_files = {"/etc/hostname=web\n"};
  plan.console_log_size = 4096;
  auto back = parse_plan(format_plan(plan));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->id, "101");
  EXPECT_EQ(back->rootfs.lower, plan.rootfs.lower);
  EXPECT_EQ(back->rootfs.work, "/d/work");
  EXPECT_TRUE(back->rootfs.idmapped);
  EXPECT_EQ(back->ids, plan.ids);
  EXPECT_TRUE(back->notify_ready);
  EXPECT_EQ(back->etc_files, plan.etc_files);
  EXPECT_EQ(back->console_log_size, 4096u);
}

TEST(SupervisorPlan, RefusesWhatItDoesNotUnderstand) {
  EXPECT_FALSE(parse_plan(""));
  EXPECT_FALSE(parse_plan("[]"));
  EXPECT_FALSE(parse_plan(R"({"schema":2})"));
  auto missing = parse_plan(R"({"schema":1})");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message(), testing::HasSubstr("plan.json"));
  std::string text = format_plan(Plan{});
  text.replace(text.find("false"), 5, "\"no\"");
  EXPECT_FALSE(parse_plan(text));
}

TEST(SupervisorRunState, RoundTripsWithError) {
  RunState state;
  state.id = "101";
  state.boot_id = "b";
  state.pid_start_time = 12;
  state.status.phase = Phase::kFailed;
  state.status.reason = ExitReason::kStartFailed;
  state.status.has_error = true;
  state.status.error = Error(Code::kNotAllowed, 1, "mount proc");
  state.status.status_text = "bad \xff byte";  // a tenant's STATUS= need not be UTF-8
  auto back = parse_run_state(format_run_state(state));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->status.phase, Phase::kFailed);
  EXPECT_EQ(back->status.reason, ExitReason::kStartFailed);
  EXPECT_EQ(back->status.error.to_string(), "mount proc: Operation not permitted");
  EXPECT_EQ(back->pid_start_time, 12u);
}

TEST(SupervisorRunState, RefusesGarbage) {
  EXPECT_FALSE(parse_run_state("{"));
  std::string text = format_run_state(RunState{});
  text.replace(text.find("starting"), 8, "sleeping");
  EXPECT_FALSE(parse_run_state(text));
}

}  // namespace
}  // namespace vps::supervisor
