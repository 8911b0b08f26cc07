// exec, enter and console: the real vpsctl between a fake daemon and a fake supervisor that runs real programs.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <condition_variable>
#include <future>

#include "tests/support/command.h"
#include "tests/support/pty.h"
#include "tests/unit/cli/fake_supervisor.h"
#include "tests/unit/cli/fake_vpsd.h"

namespace vps::test {
namespace {

using supervisor::Message;
using testing::HasSubstr;
using Words = std::vector<std::string>;

constexpr std::chrono::seconds kPatience{15};

class Session : public testing::Test {
 protected:
  explicit Session(FakeSupervisor::Serve serve = {}) : supervisor_(std::move(serve)) {
    fake_.on("POST /v1/containers/101/exec", supervisor_.session_json());
  }

  [[nodiscard]] CommandOptions options(const std::string& input = {}) const {
    return {.timeout = std::chrono::seconds(20), .input = input, .env = {{"VPS_SOCKET", fake_.socket()}}};
  }
  [[nodiscard]] static Argv argv(Words words) {
    words.insert(words.begin(), VPSCTL_PROGRAM);
    return words;
  }
  CommandResult vpsctl(const Words& words, const std::string& input = {}) const {
    auto ran = run(argv(words), options(input));
    EXPECT_TRUE(ran && !ran->timed_out) << (ran ? ran->describe() : ran.error().to_string());
    return ran ? *ran : CommandResult{};
  }
  // The script as the command in the VPS, on the descriptors that came with the attach.
  void serve_shell(const std::string& script) {
    supervisor_.serve_with([script](Seqpacket& connection, Packet& attach) {
      if (attach.fds.size() != 3) return;
      say(connection, Message::kAttached);
      auto status = run_shell(script, attach.fds[0].get(), attach.fds[1].get(), attach.fds[2].get());
      attach.fds.clear();
      say_exit(connection, status.code, status.signal);
    });
  }
  void serve_pty(const std::string& script) {
    supervisor_.serve_with([this, script](Seqpacket& connection, Packet& attach) {
      if (!attach.fds.empty()) return;
      ShellOnPty shell(script);
      int master = shell.master();
      say(connection, Message::kAttached, {}, std::span(&master, 1));
      shell.close_master();
      std::jthread signals([&] {
        while (true) {
          auto packet = await(connection, Message::kSessionSignal);
          if (packet.type == 0) return shell.signal(SIGKILL);  // nobody waits for one that ignores all else
          shell.signal(supervisor::decode_signal(packet.body).value_or(0));
          ++forwarded_;
        }
      });
      auto status = shell.wait();
      say_exit(connection, status.code, status.signal);
    });
  }

