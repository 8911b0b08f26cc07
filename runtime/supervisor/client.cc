#include "runtime/supervisor/client.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <deque>

#include "base/pidfd.h"

namespace vps::supervisor {

struct Client::Impl {
  Seqpacket channel;
  std::deque<Status> queued;
};

namespace {

using std::chrono::milliseconds;
// A supervisor answers a request from its event loop at once; longer means that it is stuck or stopped.
constexpr milliseconds kReplyTimeout{10'000};
constexpr int kControlFd = 3;

Result<> wait_readable(int fd, milliseconds timeout) {
  auto deadline = std::chrono::steady_clock::now() + timeout;
  while (true) {
    auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd item{.fd = fd, .events = POLLIN, .revents = 0};
    int n = ::poll(&item, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (n > 0) return {};
    if (n == 0) return fail(Code::kTimedOut, "no answer from the supervisor");
    if (errno != EINTR) return fail_errno(errno, "poll");
  }
}

struct SpawnSetup {
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
  SpawnSetup() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  ~SpawnSetup() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
};

struct Spawned {
  Seqpacket channel;
  int status = 0;  // of the process that we started
};

// Runs the executable with these arguments and a control connection, until the process that was started ends.
Result<Spawned> run_supervisor(int executable_fd, std::vector<std::string> words) {
  auto [ours, theirs] = VPS_TRY(Seqpacket::make_pair());
  SpawnSetup setup;
  // dup2 of fd 3 onto itself also clears its close-on-exec flag, as posix_spawn_file_actions_adddup2(3) demands.
  ::posix_spawn_file_actions_adddup2(&setup.actions, theirs.fd(), kControlFd);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&setup.attributes, &none);
  ::posix_spawnattr_setsigdefault(&setup.attributes, &all);
  ::posix_spawnattr_setflags(&setup.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  // Out of the way of the control descriptor: the new process finds its program by this number.
  UniqueFd pinned(::fcntl(executable_fd, F_DUPFD_CLOEXEC, kControlFd + 1));
  if (!pinned) return fail_errno(errno, "pin the supervisor's executable");
  std::string program = fmt::format("/proc/self/fd/{}", pinned.get());
  words.insert(words.begin(), "vps-supervise");
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<char*> environment;
  std::string failpoints;
  if (const char* value = ::getenv("VPS_FAILPOINTS")) {
    failpoints = fmt::format("VPS_FAILPOINTS={}", value);
    environment.push_back(failpoints.data());
  }
  environment.push_back(nullptr);
  pid_t pid = -1;
  int err = ::posix_spawn(&pid, program.c_str(), &setup.actions, &setup.attributes, argv.data(), environment.data());
  if (err != 0) return fail_errno(err, "start the supervisor");
  theirs.close();
  Spawned spawned{.channel = std::move(ours), .status = 0};
  while (::waitpid(pid, &spawned.status, 0) < 0)
    if (errno != EINTR) return fail_errno(errno, "wait for the supervisor");
  return spawned;
}

}  // namespace

Result<Client> Client::run(int executable_fd, std::vector<std::string> words) {
  auto spawned = VPS_TRY(run_supervisor(executable_fd, std::move(words)));
  Client client;
  client.impl_ = std::make_shared<Impl>();
  client.impl_->channel = std::move(spawned.channel);
  if (WIFEXITED(spawned.status) && WEXITSTATUS(spawned.status) == 0) return client;
  // Its last word explains.
  auto last = client.next_status(milliseconds(0));
  if (last && *last && (*last)->has_error) return std::unexpected((*last)->error);
  return fail(Code::kFailed, "the supervisor could not start (status {})", spawned.status);
}

// The process that we start makes the real supervisor and ends at once, whatever happens.
Result<Client> Client::spawn(int executable_fd, const std::string& plan_path) { return run(executable_fd, {"--plan", plan_path}); }

Result<> Client::take_back_devices(int executable_fd, const std::string& id, const std::string& link_owner, const std::string& records) {
  VPS_TRY(run(executable_fd, {"--take-back", id, link_owner, records}));
  return {};
}

Result<Client> Client::connect(const std::string& socket_path) {
  auto channel = Seqpacket::connect(socket_path);
  if (!channel) {
    int err = channel.error().err();
    if (err == ENOENT || err == ECONNREFUSED) return fail(Code::kNotFound, "no supervisor at {}", socket_path);
    return std::unexpected(std::move(channel).error());
  }
  VPS_TRY(channel->send(static_cast<std::uint32_t>(Message::kHello), encode(Hello{})));
  Client client;
  client.impl_ = std::make_shared<Impl>();
  client.impl_->channel = std::move(*channel);
  return client;
}

int Client::fd() const { return impl_->channel.fd(); }

Result<Reply> Client::request(Message type, std::string_view body) {
  // One that ends while it is asked: the same as one that ended just before.
  auto ended = [](const Error& error) { return error.err() == EPIPE || error.err() == ECONNRESET; };
  if (auto sent = impl_->channel.send(static_cast<std::uint32_t>(type), body); !sent) {
    if (ended(sent.error())) return fail(Code::kWrongState, "the supervisor has ended");
    return std::unexpected(std::move(sent).error());
  }
  while (true) {
    VPS_TRY(wait_readable(fd(), kReplyTimeout));
    auto received = impl_->channel.receive();
    if (!received && !ended(received.error())) return std::unexpected(std::move(received).error());
    if (!received || !*received) return fail(Code::kWrongState, "the supervisor has ended");
    auto& packet = *received;
    if (packet->type == static_cast<std::uint32_t>(Message::kStatus)) {
      impl_->queued.push_back(VPS_TRY(decode_status(packet->body)));
      continue;
    }
    auto reply = VPS_TRY(decode_reply(packet->body));
    if (!reply.ok) return std::unexpected(std::move(reply.error));
    return reply;
  }
}

Result<> Client::stop(const Stop& value) {
  VPS_TRY(request(Message::kStop, encode(value)));
  return {};
}
Result<> Client::signal(int signo) {
  VPS_TRY(request(Message::kSignal, encode_signal(signo)));
  return {};
}
Result<> Client::pause() {
  VPS_TRY(request(Message::kPause, {}));
  return {};
}
Result<> Client::resume() {
  VPS_TRY(request(Message::kResume, {}));
  return {};
}
Result<std::string> Client::prepare_exec(const PrepareExec& value) {
  return VPS_TRY(request(Message::kPrepareExec, encode(value))).token;
}
Result<std::string> Client::prepare_console(const PrepareConsole& value) {
  return VPS_TRY(request(Message::kPrepareConsole, encode(value))).token;
}

bool Client::has_queued_status() const { return !impl_->queued.empty(); }

Result<std::optional<Status>> Client::next_status(milliseconds timeout) {
  if (!impl_->queued.empty()) {
    Status status = std::move(impl_->queued.front());
    impl_->queued.pop_front();
    return std::optional(std::move(status));
  }
  VPS_TRY(wait_readable(fd(), timeout));
  auto packet = impl_->channel.receive();
  if (!packet) {
    if (packet.error().err() == ECONNRESET) return std::optional<Status>();
    return std::unexpected(std::move(packet).error());
  }
  if (!*packet) return std::optional<Status>();
  return std::optional(VPS_TRY(decode_status((*packet)->body)));
}

}  // namespace vps::supervisor
