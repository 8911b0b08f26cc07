#include "tests/unit/cli/fake_supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include <array>

namespace vps::test {
namespace {

using supervisor::Message;

pid_t spawn_shell(const std::string& script, posix_spawn_file_actions_t& actions, short extra) {
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | extra));
  std::string shell = "/bin/sh";
  std::string option = "-c";
  std::string text = script;
  std::array<char*, 4> argv{shell.data(), option.data(), text.data(), nullptr};
  pid_t pid = -1;
  if (::posix_spawn(&pid, shell.c_str(), &actions, &attributes, argv.data(), environ) != 0) ::abort();
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  return pid;
}

}  // namespace

FakeSupervisor::FakeSupervisor(Serve serve) : path_(dir_ / "supervisor.sock"), serve_(std::move(serve)) {
  auto listener = Seqpacket::listen(path_, 0600);
  if (!listener) ::abort();
  listener_ = std::move(*listener);
  wake_.reset(::eventfd(0, EFD_CLOEXEC));
  acceptor_ = std::thread([this] { loop(); });
}

FakeSupervisor::~FakeSupervisor() {
  std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
  acceptor_.join();
  for (auto& thread : threads_) thread.join();
}

void FakeSupervisor::serve_with(Serve serve) {
  std::scoped_lock lock(mutex_);
  serve_ = std::move(serve);
}

std::string FakeSupervisor::session_json() const { return R"({"socket":")" + path_ + R"(","token":"feed","session":1})"; }

void FakeSupervisor::loop() {
  while (true) {
    std::array<pollfd, 2> items{{{listener_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
    ::poll(items.data(), items.size(), -1);
    if (items[1].revents != 0) return;
    auto accepted = Seqpacket::accept(listener_.get());
    if (!accepted) continue;
    Serve serve;
    {
      std::scoped_lock lock(mutex_);
      serve = serve_;
    }
    threads_.emplace_back([connection = std::move(*accepted), serve]() mutable {
      auto packet = connection.receive();
      if (packet && *packet && (*packet)->type == static_cast<std::uint32_t>(Message::kAttach) && (*packet)->body == "feed")
        serve(connection, **packet);
      connection.close();
    });
  }
}

void say(const Seqpacket& connection, Message type, std::string_view body, std::span<const int> fds) {
  (void)connection.send(static_cast<std::uint32_t>(type), body, fds);
}

void say_exit(const Seqpacket& connection, int code, int signal) {
  say(connection, Message::kSessionExit, supervisor::encode_session_exit({.code = code, .signal = signal}));
}

Packet await(const Seqpacket& connection, Message type) {
  while (true) {
    auto packet = connection.receive();
    if (!packet || !*packet) return {};
    if ((*packet)->type == static_cast<std::uint32_t>(type)) return std::move(**packet);
  }
}

ExitStatus run_shell(const std::string& script, int in, int out, int err) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out, 1);
  ::posix_spawn_file_actions_adddup2(&actions, err, 2);
  pid_t pid = spawn_shell(script, actions, 0);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) return {.code = 0, .signal = WTERMSIG(status)};
  return {.code = WEXITSTATUS(status), .signal = 0};
}

ShellOnPty::ShellOnPty(const std::string& script) : master_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
  std::array<char, 128> slave{};
  if (::grantpt(master_.get()) != 0 || ::unlockpt(master_.get()) != 0 || ::ptsname_r(master_.get(), slave.data(), slave.size()) != 0) ::abort();
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, slave.data(), O_RDWR, 0);
  ::posix_spawn_file_actions_adddup2(&actions, 0, 1);
  ::posix_spawn_file_actions_adddup2(&actions, 0, 2);
  auto process = PidFd::open(spawn_shell(script, actions, POSIX_SPAWN_SETSID));
  if (!process) ::abort();
  process_ = std::move(*process);
}

ShellOnPty::~ShellOnPty() {
  (void)process_.signal(SIGKILL);
  (void)process_.wait();
}

}  // namespace vps::test