  FakeVpsd fake_;
  std::atomic<int> forwarded_ = 0;  // signals, by serve_pty
  FakeSupervisor supervisor_;
};

using Exec = Session;

TEST_F(Exec, GivesItsOwnDescriptorsAway) {
  serve_shell("echo out; echo err >&2; cat; exit 7");
  auto ran = vpsctl({"exec", "-i", "101", "--", "cmd"}, "input\n");
  EXPECT_EQ(ran.code, 7);
  EXPECT_EQ(ran.out, "out\ninput\n");
  EXPECT_EQ(ran.err, "err\n");
}

TEST_F(Exec, TheOutputIsThePipeItselfNotACopy) {
  struct stat seen{};
  supervisor_.serve_with([&](Seqpacket& connection, Packet& attach) {
    ::fstat(attach.fds.at(1).get(), &seen);
    say_exit(connection, 0);
  });
  std::array<int, 2> ends{-1, -1};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  UniqueFd in(ends[0]);
  UniqueFd out(ends[1]);
  struct stat ours{};
  ::fstat(out.get(), &ours);
  auto own = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(out.get());
  auto ran = run({"/bin/sh", "-c", std::string(VPSCTL_PROGRAM) + " exec 101 x > " + own}, options());
  ASSERT_TRUE(ran);
  EXPECT_EQ(ran->code, 0) << ran->describe();
  EXPECT_EQ(seen.st_ino, ours.st_ino);
  EXPECT_EQ(seen.st_dev, ours.st_dev);
}

TEST_F(Exec, ReadsNothingUnlessInteractive) {
  serve_shell("readlink /proc/self/fd/0; cat");
  EXPECT_EQ(vpsctl({"exec", "101", "cmd"}, "input\n").out, "/dev/null\n");
}

TEST_F(Exec, ASignalIsTheExitCode) {
  serve_shell("kill -9 $$");
  EXPECT_EQ(vpsctl({"exec", "101", "cmd"}).code, 137);
}

TEST_F(Exec, WhatCouldNotBeRunIs126Or127) {
  for (auto [code, exit_code] : {std::pair(Code::kFailed, 125), std::pair(Code::kNotAllowed, 126), std::pair(Code::kNotFound, 127)}) {
    supervisor_.serve_with([code, exit_code](Seqpacket& connection, Packet&) {
      say(connection, Message::kSessionError, supervisor::encode(supervisor::SessionError{code, exit_code, "exec x: reason"}));
    });
    auto ran = vpsctl({"exec", "101", "x"});
    EXPECT_EQ(ran.code, exit_code);
    EXPECT_EQ(ran.err, "vpsctl: exec 101: exec x: reason\n");
  }
}

TEST_F(Exec, OwnFailuresAre125) {
  fake_.on("POST /v1/containers/9/exec", Answer{.status = 409, .body = R"({"code":"wrong_state","message":"it is stopped"})"});
  auto stopped = vpsctl({"exec", "9", "x"});
  EXPECT_EQ(stopped.code, 125);
  EXPECT_EQ(stopped.err, "vpsctl: exec 9: it is stopped\n");
  EXPECT_EQ(vpsctl({"exec", "--nope", "9", "x"}).code, 125);
  EXPECT_EQ(vpsctl({"exec", "-d", "-t", "9", "x"}).code, 125);
  fake_.on("POST /v1/containers/8/exec", R"({"socket":"/nonexistent/socket","token":"x"})");
  EXPECT_EQ(vpsctl({"exec", "8", "x"}).code, 125);
  supervisor_.serve_with([](Seqpacket& connection, Packet&) { say(connection, Message::kAttached); });
  auto gone = vpsctl({"exec", "101", "x"});
  EXPECT_EQ(gone.code, 125);
  EXPECT_EQ(gone.err, "vpsctl: exec 101: the session broke off: its supervisor is gone\n");
  supervisor_.serve_with([](Seqpacket& connection, Packet&) { say(connection, Message::kSessionExit, "garbage"); });
  EXPECT_EQ(vpsctl({"exec", "101", "x"}).code, 125);
}

TEST_F(Exec, PassesSignalsOn) {
  std::atomic<bool> attached = false;
  std::vector<int> seen;
  supervisor_.serve_with([&](Seqpacket& connection, Packet&) {
    say(connection, Message::kAttached);
    attached = true;
    while (seen.size() < 6) seen.push_back(supervisor::decode_signal(await(connection, Message::kSessionSignal).body).value_or(0));
    say_exit(connection, 3);
  });
  auto process = Process::start(argv({"exec", "101", "x"}), options());
  ASSERT_TRUE(process);
  ASSERT_TRUE(eventually([&] { return attached.load(); }));
  // One after the other: pending signals have no order among them.
  std::size_t sent = 0;
  for (int signo : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) {
    ASSERT_TRUE(process->signal(signo));
    ++sent;
    ASSERT_TRUE(eventually([&] { return seen.size() >= sent; })) << signo;
  }
  auto ran = process->finish();
  ASSERT_TRUE(ran);
  EXPECT_EQ(ran->code, 3);
  EXPECT_EQ(seen, (std::vector<int>{SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}));
}

TEST_F(Exec, DetachReturnsWhenItRuns) {
  std::atomic<bool> left = false;
  supervisor_.serve_with([&](Seqpacket& connection, Packet& attach) {
    EXPECT_TRUE(attach.fds.empty());
    say(connection, Message::kAttached);
    await(connection, Message::kSessionSignal);
    left = true;
  });
  EXPECT_EQ(vpsctl({"exec", "--detach", "101", "sleep", "9"}).code, 0);
  EXPECT_TRUE(eventually([&] { return left.load(); }));
}

TEST_F(Exec, TheRequestSaysAll) {
  serve_shell("true");
  vpsctl({"exec", "-u", "www", "-w", "/srv", "-e", "A=b=c", "-e", "UNSET_HERE", "101", "sh", "-c", "echo \"$A\""});
  EXPECT_EQ(fake_.requests().back(),
            R"(POST /v1/containers/101/exec {"argv":["sh","-c","echo \"$A\""],"env":{"A":"b=c"},"cwd":"/srv","user":"www"})");
  auto ran = vpsctl({"exec", "101", "bad\xff"});
  EXPECT_EQ(ran.code, 125);
  EXPECT_EQ(ran.err, "vpsctl: exec 101: an argument is not valid UTF-8\n");
}

