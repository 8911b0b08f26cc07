#include "tests/interop/podman.h"

#include <sys/mount.h>

#include "base/files.h"

namespace vps::test {
namespace {

// Limits below those of a host without CAP_SYS_RESOURCE; no journal; networks without a helper from outside.
constexpr const char* kConfiguration = R"([containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[engine]
events_logger = "file"
[network]
network_backend = "netavark"
)";

// Signals are taken before the first line is out.
constexpr const char* kWaiting = "trap 'exit 3' TERM; trap 'echo usr1' USR1; sleep 100000 & echo ready; while :; do wait; done";

// The id ranges that podman hands out: files of our own stand in for the host's in this mount namespace.
void stand_in_for_id_ranges(Engine& engine) {
  for (const char* name : {"subuid", "subgid"}) {
    auto file = engine.path(name), target = std::string("/etc/") + name;
    auto written = write_file_atomic(file, fmt::format("containers:700000:65536\n{}:800000:65536\n", kUser));
    if (!written || ::mount(file.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0) engine.set_problem("cannot put a file of our own over " + target);
  }
}

// The host's users and one more.
void stand_in_for_users(Engine& engine) {
  const std::pair<const char*, std::string> files[] = {
      {"/etc/passwd", fmt::format("{0}:x:{1}:{1}::{2}:/bin/sh\n", kUser, kUserId, engine.path("home"))},
      {"/etc/group", fmt::format("{}:x:{}:\n", kUser, kUserId)}};
  for (const auto& [target, line] : files) {
    auto file = engine.path(target + 5);
    auto written = write_file_atomic(file, read_file(target).value_or("") + line);
    if (!written || ::mount(file.c_str(), target, nullptr, MS_BIND, nullptr) != 0) engine.set_problem(std::string("cannot put a file of our own over ") + target);
  }
}

}  // namespace

std::map<std::string, std::string> Podman::environment() { return {{"CONTAINERS_CONF", engine().path("containers.conf")}, {"LC_ALL", "C"}}; }

Argv Podman::argv(const Argv& words) {
  Argv all{"/usr/bin/podman", "--root", engine().path("storage"), "--runroot", engine().path("runroot"), "--tmpdir", engine().path("tmpdir"),
           "--network-config-dir", engine().path("networks"), "--cgroup-manager", "cgroupfs", "--storage-driver", "overlay", "--runtime", Engine::runtime()};
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

CommandResult Podman::podman(int code, const Argv& words, const CommandOptions& options) {
  auto with = options;
  with.env.merge(environment());
  return run_expecting(code, argv(words), with);
}

Argv Podman::run_words(const Argv& options) {
  Argv words{"run", "--cgroup-parent", engine().cgroup(), "--network", "none"};
  words.insert(words.end(), options.begin(), options.end());
  words.emplace_back(kImage);
  return words;
}

CommandResult Podman::run_once(int code, const Argv& options, const std::string& script) {
  auto words = run_words(options);
  words.insert(words.begin() + 1, "--rm");
  for (const auto& word : {std::string("sh"), std::string("-c"), script}) words.push_back(word);
  return podman(code, words);
}

std::string Podman::inspect(const std::string& name, const std::string& field) {
  auto text = podman(0, {"inspect", "--format", "{{" + field + "}}", name}).out;
  return text.substr(0, text.find('\n'));
}

void Podman::start(const std::string& name, const Argv& options) {
  Argv all{"-d", "--name", name};
  all.insert(all.end(), options.begin(), options.end());
  auto words = run_words(all);
  for (const char* word : {"sh", "-c", kWaiting}) words.emplace_back(word);
  podman(0, words);
  EXPECT_TRUE(eventually([&] { return podman(0, {"logs", name}).out.find("ready\n") != std::string::npos; })) << name;
}

void Podman::remove(const std::string& name) { podman(0, {"rm", "-f", "-t", "0", name}); }

void Podman::SetUpTestSuite() {
  open_suite({"podman", "conmon", "busybox", "tar"});
  if (!engine().problem().empty()) return;
  if (Engine::is_vpsrun()) engine().watch_records("/run/vpsrun");  // podman gives no --root
  auto written = write_file_atomic(engine().path("containers.conf"), kConfiguration);
  ASSERT_TRUE(written) << written.error().to_string();
  stand_in_for_id_ranges(engine());
  stand_in_for_users(engine());
  podman(0, {"import", engine().layer(), kImage});
  start(kShared, {"--memory", "64m", "--hostname", "inside"});
}

void Podman::TearDownTestSuite() {
  if (engine().problem().empty()) {
    remove(kShared);
    podman(0, {"rmi", "-a", "-f"});
    for (const char* name : {"/etc/subuid", "/etc/subgid", "/etc/passwd", "/etc/group"}) (void)::umount(name);
    // The storage driver's mount of itself, conmon's group.
    force_clean(engine().leak_scope());
    EXPECT_THAT(engine().left_at_end(), testing::IsEmpty());
  }
  close_suite();
}

void Podman::TearDown() {
  if (engine().problem().empty() && HasFailure()) {
    // What a failed test has not removed would fail the next ones.
    auto names = podman(0, {"ps", "-a", "--format", "{{.Names}}"}).out;
    for (std::size_t begin = 0; begin < names.size();) {
      auto end = std::min(names.find('\n', begin), names.size());
      auto name = names.substr(begin, end - begin);
      begin = end + 1;
      if (name != kShared) (void)run(argv({"rm", "-f", "-t", "0", name}), {.env = environment()});
    }
  }
  EngineTest::TearDown();
}

}  // namespace vps::test
