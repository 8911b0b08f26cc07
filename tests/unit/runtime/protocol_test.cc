#include "runtime/supervisor/protocol.h"

#include <gmock/gmock.h>

namespace vps::supervisor {
namespace {

TEST(SupervisorProtocol, StatusRoundTrips) {
  Status status;
  status.phase = Phase::kExited;
  status.paused = true;
  status.ready = true;
  status.pid = 77;
  status.supervisor_pid = 76;
  status.started_unix_ms = 1'700'000'000'123;
  status.exit = {.code = 3, .signal = 0};
  status.reason = ExitReason::kReboot;
  status.status_text = "Startup finished.";
  status.has_error = true;
  status.error = Error(Code::kBusy, 16, "mount proc");
  status.limits = {R"({"limit":"memory.limit"})", ""};
  status.incidents = {{.kind = "oom", .message = "hog was killed", .data = "{}"}, {}};
  auto back = decode_status(encode(status));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->phase, Phase::kExited);
  EXPECT_TRUE(back->paused);
  EXPECT_TRUE(back->ready);
  EXPECT_EQ(back->pid, 77);
  EXPECT_EQ(back->supervisor_pid, 76);
  EXPECT_EQ(back->started_unix_ms, 1'700'000'000'123u);
  EXPECT_EQ(back->exit, (ExitStatus{.code = 3, .signal = 0}));
  EXPECT_EQ(back->reason, ExitReason::kReboot);
  EXPECT_EQ(back->status_text, "Startup finished.");
  EXPECT_EQ(back->error.to_string(), "mount proc: Device or resource busy");
  EXPECT_EQ(back->error.code(), Code::kBusy);
  EXPECT_EQ(back->limits, status.limits);
  EXPECT_EQ(back->incidents, status.incidents);
}

TEST(SupervisorProtocol, PrepareExecRoundTrips) {
  PrepareExec request;
  request.argv = {"sh", "-c", "exit 3"};
  request.env = {"A=1", "B="};
  request.cwd = "/tmp";
  request.user = "1000:100";
  request.tty = true;
  request.login = true;
  auto back = decode_prepare_exec(encode(request));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->argv, request.argv);
  EXPECT_EQ(back->env, request.env);
  EXPECT_EQ(back->cwd, "/tmp");
  EXPECT_EQ(back->user, "1000:100");
  EXPECT_TRUE(back->tty);
  EXPECT_FALSE(back->detach);
  EXPECT_TRUE(back->login);
}

TEST(SupervisorProtocol, SmallMessagesRoundTrip) {
  EXPECT_EQ(decode_hello(encode(Hello{.version = 9}))->version, 9u);
  EXPECT_EQ(decode_stop(encode(Stop{.force = true, .timeout_ms = 5}))->timeout_ms, 5u);
  EXPECT_TRUE(decode_prepare_console(encode(PrepareConsole{.readonly = true}))->readonly);
  EXPECT_EQ(*decode_session_exit(encode_session_exit({.code = 0, .signal = 9})), (ExitStatus{.code = 0, .signal = 9}));
  EXPECT_EQ(*decode_signal(encode_signal(15)), 15);
  EXPECT_EQ(decode_resize(encode(Resize{.rows = 24, .columns = 80}))->columns, 80);
  auto error = decode_session_error(encode(SessionError{.code = Code::kNotFound, .exit_code = 127, .message = "no"}));
  EXPECT_EQ(error->exit_code, 127);
  EXPECT_EQ(error->code, Code::kNotFound);
  Reply reply{.ok = false, .error = Error(Code::kWrongState, "it is exited"), .token = ""};
  EXPECT_EQ(decode_reply(encode(reply))->error.message(), "it is exited");
}

TEST(SupervisorProtocol, EveryTruncationIsAnError) {
  std::string whole = encode(Status{});
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(decode_status(std::string_view(whole).substr(0, size))) << size;
  EXPECT_FALSE(decode_status(whole + "x"));
  whole[0] = 99;  // a phase that does not exist
  EXPECT_FALSE(decode_status(whole));
}

TEST(SupervisorProtocol, NamesOfPhasesAndReasons) {
  EXPECT_EQ(phase_name(Phase::kStopping), "stopping");
  EXPECT_EQ(phase_name(static_cast<Phase>(99)), "failed");
  EXPECT_EQ(exit_reason_name(ExitReason::kPoweroff), "poweroff");
}

}  // namespace
}  // namespace vps::supervisor
