#include "tests/interop/engine.h"

#include <net/if.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "base/files.h"

namespace vps::test {
namespace {

constexpr std::chrono::seconds kDaemonTimeout{60};

std::string environment(const char* name) {
  const char* value = ::getenv(name);
  return value != nullptr ? value : "";
}

bool in_path(const std::string& program) {
  for (const char* folder : {"/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"})
    if (::access((folder + program).c_str(), X_OK) == 0) return true;
  return false;
}

std::string tail(const std::string& text, std::size_t bytes) { return text.size() <= bytes ? text : "..." + text.substr(text.size() - bytes); }

Result<> write_text(const std::string& path, const std::string& text, mode_t mode = 0644) {
  auto fd = VPS_TRY(open_path(path, O_WRONLY | O_CREAT | O_TRUNC, mode));
  return write_all(fd.get(), text);
}

Result<std::string> output_of(const Argv& argv) {
  auto result = VPS_TRY(run(argv));
  if (result.code != 0) return fail(Code::kFailed, "{}", result.describe());
  return result.out;
}

// Kills what a failed engine has left running; the snapshot's names begin with the pid.
void end_processes(const LeakSnapshot& snapshot) {
  auto found = snapshot.find("process");
  if (found == snapshot.end()) return;
  for (const auto& [name, count] : found->second)
    if (auto process = PidFd::open(static_cast<pid_t>(std::atoi(name.c_str())))) (void)process->signal(SIGKILL);
}

}  // namespace

Engine::Engine(std::vector<std::string> programs) : cgroup_name_("vps-test-" + random_hex(4)) {
  // Short: sockets lie in it.
  std::string pattern = "/tmp/vpsi-XXXXXX";
  root_ = ::mkdtemp(pattern.data());
  (void)::chmod(root_.c_str(), 0755);  // users of other user namespaces pass through
  problem_ = isolation_problem();
  for (const auto& program : programs)
    if (problem_.empty() && !in_path(program)) problem_ = program + " is not installed (tools/packages.sh install interop)";
  if (problem_.empty() && ::access(runtime().c_str(), X_OK) != 0) problem_ = runtime() + " is not there";
  if (!problem_.empty()) return;
  if (::chdir(root_.c_str()) != 0) problem_ = "cannot go to " + root_;  // conmon notes an out-of-memory kill in a file where it was started
  auto made = make_layer();
  if (!made) problem_ = "cannot make an image: " + made.error().to_string();
}

Engine::~Engine() {
  daemon_.reset();
  auto scope = leak_scope();
  if (auto left = take_snapshot(scope)) end_processes(*left);
  force_clean(scope);
  if (::chdir("/") == 0) (void)remove_tree(root_);
}

std::string Engine::runtime() {
  if (auto chosen = environment("VPS_INTEROP_RUNTIME"); !chosen.empty()) return chosen;
  auto folder = environment("VPS_TEST_BIN");
  return (folder.empty() ? VPS_TEST_BIN_DIR : folder) + "/vpsrun";
}

bool Engine::is_vpsrun() { return runtime().ends_with("/vpsrun"); }

Result<> Engine::make_layer() const {
  auto tree = path("rootfs");
  for (const char* folder : {"/bin", "/etc", "/proc", "/sys", "/dev", "/tmp", "/run", "/root", "/var", "/home"}) VPS_TRY(make_dirs(tree + folder));
  if (::chmod((tree + "/tmp").c_str(), 01777) != 0) return fail_errno(errno, "chmod");
  VPS_TRY(output_of({"cp", "/bin/busybox", tree + "/bin/busybox"}));
  std::istringstream commands(VPS_TRY(output_of({"/bin/busybox", "--list"})));
  for (std::string name; std::getline(commands, name);)
    if (name != "busybox" && ::symlink("busybox", (tree + "/bin/" + name).c_str()) != 0) return fail_errno(errno, "link {}", name);
  VPS_TRY(write_text(tree + "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n"));
  VPS_TRY(write_text(tree + "/etc/group", "root:x:0:\nuser:x:1000:\ntape:x:26:user\n"));
  VPS_TRY(output_of({"tar", "-C", tree, "--sort=name", "--numeric-owner", "-cf", layer(), "."}));
  return {};
}

Result<> Engine::start_daemon(const Argv& argv, const std::function<bool()>& ready) {
  // Not on our pipes: nobody reads them, and what the daemon starts would hold them.
  Argv words{"/bin/sh", "-c", "exec \"$@\" </dev/null >>" + path("log") + " 2>&1", "sh"};
  words.insert(words.end(), argv.begin(), argv.end());
  daemon_.emplace(VPS_TRY(Process::start(words)));
  auto process = VPS_TRY(PidFd::open(daemon_->pid()));
  bool up = eventually([&] { return !process.alive() || ready(); }, kDaemonTimeout);
  if (!up || !process.alive()) return fail(Code::kFailed, "{} {}:\n{}", argv[0], up ? "ended" : "is not ready", log());
  return {};
}

Result<ExitStatus> Engine::stop_daemon() {
  if (!daemon_) return ExitStatus{};
  VPS_TRY(daemon_->signal(SIGTERM));
  auto result = VPS_TRY(daemon_->finish(kDaemonTimeout));
  daemon_.reset();
  return ExitStatus{.code = result.code};
}

std::string Engine::log() const { return tail(read_file(path("log")).value_or(""), 4000); }

LeakScope Engine::leak_scope() const { return {.cgroup_name = cgroup_name_, .root = root_, .file_trees = records_, .children = false}; }

LeakSnapshot Engine::snapshot() const {
  LeakSnapshot result;
  if (auto taken = take_snapshot(leak_scope())) result = *taken;
  // sysfs shows the links of the namespace that mounted it, not ours.
  if (auto* links = ::if_nameindex()) {
    for (auto* link = links; link->if_index != 0; ++link) ++result["link"][link->if_name];
    ::if_freenameindex(links);
  }
  return result;
}

std::vector<std::string> Engine::left_at_end() const {
  std::vector<std::string> left;
  (void)eventually([&] {
    auto now = snapshot();
    now["link"].clear();  // an engine's bridges go with the namespace
    now.erase("file");
    left = leftovers({}, now);
    return left.empty();
  }, std::chrono::seconds(5));
  return left;
}

std::unique_ptr<Engine> EngineTest::engine_;

void EngineTest::open_suite(std::vector<std::string> programs) { engine_ = std::make_unique<Engine>(std::move(programs)); }

void EngineTest::close_suite() { engine_.reset(); }

void EngineTest::SetUp() {
  if (!engine().problem().empty()) GTEST_SKIP() << engine().problem();
  before_ = engine().snapshot();
}

void EngineTest::TearDown() {
  if (!engine().problem().empty() || IsSkipped()) return;
  std::vector<std::string> left;
  (void)eventually([&] {
    left = leftovers(before_, engine().snapshot());
    // What the first exec notes down of a container that several tests share: gone with the container.
    std::erase_if(left, [](const std::string& what) { return what.starts_with("file: ") && what.ends_with("/config.json.exec"); });
    return left.empty();
  }, std::chrono::seconds(10));
  EXPECT_THAT(left, testing::IsEmpty()) << "left over by the test";
}

CommandResult EngineTest::run_expecting(int code, const Argv& argv, const CommandOptions& options) {
  auto result = run(argv, options);
  if (!result) {
    ADD_FAILURE() << result.error().to_string();
    return {};
  }
  EXPECT_EQ(result->code, code) << result->describe();
  return *result;
}

std::string group_file(const std::string& group, const std::string& controller, const std::string& v1, const std::string& v2) {
  if (path_exists("/sys/fs/cgroup/" + controller)) return read_file("/sys/fs/cgroup/" + controller + group + "/" + v1).value_or("");
  return read_file("/sys/fs/cgroup" + group + "/" + v2).value_or("");
}

}  // namespace vps::test