class Tty : public Session {
 protected:
  Result<Pty> start(const Words& words, PtySize size = {}) { return Pty::start(argv(words), size, options()); }
};

TEST_F(Tty, IsRawMeanwhileAndGivenBack) {
  serve_pty("echo ready; read line; echo \"got $line\"; exit 5");
  auto pty = start({"exec", "-t", "101", "sh"});
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->read_until("ready\r\n", kPatience));
  EXPECT_TRUE(pty->raw());
  ASSERT_TRUE(pty->write("hello\r"));
  ASSERT_TRUE(pty->read_until("got hello\r\n", kPatience));
  auto status = pty->finish();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 5);
  EXPECT_FALSE(pty->raw());
  EXPECT_THAT(fake_.requests().back(), HasSubstr(R"("tty":true)"));
  EXPECT_THAT(fake_.requests().back(), HasSubstr(R"("TERM":"xterm")"));
}

TEST_F(Tty, ControlCIsForTheCommand) {
  serve_pty("trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.05; done");
  auto pty = start({"exec", "-t", "101", "sh"});
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->read_until("ready", kPatience));
  ASSERT_TRUE(pty->write("\x03"));
  ASSERT_TRUE(pty->read_until("interrupted", kPatience));
  EXPECT_EQ(pty->finish().value_or(ExitStatus{}).code, 9);
}

TEST_F(Tty, TheWindowSizeFollows) {
  serve_pty("trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done");
  auto pty = start({"exec", "-t", "101", "sh"}, {.rows = 33, .columns = 101});
  ASSERT_TRUE(pty);
  // The command may look before the size has come; then the change is a WINCH of its own.
  ASSERT_TRUE(pty->read_until("33 101", kPatience));
  ASSERT_TRUE(pty->resize({.rows = 20, .columns = 70}));
  ASSERT_TRUE(pty->read_until("20 70", kPatience));
}

TEST_F(Tty, AllOutputComesBeforeTheEnd) {
  serve_pty("i=0; while [ $i -lt 3000 ]; do echo \"line number $i\"; i=$((i+1)); done");
  auto pty = start({"exec", "-t", "101", "sh"});
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->finish());
  EXPECT_THAT(pty->transcript(), HasSubstr("line number 2999\r\n"));
}

TEST_F(Tty, BigInputBeforeAnyoneReadsDoesNotBlockTheOutput) {
  serve_pty("stty raw -echo; echo ready; sleep 0.3; echo talking; head -c 20000 | wc -c");
  auto pty = start({"exec", "-t", "101", "sh"});
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->read_until("ready", kPatience));
  std::string block(2000, 'x');
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(pty->write(block));
  ASSERT_TRUE(pty->read_until("talking", kPatience));
  EXPECT_TRUE(pty->read_until("20000", kPatience));
}

class TtySignal : public Tty, public testing::WithParamInterface<int> {};

