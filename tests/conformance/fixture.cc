#include "tests/conformance/fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <nlohmann/json.hpp>

#include "base/files.h"

namespace vps::test {

using nlohmann::json;

struct ConformanceTest::Config {
  json value;
};

namespace {

constexpr const char* kConfig = R"({
  "ociVersion": "1.0.2",
  "root": {"path": "rootfs"},
  "hostname": "inside",
  "process": {
    "user": {"uid": 0, "gid": 0}, "args": ["/probe"], "env": ["PATH=/"], "cwd": "/",
    "capabilities": {
      "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_MKNOD"], "effective": ["CAP_KILL", "CAP_CHOWN", "CAP_MKNOD"],
      "permitted": ["CAP_KILL", "CAP_CHOWN", "CAP_MKNOD"]}
  },
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}
  ],
  "linux": {
    "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}, {"type": "cgroup"}],
    "resources": {"devices": [{"allow": false, "access": "rwm"}]},
    "maskedPaths": ["/proc/keys", "/sys/firmware"],
    "readonlyPaths": ["/proc/sys"]
  }
})";

json strings(const std::vector<std::string>& values) { return json(values); }

}  // namespace

void ConformanceTest::SetUp() {
  const char* chosen = ::getenv("VPS_CONFORMANCE_RUNTIME");
  program_ = chosen != nullptr && *chosen != '\0' ? chosen : VPS_TEST_BIN_DIR "/vpsrun";
  id_ = random_hex(4);
  config_ = std::make_shared<Config>(Config{json::parse(kConfig)});
  set("/linux/cgroupsPath", "\"/" + cgroup_name() + "/c\"");
  for (const char* folder : {"", "/proc", "/dev", "/sys", "/etc", "/tmp"}) ASSERT_TRUE(make_dirs(rootfs(folder)));
  ASSERT_EQ(::chmod(temp_.path().c_str(), 0755), 0);  // users of other user namespaces pass through
  std::filesystem::copy_file(VPS_CONFORMANCE_PROBE, rootfs("/probe"));
  scope_ = {.cgroup_name = cgroup_name(), .root = temp_.path(), .file_trees = {path("run")}};
  auto before = take_snapshot(scope_);
  ASSERT_TRUE(before) << before.error().to_string();
  before_ = *before;
}

void ConformanceTest::TearDown() {
  if (auto ids = list_dir(path("run")))
    for (const auto& left : *ids) (void)runtime({"delete", "--force", left});
  auto left = check_leaks(scope_, before_);
  ASSERT_TRUE(left) << left.error().to_string();
  if (is_vpsrun()) {
    EXPECT_THAT(*left, testing::IsEmpty());
  }
  force_clean(scope_);
}

void ConformanceTest::set(const std::string& pointer, const std::string& text) {
  json::json_pointer at(pointer);
  if (pointer.ends_with("/-"))
    config_->value[at.parent_pointer()].push_back(json::parse(text));
  else
    config_->value[at] = json::parse(text);
}

void ConformanceTest::remove(const std::string& pointer) {
  json::json_pointer at(pointer);
  config_->value[at.parent_pointer()].erase(at.back());
}

void ConformanceTest::look(const std::vector<std::string>& looks) {
  json args = strings({"/probe"});
  for (const auto& entry : looks) args.push_back(entry);
  config_->value["process"]["args"] = args;
}

void ConformanceTest::add_mount(const std::string& destination, const std::string& type, const std::string& source,
                                const std::vector<std::string>& options) {
  config_->value["mounts"].push_back({{"destination", destination}, {"type", type}, {"source", source}, {"options", options}});
}

void ConformanceTest::use_user_namespace(std::uint32_t first) {
  set("/linux/namespaces/-", R"({"type": "user"})");
  json map = json::array({{{"containerID", 0}, {"hostID", first}, {"size", 1000}}});
  config_->value["linux"]["uidMappings"] = map;
  config_->value["linux"]["gidMappings"] = map;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(rootfs()))
    ASSERT_EQ(::lchown(entry.path().c_str(), first, first), 0);
  ASSERT_EQ(::lchown(rootfs().c_str(), first, first), 0);
}

void ConformanceTest::write_file(const std::string& name, const std::string& text, mode_t mode) {
  auto fd = open_path(path(name), O_WRONLY | O_CREAT | O_TRUNC, mode);
  ASSERT_TRUE(fd) << fd.error().to_string();
  ASSERT_TRUE(write_all(fd->get(), text));
}

void ConformanceTest::store_config() { write_file("bundle/config.json", config_->value.dump(1)); }

CommandResult ConformanceTest::runtime(std::vector<std::string> words, const CommandOptions& options) {
  words.insert(words.begin(), {program_, "--root", path("run")});
  auto result = vps::test::run(words, options);
  if (result) return *result;
  ADD_FAILURE() << result.error().to_string();
  return {};
}

CommandResult ConformanceTest::run() {
  store_config();
  return runtime({"run", "--bundle", path("bundle"), id_});
}

std::map<std::string, std::string> ConformanceTest::report() {
  auto result = run();
  EXPECT_EQ(result.code, 0) << result.describe();
  return parse_report(result.out);
}

std::map<std::string, std::string> ConformanceTest::parse_report(const std::string& text) {
  std::map<std::string, std::string> values;
  for (std::size_t begin = 0; begin < text.size();) {
    auto end = std::min(text.find('\n', begin), text.size());
    auto line = text.substr(begin, end - begin);
    begin = end + 1;
    auto equals = line.find('=');
    if (equals != std::string::npos) values[line.substr(0, equals)] = line.substr(equals + 1);
  }
  return values;
}

void ConformanceTest::start_waiting(const std::string& other) {
  look({"wait"});
  store_config();
  // Detached from our pipes: the command ends when nobody holds them any more.
  auto name = other.empty() ? id_ : other;
  auto result = vps::test::run({"/bin/sh", "-c", "exec \"$@\" </dev/null >" + path("out") + " 2>&1", "sh", program_, "--root", path("run"), "run",
                                "-d", "--bundle", path("bundle"), name});
  ASSERT_TRUE(result) << result.error().to_string();
  ASSERT_EQ(result->code, 0) << read_file(path("out")).value_or("");
  ASSERT_TRUE(eventually([&] { return read_file(path("out")).value_or("").find("waiting") != std::string::npos; }));
}

std::map<std::string, std::string> ConformanceTest::exec(std::vector<std::string> options, const std::vector<std::string>& looks) {
  options.insert(options.begin(), "exec");
  options.push_back(id_);
  options.push_back("/probe");
  options.insert(options.end(), looks.begin(), looks.end());
  auto result = runtime(options);
  EXPECT_EQ(result.code, 0) << result.describe();
  return parse_report(result.out);
}

Json ConformanceTest::state() {
  auto result = runtime({"state", id_});
  EXPECT_EQ(result.code, 0) << result.describe();
  auto parsed = Json::parse(result.out);
  EXPECT_TRUE(parsed) << result.describe();
  return parsed ? *parsed : *Json::parse("{}");
}

std::string ConformanceTest::cgroup_file(const std::string& controller, const std::string& v1, const std::string& v2) const {
  std::string old = "/sys/fs/cgroup/" + controller + "/" + cgroup_name() + "/c/" + v1;
  if (path_exists(old)) return read_file(old).value_or("");
  return read_file("/sys/fs/cgroup/" + cgroup_name() + "/c/" + v2).value_or("");
}

}  // namespace vps::test
