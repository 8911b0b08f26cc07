#include "storage/run_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <deque>
#include <optional>

#include "base/files.h"
#include "base/pidfd.h"
#include "base/units.h"
#include "storage/recipes.h"
#include "storage/text.h"

namespace vps::storage {
namespace {

constexpr int kCancelCheckMs = 250;  // how long a silent program may go on after a cancel
constexpr std::size_t kMaxLine = 4096;

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail_errno(errno, "make a pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const auto& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// The attributes and actions of posix_spawn(3), freed in every case.
struct SpawnSetup {
  posix_spawnattr_t attributes{};
  posix_spawn_file_actions_t actions{};
  SpawnSetup() {
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_init(&actions);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
  ~SpawnSetup() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
};

Result<PidFd> spawn(const std::vector<std::string>& argv, const std::vector<std::string>& environment, int output,
                    bool with_stderr) {
  SpawnSetup setup;
  sigset_t all{}, none{};
  ::sigfillset(&all);
  ::sigemptyset(&none);
  // The daemon's ignored and blocked signals are not its children's; its own group, so that a ^C at the daemon's terminal
  // reaches only the daemon.
  ::posix_spawnattr_setsigdefault(&setup.attributes, &all);
  ::posix_spawnattr_setsigmask(&setup.attributes, &none);
  ::posix_spawnattr_setpgroup(&setup.attributes, 0);
  ::posix_spawnattr_setflags(&setup.attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  ::posix_spawn_file_actions_addopen(&setup.actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&setup.actions, output, 1);
  if (with_stderr)
    ::posix_spawn_file_actions_adddup2(&setup.actions, output, 2);
  else
    ::posix_spawn_file_actions_addopen(&setup.actions, 2, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addchdir_np(&setup.actions, "/");
  auto args = pointers(argv), env = pointers(environment);
  pid_t pid = -1;
  if (int err = ::posix_spawn(&pid, args[0], &setup.actions, &setup.attributes, args.data(), env.data()); err != 0)
    return fail_errno(err, "start {}", argv[0]);
  // The child is ours and not yet waited for: its number is still its own.
  return PidFd::open(pid);
}

// With unshare --fork the program is the only child of what we started; its death, as pid 1 of the namespace, is complete
// only when every process of the namespace is gone (pid_namespaces(7)).
Result<> kill_all(const PidFd& child) {
  std::optional<PidFd> inner;
  auto children = read_file(fmt::format("/proc/{0}/task/{0}/children", child.pid()));
  if (children) {
    auto pid = parse_u64(children->substr(0, children->find(' ')));
    if (pid)
      if (auto opened = PidFd::open(static_cast<pid_t>(*pid)); opened) inner = std::move(*opened);
  }
  if (inner) VPS_TRY(inner->signal(SIGKILL));
  VPS_TRY(child.signal(SIGKILL));
  VPS_TRY(child.wait());
  if (inner) {
    pollfd end{.fd = inner->fd(), .events = POLLIN, .revents = 0};
    while (::poll(&end, 1, -1) < 0 && errno == EINTR) {}
  }
  return {};
}

class Lines {
 public:
  Lines(std::size_t kept, const Progress& progress) : kept_(kept), progress_(progress) {}

  Result<> add(std::string_view data) {
    for (char c : data) {
      if (c == '\n' || c == '\r' || line_.size() >= kMaxLine) {
        VPS_TRY(flush());
        if (c == '\n' || c == '\r') continue;
      }
      line_ += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
    return {};
  }
  Result<> flush() {
    if (line_.empty()) return {};
    last_.push_back(std::exchange(line_, {}));
    if (last_.size() > kept_) last_.pop_front();
    return report(progress_, last_.back());
  }
  [[nodiscard]] std::string tail() const { return join(last_, "; "); }

 private:
  std::size_t kept_;
  const Progress& progress_;
  std::string line_;
  std::deque<std::string> last_;
};

// Until the output's end or the program's, whichever comes first: a daemon that it left behind may keep the pipe open.
Result<> listen(const PidFd& child, int output, Lines& lines, const Progress& progress) {
  char buffer[8192];
  while (true) {
    pollfd fds[2] = {{.fd = output, .events = POLLIN, .revents = 0}, {.fd = child.fd(), .events = POLLIN, .revents = 0}};
    int ready = ::poll(fds, 2, kCancelCheckMs);
    if (ready < 0 && errno != EINTR) return fail_errno(errno, "poll");
    if (ready == 0) VPS_TRY(report(progress, ""));
    if (ready <= 0) continue;
    if (fds[0].revents != 0) {
      ssize_t n = ::read(output, buffer, sizeof buffer);
      if (n < 0 && errno != EINTR && errno != EAGAIN) return fail_errno(errno, "read the output");
      if (n == 0) return lines.flush();
      if (n > 0) VPS_TRY(lines.add({buffer, static_cast<std::size_t>(n)}));
      continue;
    }
    if (fds[1].revents != 0) return lines.flush();
  }
}

Result<std::vector<std::string>> isolated_argv(const ProgramRun& run) {
  auto setpriv = VPS_TRY(find_program(run.search_path, "setpriv", "util-linux"));
  auto unshare = VPS_TRY(find_program(run.search_path, "unshare", "util-linux"));
  std::vector<std::string> argv = {setpriv,   "--pdeathsig",  "KILL",        "--", unshare, "--mount", "--pid", "--fork",
                                   "--mount-proc", "--kill-child=KILL", "--"};
  argv.insert(argv.end(), run.argv.begin(), run.argv.end());
  return argv;
}

std::string describe(const ExitStatus& status) {
  return status.signal != 0 ? fmt::format("killed by signal {}", status.signal) : fmt::format("exit code {}", status.code);
}

}  // namespace

Result<> run_program(const ProgramRun& run, const Progress& progress) {
  auto argv = run.isolated ? VPS_TRY(isolated_argv(run)) : run.argv;
  auto pipe = VPS_TRY(make_pipe());
  auto child = VPS_TRY(spawn(argv, run.environment, pipe.write.get(), true));
  pipe.write.reset();
  Lines lines(run.kept_lines, progress);
  if (auto heard = listen(child, pipe.read.get(), lines, progress); !heard) {
    VPS_TRY(kill_all(child));
    return heard;
  }
  auto status = VPS_TRY(child.wait());
  if (status == ExitStatus{}) return {};
  auto tail = lines.tail();
  return fail(Code::kFailed, "{}: {}{}{}", run.argv[0], describe(status), tail.empty() ? "" : ": ", tail);
}

Result<std::string> program_output(const ProgramRun& run, std::size_t limit) {
  auto pipe = VPS_TRY(make_pipe());
  auto child = VPS_TRY(spawn(run.argv, run.environment, pipe.write.get(), false));
  pipe.write.reset();
  auto data = read_fd(pipe.read.get(), limit);
  if (!data) VPS_TRY(child.signal(SIGKILL));
  auto status = VPS_TRY(child.wait());
  if (!data) return std::unexpected(std::move(data).error().wrap(run.argv[0]));
  if (status != ExitStatus{}) return fail(Code::kFailed, "{}: {}", run.argv[0], describe(status));
  return data;
}

Result<std::string> find_program(const std::string& search_path, const std::string& name, std::string_view package) {
  for (std::size_t pos = 0; pos <= search_path.size();) {
    auto end = std::min(search_path.find(':', pos), search_path.size());
    std::string path = search_path.substr(pos, end - pos) + "/" + name;
    pos = end + 1;
    struct stat st{};
    if (::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && ::access(path.c_str(), X_OK) == 0) return path;
  }
  return fail(Code::kUnavailable, "{} is not on this host: install the package {}", name, package);
}

}  // namespace vps::storage