TEST_P(TtySignal, EndsItWithTheTerminalAsItWas) {
  serve_pty("trap '' HUP TERM INT QUIT; echo ready; while :; do sleep 0.05; done");
  auto pty = start({"exec", "-t", "101", "sh"});
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->read_until("ready", kPatience));
  ASSERT_TRUE(eventually([&] { return pty->raw(); }));
  // The command gets it, and ignores it; the second does not wait for the grace to be over.
  ASSERT_EQ(::kill(pty->pid(), GetParam()), 0);
  ASSERT_TRUE(eventually([&] { return forwarded_ == 1; }));
  ASSERT_EQ(::kill(pty->pid(), GetParam()), 0);
  auto status = pty->finish(kPatience);
  ASSERT_TRUE(status) << status.error().to_string();
  EXPECT_EQ(status->code, 128 + GetParam());
  EXPECT_FALSE(pty->raw());
}

INSTANTIATE_TEST_SUITE_P(All, TtySignal, testing::Values(SIGTERM, SIGHUP, SIGINT, SIGQUIT));

TEST_F(Tty, AHangupIsWaitedForOnlyBriefly) {
  serve_pty("trap '' HUP; echo ready; while :; do sleep 0.05; done");
  auto pty = start({"exec", "-t", "101", "sh"});
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->read_until("ready", kPatience));
  ASSERT_EQ(::kill(pty->pid(), SIGHUP), 0);
  EXPECT_EQ(pty->finish(kPatience).value_or(ExitStatus{}).code, 128 + SIGHUP);
  EXPECT_FALSE(pty->raw());
}

TEST_F(Tty, ACommandThatHandlesTheSignalDecidesTheExitCode) {
  serve_pty("trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done");
  auto pty = start({"exec", "-t", "101", "sh"});
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->read_until("ready", kPatience));
  ASSERT_EQ(::kill(pty->pid(), SIGTERM), 0);
  EXPECT_EQ(pty->finish().value_or(ExitStatus{}).code, 4);
  EXPECT_FALSE(pty->raw());
}

TEST_F(Tty, ErrorsComeOnATerminalInItsOwnModes) {
  supervisor_.serve_with([](Seqpacket& connection, Packet&) {
    say(connection, Message::kSessionError, supervisor::encode(supervisor::SessionError{Code::kNotFound, 127, "exec x: not found"}));
  });
  auto pty = start({"exec", "-t", "101", "x"});
  ASSERT_TRUE(pty);
  EXPECT_EQ(pty->finish().value_or(ExitStatus{}).code, 127);
  EXPECT_EQ(pty->transcript(), "vpsctl: exec 101: exec x: not found\r\n");
  EXPECT_FALSE(pty->raw());
}

TEST_F(Tty, TheSupervisorsDeathGivesTheTerminalBack) {
  supervisor_.serve_with([](Seqpacket&, Packet&) {});
  auto pty = start({"exec", "-t", "101", "x"});
  ASSERT_TRUE(pty);
  EXPECT_EQ(pty->finish().value_or(ExitStatus{}).code, 125);
  EXPECT_FALSE(pty->raw());
}

TEST_F(Tty, InputFromAFileEnds) {
  serve_pty("cat; echo done");
  auto ran = vpsctl({"exec", "-t", "101", "cat"}, "some text\n");
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, HasSubstr("some text\r\n"));
  EXPECT_THAT(ran.out, HasSubstr("done\r\n"));
}

using Enter = Tty;

TEST_F(Enter, OnATerminalIsALoginShellWithOne) {
  serve_pty("echo shell; read line; exit 0");
  auto pty = start({"enter", "101", "--user", "joe"});
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->read_until("shell", kPatience));
  ASSERT_TRUE(pty->write("\r"));
  EXPECT_EQ(pty->finish().value_or(ExitStatus{.code = 99}).code, 0);
  EXPECT_EQ(fake_.requests().back(), R"(POST /v1/containers/101/exec {"argv":[],"login":true,"user":"joe","tty":true,"env":{"TERM":"xterm"}})");
}

