// vpsd: options, log, signals; everything else is in daemon.h.
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "base/failpoint.h"
#include "base/files.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/notify.h"

namespace {

using namespace vps;
using namespace vps::daemon;

struct Arguments {
  std::string config_file, state_dir, run_dir, etc_dir = "/etc/vps", socket, cgroup, supervisor, pid_file, log_file, log_level;
  bool daemonize = false, foreground = false, no_autostart = false, check = false;
};

// CLI11 exits by exception; the result is the exit code, or nullopt to go on.
std::optional<int> parse_arguments(int argc, char** argv, Arguments& a) {
  CLI::App app("The daemon of a VPS host: see vpsd(8).", "vpsd");
  app.add_option("--config", a.config_file, "configuration file (default: ETC/vpsd.yaml)");
  app.add_option("--etc-dir", a.etc_dir, "where configuration is (default: /etc/vps)");
  app.add_option("--state-dir", a.state_dir, "durable state (default: /var/lib/vps)");
  app.add_option("--run-dir", a.run_dir, "state of this boot (default: /run/vps)");
  app.add_option("--socket", a.socket, "socket of the API (default: RUN/vpsd.sock)");
  app.add_option("--cgroup-name", a.cgroup, "folder of our cgroups in each hierarchy (default: vps)");
  app.add_option("--supervisor", a.supervisor, "program that supervises a VPS (default: vps-supervise beside the installation)");
  app.add_flag("--daemon", a.daemonize, "go to the background once requests are served");
  app.add_flag("--foreground", a.foreground, "stay (the default)")->excludes("--daemon");
  app.add_option("--pid-file", a.pid_file, "write our pid there (with --daemon: RUN/vpsd.pid)");
  app.add_option("--log-level", a.log_level, "debug, info, warning or error");
  app.add_option("--log-file", a.log_file, "log there (with --daemon: STATE/log/vpsd.log; else stderr)");
  app.add_flag("--no-autostart", a.no_autostart, "do not start what is onboot");
  app.add_flag("--check-config", a.check, "read the configuration, say what is wrong, and end");
  app.set_version_flag("--version", std::string("vpsd ") + VPS_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(e);
    std::fprintf(stderr, "vpsd: %s\n", e.what());
    return static_cast<int>(Code::kUsage);
  }
  return std::nullopt;
}

Result<Config> configuration(const Arguments& a) {
  auto config = VPS_TRY(load_config(a.config_file.empty() ? a.etc_dir + "/vpsd.yaml" : a.config_file));
  if (!a.config_file.empty() && !path_exists(a.config_file)) return fail(Code::kNotFound, "no configuration file {}", a.config_file);
  config.roots.config = a.etc_dir;
  if (!a.state_dir.empty()) config.roots.state = a.state_dir;
  if (!a.run_dir.empty()) config.roots.run = a.run_dir;
  if (!a.cgroup.empty()) config.roots.cgroup_name = a.cgroup;
  if (!a.socket.empty()) config.socket = a.socket;
  if (!a.supervisor.empty()) config.supervisor = a.supervisor;
  if (!a.log_level.empty()) config.log_level = VPS_TRY_CTX("--log-level", parse_log_level(a.log_level));
  for (const auto* path : {&config.roots.state, &config.roots.run, &config.roots.config})
    if (!path->starts_with('/')) return fail(Code::kUsage, "expected an absolute path, found '{}'", *path);
  return config;
}

Result<> open_log(const Arguments& a, const Config& config) {
  std::string file = a.log_file;
  if (file.empty() && a.daemonize) file = config.roots.state + "/log/vpsd.log";
  std::shared_ptr<spdlog::logger> logger;
  try {
    if (file.empty()) {
      logger = spdlog::stderr_logger_mt("vpsd");
      // A service manager stamps the lines itself.
      logger->set_pattern(::getenv("JOURNAL_STREAM") != nullptr ? "%l: %v" : "%Y-%m-%dT%H:%M:%S.%e %l: %v");
    } else {
      if (auto slash = file.rfind('/'); slash != std::string::npos && slash > 0) VPS_TRY(make_dirs(file.substr(0, slash), 0750));
      constexpr std::size_t kMaxLog = 10u << 20;
      constexpr std::size_t kLogs = 3;
      logger = spdlog::rotating_logger_mt("vpsd", file, kMaxLog, kLogs);
      logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l: %v");
      logger->flush_on(spdlog::level::info);
    }
  } catch (const spdlog::spdlog_ex& e) {
    return fail(Code::kFailed, "open the log: {}", e.what());
  }
  logger->set_level(spdlog::level::debug);
  log::set_sink(
      [logger](log::Level level, std::string_view message) {
        static constexpr std::array kLevels = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn, spdlog::level::err};
        logger->log(kLevels[static_cast<std::size_t>(level)], spdlog::string_view_t(message.data(), message.size()));
      },
      config.log_level);
  return {};
}

