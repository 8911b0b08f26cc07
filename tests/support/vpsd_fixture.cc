#include "tests/support/vpsd_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/files.h"
#include "tests/support/template_cache.h"

extern char** environ;

namespace vps::test {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kStartTimeout{60};
constexpr std::chrono::seconds kStopTimeout{60};

// A datagram socket as systemd would offer it (sd_notify(3)).
Result<UniqueFd> bind_notify_socket(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "notify socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(Code::kUsage, "socket path too long: {}", path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  VPS_TRY(remove_file(path));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return fail_errno(errno, "bind {}", path);
  return fd;
}

// Until READY=1 arrives, or the process ends, or the time is over.
Result<> wait_ready(int socket, const PidFd& process) {
  auto deadline = Clock::now() + kStartTimeout;
  for (;;) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return fail(Code::kTimedOut, "vpsd does not say READY=1");
    pollfd waits[2] = {{socket, POLLIN, 0}, {process.fd(), POLLIN, 0}};
    if (::poll(waits, 2, static_cast<int>(left)) < 0 && errno != EINTR) return fail_errno(errno, "poll");
    if ((waits[0].revents & POLLIN) != 0) {
      char buffer[4096];
      ssize_t n = ::recv(socket, buffer, sizeof buffer, 0);
      if (n > 0 && std::string_view(buffer, static_cast<std::size_t>(n)).find("READY=1") != std::string_view::npos) return {};
      continue;
    }
    if (waits[1].revents != 0) return fail(Code::kFailed, "vpsd ended before it was ready");
  }
}

std::string tail(const std::string& text, std::size_t bytes) { return text.size() <= bytes ? text : "..." + text.substr(text.size() - bytes); }

const char* cannot_run() {
  if (::geteuid() != 0) return "needs root";
  for (const char* program : {"vpsd", "vpsctl", "vps-supervise"})
    if (::access(program_path(program).c_str(), X_OK) != 0) return "vpsd, vpsctl or vps-supervise is not part of this build";
  return nullptr;
}

}  // namespace

std::string program_path(const std::string& name) {
  const char* other = std::getenv("VPS_TEST_BIN");
  return std::string(other != nullptr ? other : VPS_TEST_BIN_DIR) + "/" + name;
}

Result<std::unique_ptr<Vpsd>> Vpsd::create(const std::string& extra_config) {
  std::unique_ptr<Vpsd> vpsd(new Vpsd);
  std::string tag = random_hex(4);
  // Beside the template cache: templates are placed by hard links.
  vpsd->root_ = TemplateCache::default_directory() + "/run-" + tag;
  vpsd->cgroup_name_ = "vps-test-" + tag;
  for (const auto& directory : {vpsd->state() + "/templates", vpsd->run_dir(), vpsd->root_ + "/etc"}) VPS_TRY(make_dirs(directory));
  std::string config = "stateDir: " + vpsd->state() + "\nrunDir: " + vpsd->run_dir() + "\nsocket: " + vpsd->socket() +
                       "\ncgroup: " + vpsd->cgroup_name_ + "\nsupervisor: " + program_path("vps-supervise") + "\nlogLevel: debug\n" + extra_config;
  VPS_TRY(write_file_atomic(vpsd->root_ + "/etc/vpsd.yaml", config));
  return vpsd;
}

Vpsd::~Vpsd() {
  if (running()) (void)kill();
  force_clean(leak_scope());
  (void)remove_tree(root_);
}

Result<> Vpsd::start(const std::map<std::string, std::string>& env) {
  std::string notify_path = root_ + "/notify.sock";
  auto notify = VPS_TRY(bind_notify_socket(notify_path));
  auto log = VPS_TRY(open_path(root_ + "/vpsd.log", O_WRONLY | O_CREAT | O_APPEND, 0644));

  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  environment.push_back("NOTIFY_SOCKET=" + notify_path);
  for (const auto& [key, value] : env) environment.push_back(key + "=" + value);
  std::vector<std::string> arguments = {program_path("vpsd"), "--config", root_ + "/etc/vpsd.yaml"};
  std::vector<char*> argv, envp;
  for (auto& argument : arguments) argv.push_back(argument.data());
  for (auto& entry : environment) envp.push_back(entry.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, log.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, log.get(), 2);
  pid_t pid = -1;
  int rc = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  if (rc != 0) return fail_errno(rc, "start vpsd");
  process_ = VPS_TRY(PidFd::open(pid));
  auto ready = wait_ready(notify.get(), process_);
  if (!ready) {
    auto error = fail(ready.error().code(), "{}; its log: {}", ready.error().to_string(), tail(this->log(), 4000));
    (void)kill();
    return error;
  }
  return {};
}