TEST_F(Enter, WithoutATerminalReadsCommands) {
  serve_shell("sh");
  auto ran = vpsctl({"enter", "101"}, "echo from script; exit 6\n");
  EXPECT_EQ(ran.out, "from script\n");
  EXPECT_EQ(ran.code, 6);
  EXPECT_EQ(fake_.requests().back(), R"(POST /v1/containers/101/exec {"argv":[],"login":true})");
}

// A console that says what the test tells it to.
class Console : public Tty {
 protected:
  Console() {
    fake_.on("GET /v1/containers/web", R"({"definition":{"id":"101"}})");
    fake_.on("GET /v1/containers/101", R"({"definition":{"id":"101"}})");
    fake_.on("GET /v1/host", R"({"events":{"last":5}})");
    fake_.on("GET /v1/events?since=5&follow=1&vps=101", Answer{.open_end = true});
  }
  void running() { fake_.on("POST /v1/containers/101/console", supervisor_.session_json()); }
  void stopped() { fake_.on("POST /v1/containers/101/console", Answer{.status = 409, .body = R"({"code":"wrong_state","message":"it is stopped"})"}); }

  static void say_output(const Seqpacket& connection, const std::string& text) { say(connection, Message::kSessionOutput, text); }
  static void say_end(const Seqpacket& connection) {
    say(connection, Message::kSessionError, supervisor::encode(supervisor::SessionError{Code::kWrongState, 0, "the VPS has ended (poweroff)"}));
  }
  // Output first, then an echo of all input in brackets.
  void serve_echo(const std::string& greeting) {
    supervisor_.serve_with([greeting](Seqpacket& connection, Packet&) {
      say(connection, Message::kAttached, "writer");
      say_output(connection, greeting);
      while (true) {
        auto packet = await(connection, Message::kSessionInput);
        if (packet.type == 0) return;
        say_output(connection, "[" + packet.body + "]");
      }
    });
  }
};

TEST_F(Console, ReplaysPassesInputAndLeavesByTheEscape) {
  running();
  serve_echo("booted\r\nlogin: ");
  auto pty = start({"console", "web"});
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->read_until("login: ", kPatience));
  EXPECT_TRUE(pty->raw());
  ASSERT_TRUE(pty->write("root\r"));
  ASSERT_TRUE(pty->read_until("[root\r]", kPatience));
  ASSERT_TRUE(pty->write("\x03"));  // for the VPS
  ASSERT_TRUE(pty->read_until("[\x03]", kPatience));
  ASSERT_TRUE(pty->write("\r~?"));
  ASSERT_TRUE(pty->read_until("leave the console", kPatience));
  ASSERT_TRUE(pty->write("~."));
  EXPECT_EQ(pty->finish().value_or(ExitStatus{.code = 99}).code, 0);
  EXPECT_FALSE(pty->raw());
  EXPECT_THAT(pty->transcript(), testing::EndsWith("console left\r\n"));
}