// The parent of a --daemon waits here for the word of the one that serves: nothing is good, a text is the error.
int await_background(UniqueFd report, pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  auto text = read_fd(report.get());
  if (text && *text == "ready") return 0;
  std::fprintf(stderr, "vpsd: %s\n", text && !text->empty() ? text->c_str() : "it ended before it was ready; see its log");
  return 1;
}

// Before any thread exists. Returns only in the background process, or with the exit code of the foreground one.
Result<std::optional<int>> go_to_background(UniqueFd* report) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, "fork");
  if (child > 0) {
    writer.reset();
    return std::optional(await_background(std::move(reader), child));
  }
  ::setsid();
  pid_t second = ::fork();  // no session leader: no terminal can become ours
  if (second != 0) ::_exit(second < 0 ? 1 : 0);
  auto null = VPS_TRY(open_path("/dev/null", O_RDWR));
  for (int fd = 0; fd < 3; ++fd) ::dup2(null.get(), fd);
  if (::chdir("/") != 0) return fail_errno(errno, "chdir /");
  *report = std::move(writer);
  return std::optional<int>();
}

void prepare_process() {
  ::umask(022);
  ::signal(SIGPIPE, SIG_IGN);
  // One connection per VPS, and descriptors for cgroups on top.
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  // Many threads that mostly wait: small stacks, few arenas.
  constexpr std::size_t kStack = 1u << 20;
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) == 0) {
    ::pthread_attr_setstacksize(&attributes, kStack);
    ::pthread_setattr_default_np(&attributes);
    ::pthread_attr_destroy(&attributes);
  }
  ::mallopt(M_ARENA_MAX, 4);
}

// Until somebody wants us to go. The signals are blocked in all threads, so they wait for us here.
void wait_for_signal(const sigset_t& signals) {
  while (true) {
    int signo = 0;
    if (::sigwait(&signals, &signo) != 0) continue;
    if (signo == SIGHUP) {
      log::info("hang-up ignored; restart vpsd to read its configuration again");
      continue;
    }
    log::info("signal {}: leaving; what runs goes on", signo);
    return;
  }
}

// `report`: where the parent of a --daemon waits; closed once it has been told, so that it sees the end.
Result<> serve(const Arguments& a, const Config& config, UniqueFd& report) {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signo : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signo);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Daemon::Options options;
  options.config = config;
  options.host = VPS_TRY_CTX("cgroups", cgroups::Host::discover({.probe = true, .unified_leaf = kPayloadGroup}));
  options.autostart = !a.no_autostart;
  auto daemon = VPS_TRY(Daemon::start(std::move(options)));
  std::string pid_file = a.pid_file;
  if (pid_file.empty() && a.daemonize) pid_file = config.roots.run + "/vpsd.pid";
  if (!pid_file.empty()) VPS_TRY(write_file_atomic(pid_file, std::to_string(::getpid()) + "\n"));
  log::info("vpsd {} serves {}", VPS_VERSION, config.socket_path());
  notify_service_manager("READY=1\nSTATUS=serving");
  if (report) {
    VPS_TRY(write_all(report.get(), "ready"));
    report.reset();
  }

  wait_for_signal(signals);
  notify_service_manager("STOPPING=1");
  // What hangs (a dead disk, say) must not keep us: everything is made to survive our sudden end.
  constexpr unsigned kPatience = 20;
  ::alarm(kPatience);
  daemon->stop();
  ::alarm(0);
  if (!pid_file.empty()) (void)remove_file(pid_file);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (auto code = parse_arguments(argc, argv, arguments)) return *code;
  auto fail_with = [](const Error& error) {
    std::fprintf(stderr, "vpsd: %s\n", error.to_string().c_str());
    return static_cast<int>(error.code());
  };
  auto config = configuration(arguments);
  if (!config) return fail_with(config.error());
  if (arguments.check) return 0;
  const char* failpoints = ::getenv("VPS_FAILPOINTS");
  if (auto set = failpoint::configure(failpoints != nullptr ? failpoints : ""); !set) return fail_with(set.error());

  UniqueFd report;
  if (arguments.daemonize) {
    auto background = go_to_background(&report);
    if (!background) return fail_with(background.error());
    if (*background) return **background;
  }
  auto outcome = [&]() -> Result<> {
    VPS_TRY(open_log(arguments, *config));
    prepare_process();
    return serve(arguments, *config, report);
  }();
  if (outcome) return 0;
  log::error("{}", outcome.error().to_string());
  if (report) (void)write_all(report.get(), outcome.error().to_string());
  return static_cast<int>(outcome.error().code());
}
