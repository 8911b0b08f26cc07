#include "runtime/hooks.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <algorithm>
#include <chrono>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/files.h"
#include "base/pidfd.h"

namespace vps::runtime {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (auto& s : strings) result.push_back(s.data());
  result.push_back(nullptr);
  return result;
}

struct Spawned {
  PidFd process;
  UniqueFd output;
};

// The state as a file: a hook may read it or not, at once or never, and can open /dev/stdin; with a pipe one would block us
// and another end us by SIGPIPE.
Result<UniqueFd> state_file(const std::string& state) {
  UniqueFd file(::memfd_create("state", MFD_CLOEXEC));
  if (!file) return fail_errno(errno, "memfd_create");
  VPS_TRY(write_all(file.get(), state));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return fail_errno(errno, "rewind");
  return file;
}

Result<Spawned> spawn(const oci::Hook& hook, const std::string& state) {
  auto input = VPS_TRY(state_file(state));
  std::array<int, 2> out{};
  if (::pipe2(out.data(), O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  UniqueFd out_ours(out[0]);
  UniqueFd out_theirs(out[1]);
  posix_spawn_file_actions_t actions{};
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out_theirs.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out_theirs.get(), STDERR_FILENO);
  auto args = hook.args;
  if (args.empty()) args.push_back(hook.path);
  auto env = hook.env;
  auto argv = pointers(args);
  auto envp = pointers(env);
  pid_t pid = -1;
  // Who runs us may have blocked signals to read them from a descriptor; a hook is not to inherit that.
  posix_spawnattr_t attributes{};
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  int err = ::posix_spawn(&pid, hook.path.c_str(), &actions, &attributes, argv.data(), envp.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (err != 0) return fail_errno(err, "cannot execute");
  return Spawned{VPS_TRY(PidFd::open(pid)), std::move(out_ours)};
}

// Collects the hook's output until it ends or the time is over.
Result<std::string> collect(const Spawned& hook, std::optional<Clock::time_point> deadline) {
  std::string text;
  while (true) {
    int wait = -1;
    if (deadline) {
      auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now());
      wait = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
    }
    std::array<pollfd, 2> items{{{hook.output.get(), POLLIN, 0}, {hook.process.fd(), POLLIN, 0}}};
    int n = ::poll(items.data(), items.size(), wait);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) return fail(Code::kTimedOut, "timed out");
    if ((items[0].revents & (POLLIN | POLLHUP)) != 0) {
      std::array<char, 4096> buffer{};
      ssize_t got = ::read(hook.output.get(), buffer.data(), buffer.size());
      if (got > 0) {
        text.append(buffer.data(), static_cast<std::size_t>(got));
        constexpr std::size_t kKept = 1024;
        if (text.size() > kKept) text.erase(0, text.size() - kKept);
        continue;
      }
    }
    if ((items[1].revents & POLLIN) != 0) return text;
  }
}

Result<> run_hook(const oci::Hook& hook, const std::string& state) {
  auto spawned = VPS_TRY(spawn(hook, state));
  std::optional<Clock::time_point> deadline;
  if (hook.timeout) deadline = Clock::now() + std::chrono::seconds(*hook.timeout);
  auto output = collect(spawned, deadline);
  if (!output) {
    (void)spawned.process.signal(SIGKILL);
    (void)spawned.process.wait();
    return std::unexpected(std::move(output).error());
  }
  auto status = VPS_TRY(spawned.process.wait());
  if (status == ExitStatus{}) return {};
  while (output->ends_with('\n')) output->pop_back();
  std::string how = status.signal != 0 ? fmt::format("killed by signal {}", status.signal) : fmt::format("exit code {}", status.code);
  return fail(Code::kFailed, "{}{}{}", how, output->empty() ? "" : ": ", *output);
}

}  // namespace

std::string hook_state(const oci::Spec& spec, const std::string& id, const std::string& bundle, pid_t pid, std::string_view status) {
  nlohmann::json state{{"ociVersion", spec.oci_version}, {"id", id}, {"status", status}, {"bundle", bundle}};
  if (pid > 0) state["pid"] = pid;
  if (!spec.annotations.empty()) state["annotations"] = spec.annotations;
  return state.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<> run_hooks(const std::vector<oci::Hook>& hooks, const std::string& state_json) {
  for (const auto& hook : hooks) VPS_TRY_CTX(hook.path, run_hook(hook, state_json));
  return {};
}

Result<> run_runtime_hooks(const oci::Hooks& hooks, const std::string& state_json) {
  VPS_TRY_CTX("prestart hook", run_hooks(hooks.prestart, state_json));
  VPS_TRY_CTX("createRuntime hook", run_hooks(hooks.create_runtime, state_json));
  return {};
}

}  // namespace vps::runtime