TEST_F(Console, WaitsForTheStartAndGoesOnAcrossReboots) {
  stopped();
  // As vpsd answers while the supervisor is just going away.
  fake_.on("POST /v1/containers/101/console", Answer{.status = 500, .body = R"({"code":"failed","message":"send a message: Broken pipe"})"});
  running();
  std::mutex mutex;
  std::condition_variable changed;
  bool end = false;
  supervisor_.serve_with([&](Seqpacket& connection, Packet&) {
    say(connection, Message::kAttached, "writer");
    say_output(connection, "first boot\r\n");
    std::unique_lock lock(mutex);
    changed.wait_for(lock, kPatience, [&] { return end; });
    say_end(connection);
  });
  auto pty = start({"console", "101"});
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->read_until("waiting for its start", kPatience));
  ASSERT_TRUE(pty->write("lost\r"));
  fake_.push("{\"seq\":6,\"type\":\"vps.started\",\"vps\":\"101\"}\n");
  ASSERT_TRUE(pty->read_until("first boot\r\n", kPatience));
  // It reboots: what was seen is replayed by the supervisor, but not shown again.
  supervisor_.serve_with([](Seqpacket& connection, Packet&) {
    say(connection, Message::kAttached, "writer");
    say_output(connection, "long ago\r\nfirst");
    say_output(connection, " boot\r\nsecond boot\r\n");
    await(connection, Message::kSessionSignal);
  });
  {
    std::scoped_lock lock(mutex);
    end = true;
  }
  changed.notify_all();
  auto ended = pty->read_until("[the VPS has ended (poweroff)]", kPatience);
  ASSERT_TRUE(ended) << ended.error().to_string() << pty->transcript();
  auto rest = pty->read_until("second boot\r\n", kPatience);
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->find("first boot"), std::string::npos) << *rest;
  ASSERT_TRUE(pty->write("\r~."));
  EXPECT_EQ(pty->finish().value_or(ExitStatus{.code = 99}).code, 0);
}

TEST_F(Console, WaitingEndsByEscapeOrControlC) {
  stopped();
  for (const char* keys : {"~.", "\x03"}) {
    auto pty = start({"console", "101"});
    ASSERT_TRUE(pty);
    ASSERT_TRUE(pty->read_until("waiting for its start", kPatience));
    ASSERT_TRUE(pty->write(keys));
    EXPECT_EQ(pty->finish().value_or(ExitStatus{.code = 99}).code, 0);
    EXPECT_FALSE(pty->raw());
  }
}

TEST_F(Console, ADestroyedVpsEndsIt) {
  stopped();
  stopped();
  fake_.on("POST /v1/containers/101/console", Answer{.status = 404, .body = R"({"code":"not_found","message":"no vps 101"})"});
  auto pty = start({"console", "101"});
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->read_until("waiting for its start", kPatience));
  fake_.push("{\"seq\":6,\"type\":\"vps.destroyed\",\"vps\":\"101\"}\n");
  EXPECT_EQ(pty->finish().value_or(ExitStatus{}).code, 3);
  EXPECT_FALSE(pty->raw());
  EXPECT_THAT(pty->transcript(), HasSubstr("vpsctl: console 101: no vps 101"));
}

TEST_F(Console, ReadonlySendsNothing) {
  running();
  serve_echo("hello\r\n");
  auto pty = start({"console", "--readonly", "101"});
  ASSERT_TRUE(pty);
  ASSERT_TRUE(pty->read_until("hello", kPatience));
  ASSERT_TRUE(pty->write("typed\r~."));
  EXPECT_EQ(pty->finish().value_or(ExitStatus{.code = 99}).code, 0);
  EXPECT_EQ(pty->transcript().find("typed"), std::string::npos);
  EXPECT_THAT(fake_.requests(), testing::Contains(R"(POST /v1/containers/101/console {"readonly":true})"));
}

TEST_F(Console, ASignalGivesTheTerminalBack) {
  running();
  serve_echo("hello\r\n");
  for (int signo : {SIGTERM, SIGHUP, SIGINT}) {
    auto pty = start({"console", "101"});
    ASSERT_TRUE(pty);
    ASSERT_TRUE(pty->read_until("hello", kPatience));
    ASSERT_EQ(::kill(pty->pid(), signo), 0);
    EXPECT_EQ(pty->finish().value_or(ExitStatus{}).code, 128 + signo);
    EXPECT_FALSE(pty->raw());
  }
}

TEST_F(Console, FromAScript) {
  running();
  std::promise<std::string> got;
  supervisor_.serve_with([&](Seqpacket& connection, Packet&) {
    say(connection, Message::kAttached, "writer");
    got.set_value(await(connection, Message::kSessionInput).body);
    await(connection, Message::kSessionSignal);  // until it leaves
  });
  auto ran = vpsctl({"console", "101"}, "root\n");
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(got.get_future().get(), "root\n");
}

}  // namespace
}  // namespace vps::test