Result<ExitStatus> Vpsd::wait_exit(std::chrono::milliseconds timeout) {
  pollfd wait{process_.fd(), POLLIN, 0};
  if (::poll(&wait, 1, static_cast<int>(timeout.count())) <= 0) return fail(Code::kTimedOut, "vpsd does not end");
  auto status = VPS_TRY(process_.wait());
  process_ = PidFd();
  return status;
}

Result<ExitStatus> Vpsd::stop() {
  VPS_TRY(process_.signal(SIGTERM));
  return wait_exit(kStopTimeout);
}

Result<> Vpsd::kill() {
  VPS_TRY(process_.signal(SIGKILL));
  (void)VPS_TRY(wait_exit());
  return {};
}

Argv Vpsd::ctl_argv(const Argv& arguments) const {
  Argv argv = {program_path("vpsctl"), "--socket", socket()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

CommandResult Vpsd::ctl(const Argv& arguments, const CommandOptions& options) const {
  auto result = test::run(ctl_argv(arguments), options);
  if (result) return *result;
  CommandResult failed;
  failed.err = result.error().to_string();
  return failed;
}

Result<Process> Vpsd::ctl_start(const Argv& arguments, const CommandOptions& options) const {
  return Process::start(ctl_argv(arguments), options);
}

Result<Json> Vpsd::json(const Argv& arguments) const {
  Argv all = {"-o", "json"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  auto result = ctl(all);
  if (result.code != 0) return fail(Code::kFailed, "{}", result.describe());
  return Json::parse(result.out);
}

Result<> Vpsd::place_template(const std::string& recipe) const {
  return TemplateCache(TemplateCache::default_directory()).place(recipe, state() + "/templates");
}

std::string Vpsd::log() const {
  auto text = read_file(root_ + "/vpsd.log");
  return text ? *text : std::string();
}

LeakScope Vpsd::leak_scope() const {
  LeakScope scope;
  scope.cgroup_name = cgroup_name_;
  scope.root = root_;
  scope.file_trees = {root_};
  // What a daemon keeps for good: its ledger, id ranges, locks, caches, log and the templates.
  scope.ignored_files = {state() + "/ledger.db", state() + "/idmap", state() + "/templates", root_ + "/vpsd.log", root_ + "/notify.sock",
                         run_dir() + "/vpsd.", run_dir() + "/lock", run_dir() + "/net/", state() + "/lock", state() + "/cache"};
  scope.link_prefixes = {"vps"};
  return scope;
}

void VpsdTest::SetUp() {
  if (const char* reason = cannot_run()) GTEST_SKIP() << reason;
  auto vpsd = Vpsd::create();
  ASSERT_TRUE(vpsd) << vpsd.error().to_string();
  vpsd_ = std::move(*vpsd);
  prepare();
  for (const auto& name : templates_) {
    auto placed = vpsd_->place_template(name);
    ASSERT_TRUE(placed) << placed.error().to_string();
  }
  // The empty folders that every vpsd makes count as there from the start.
  auto first = vpsd_->start();
  ASSERT_TRUE(first) << first.error().to_string();
  auto snapshot = take_snapshot(vpsd_->leak_scope());
  ASSERT_TRUE(snapshot) << snapshot.error().to_string();
  before_ = *snapshot;
  before_.erase("process");  // vpsd itself: it has to be gone at the end
  std::erase_if(before_["child"], [&](const auto& child) { return child.first.starts_with(std::to_string(vpsd_->pid()) + " "); });
  remember_descriptors();
}

LeakScope VpsdTest::descriptor_scope() const {
  LeakScope scope;
  scope.daemon = vpsd_->pid();
  scope.children = false;  // vpsd is one
  return scope;
}

void VpsdTest::remember_descriptors() {
  // A first request makes it open what it opens lazily (time zone data, its pool's event descriptors).
  (void)vpsd_->ctl({"list", "-a"});
  warm_up();
  auto snapshot = take_snapshot(descriptor_scope());
  descriptors_ = snapshot ? *snapshot : LeakSnapshot{};
}

void VpsdTest::restart_vpsd(const std::map<std::string, std::string>& env) {
  auto started = vpsd_->start(env);
  ASSERT_TRUE(started) << started.error().to_string();
  // VPSes that live hold descriptors in vpsd from now on; only a fresh start without any has a base to compare with.
  descriptors_.clear();
}

void VpsdTest::TearDown() {
  if (!vpsd_) return;
  if (vpsd_->running()) {
    if (auto list = vpsd_->json({"list", "-a"})) {
      for (const auto& vps : list->items()) {
        auto destroyed = vpsd_->ctl({"destroy", "--force", vps.string("/id")});
        EXPECT_EQ(destroyed.code, 0) << destroyed.describe();
      }
    } else {
      ADD_FAILURE() << list.error().to_string();
    }
    if (!descriptors_.empty()) {
      auto left = check_leaks(descriptor_scope(), descriptors_);
      EXPECT_TRUE(left && left->empty()) << "descriptors left open in vpsd: " << ::testing::PrintToString(left.value_or(std::vector<std::string>{}));
    }
    auto status = vpsd_->stop();
    EXPECT_TRUE(status) << (status ? "" : status.error().to_string());
    EXPECT_EQ(status ? status->shell_code() : -1, 0) << "vpsd did not end well";
  }
  auto left = check_leaks(vpsd_->leak_scope(), before_);
  EXPECT_TRUE(left && left->empty()) << "left over: " << ::testing::PrintToString(left.value_or(std::vector<std::string>{}));
  if (HasFailure()) std::fprintf(stderr, "vpsd's log:\n%s\n", tail(vpsd_->log(), 12'000).c_str());
  vpsd_.reset();
}

CommandResult VpsdTest::ctl(const Argv& arguments, int expected, const CommandOptions& options) {
  auto result = vpsd_->ctl(arguments, options);
  EXPECT_EQ(result.code, expected) << result.describe();
  return result;
}

Json VpsdTest::json(const Argv& arguments) {
  auto value = vpsd_->json(arguments);
  if (value) return *value;
  ADD_FAILURE() << value.error().to_string();
  return *Json::parse("null");
}

std::string VpsdTest::state_of(const std::string& id) { return json({"show", id}).string("/status/state"); }

void VpsdTest::make_vps(const std::string& id, bool start, const Argv& more) {
  Argv arguments = {"create", id, "--template", "busybox", "--ip", "none"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  ctl(arguments);
  if (start) ctl({"start", "--wait", id});
}

Json VpsdTest::wait_event(const std::string& type, const std::string& id, std::chrono::milliseconds timeout) {
  auto events = vpsd_->ctl_start({"-o", "json", "events", "-f", "--since", "0"});
  Json none = *Json::parse("null");
  if (!events) {
    ADD_FAILURE() << events.error().to_string();
    return none;
  }
  auto deadline = Clock::now() + timeout;
  std::size_t parsed = 0;
  for (;;) {
    const std::string& out = events->out();
    for (std::size_t end; (end = out.find('\n', parsed)) != std::string::npos; parsed = end + 1) {
      auto event = Json::parse(std::string_view(out).substr(parsed, end - parsed));
      if (event && event->string("/type") == type && event->string("/vps") == id) return *event;
    }
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    auto more = left.count() <= 0 ? Result<>(fail(Code::kTimedOut, "time is over")) : events->read_more(left);
    if (!more) {
      ADD_FAILURE() << "no event " << type << " of " << id << ": " << more.error().to_string() << "\n" << out;
      return none;
    }
  }
}

}  // namespace vps::test
