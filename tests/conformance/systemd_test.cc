// Cgroups made by systemd (--systemd-cgroup, --cgroup-manager systemd). The host's own root, under a throw-away layer, is booted
// with systemd as the first process of a container; vpsrun then runs inside.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "base/files.h"
#include "tests/conformance/fixture.h"

namespace vps::test {
namespace {

using testing::HasSubstr;

class SystemdCgroups : public ConformanceTest {
 protected:
  void SetUp() override {
    ConformanceTest::SetUp();
    if (!is_vpsrun()) GTEST_SKIP() << "the runtime under test is the outer one as well";
    if (!path_exists("/lib/systemd/systemd")) GTEST_SKIP() << "systemd is not installed";
    ASSERT_TRUE(make_dirs(path("layers")));
    ASSERT_EQ(::mount("tmpfs", path("layers").c_str(), "tmpfs", 0, "size=200m"), 0);
    for (const char* name : {"layers/up", "layers/work", "system/rootfs"}) ASSERT_TRUE(make_dirs(path(name)));
    auto options = "lowerdir=/,upperdir=" + path("layers/up") + ",workdir=" + path("layers/work");
    ASSERT_EQ(::mount("overlay", path("system/rootfs").c_str(), "overlay", 0, options.c_str()), 0);
    boot();
  }
  void TearDown() override {
    (void)runtime({"delete", "--force", "system"});
    ::umount2(path("system/rootfs").c_str(), MNT_DETACH);
    ::umount2(path("layers").c_str(), MNT_DETACH);
    ConformanceTest::TearDown();
  }

  CommandResult inside(std::vector<std::string> words) {
    words.insert(words.begin(), {"exec", "system"});
    return runtime(words);
  }
  CommandResult vpsrun(std::vector<std::string> words) {
    words.insert(words.begin(), {program(), "--root", "/run/inner", "--systemd-cgroup"});
    return inside(words);
  }
  std::string property(const std::string& unit, const std::string& name) {
    auto text = inside({"systemctl", "show", unit, "--value", "-p", name}).out;
    while (text.ends_with('\n')) text.pop_back();
    return text;
  }

 private:
  void boot() {
    set("/process/args", R"(["/lib/systemd/systemd", "systemd.unit=basic.target"])");
    set("/process/env", R"(["container=oci", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"])");
    remove("/process/capabilities");
    add_mount("/run", "tmpfs", "tmpfs", {});
    add_mount("/sys/fs/cgroup", "cgroup2", "cgroup2", {});
    add_mount(path(""), "bind", path(""), {"bind"});
    set("/linux/resources/devices", R"([{"allow": true, "access": "rwm"}])");
    set("/linux/cgroupsPath", "\"/" + cgroup_name() + "/system\"");
    set("/linux/readonlyPaths", "[]");
    set("/linux/maskedPaths", "[]");
    store_config();
    ASSERT_EQ(::rename(path("bundle/config.json").c_str(), path("system/config.json").c_str()), 0);
    auto started = vps::test::run({"/bin/sh", "-c", "exec \"$@\" </dev/null >" + path("console") + " 2>&1", "sh", program(), "--root", path("run"), "run", "-d",
                                   "--bundle", path("system"), "system"});
    ASSERT_TRUE(started);
    ASSERT_EQ(started->code, 0) << read_file(path("console")).value_or("");
    auto up = [&] { return inside({"systemctl", "is-system-running"}).out; };
    ASSERT_TRUE(eventually([&] { return up().starts_with("running") || up().starts_with("degraded"); }, std::chrono::seconds(60))) << up();
    // The bundle of the inner container.
    set("/process/args", R"(["/probe", "wait"])");
    set("/mounts", R"([{"destination": "/proc", "type": "proc", "source": "proc"}])");
    set("/linux/resources/devices", "[]");
    set("/linux/cgroupsPath", R"("test-7.slice:inner:one")");
    set("/annotations", R"({"org.systemd.property.TimeoutStopSec": "3"})");
    store_config();
  }
};

TEST_F(SystemdCgroups, ScopeLivesAndGoesWithTheContainer) {
  auto created = vpsrun({"create", "--bundle", path("bundle"), "one"});
  ASSERT_EQ(created.code, 0) << created.describe();
  EXPECT_EQ(property("inner-one.scope", "Slice"), "test-7.slice");
  EXPECT_EQ(property("inner-one.scope", "Delegate"), "yes");
  EXPECT_EQ(property("inner-one.scope", "TimeoutStopUSec"), "3s");
  EXPECT_EQ(property("inner-one.scope", "ControlGroup"), "/test.slice/test-7.slice/inner-one.scope");
  EXPECT_EQ(vpsrun({"start", "one"}).code, 0);
  EXPECT_EQ(inside({"systemctl", "daemon-reload"}).code, 0);
  EXPECT_EQ(vpsrun({"pause", "one"}).code, 0);
  EXPECT_THAT(vpsrun({"state", "one"}).out, HasSubstr("paused"));
  EXPECT_EQ(vpsrun({"resume", "one"}).code, 0);
  auto pids = vpsrun({"ps", "--format", "json", "one"}).out;
  EXPECT_THAT(pids, testing::MatchesRegex("\\[[0-9]+\\]\n")) << "the placeholder has gone";
  EXPECT_EQ(vpsrun({"kill", "one", "KILL"}).code, 0);
  EXPECT_TRUE(eventually([&] { return vpsrun({"delete", "one"}).code == 0; }));
  EXPECT_EQ(property("inner-one.scope", "LoadState"), "not-found");
  EXPECT_NE(inside({"/bin/ls", "/sys/fs/cgroup/test.slice/test-7.slice/inner-one.scope"}).code, 0);
}

// What systemd shows, and what the kernel has: also after systemd has written everything anew.
TEST_F(SystemdCgroups, LimitsArePropertiesAndStay) {
  const std::string group = "/sys/fs/cgroup/test.slice/test-7.slice/inner-one.scope/";
  auto available = inside({"cat", "/sys/fs/cgroup/cgroup.controllers"}).out;
  for (const char* name : {"cpu", "cpuset", "io", "memory", "pids"})
    if (available.find(name) == std::string::npos) GTEST_SKIP() << "no v2 controller " << name << " on this host";
  struct Expected {
    std::string property, shown, file, value;
  };
  auto holds = [&](const std::vector<Expected>& all, const std::string& when) {
    for (const auto& one : all) {
      EXPECT_EQ(property("inner-one.scope", one.property), one.shown) << one.property << ' ' << when;
      EXPECT_EQ(inside({"cat", group + one.file}).out, one.value + "\n") << one.file << ' ' << when;
    }
  };
  set("/linux/resources/memory", R"({"limit": 67108864, "reservation": 33554432, "swap": 100663296})");
  set("/linux/resources/cpu", R"({"shares": 2048, "quota": 25000, "period": 50000, "cpus": "0"})");
  set("/linux/resources/pids", R"({"limit": 42})");
  set("/linux/resources/unified", R"({"memory.high": "60000000", "io.weight": "default 33", "cpuset.mems": "0"})");
  store_config();
  auto created = vpsrun({"create", "--bundle", path("bundle"), "one"});
  ASSERT_EQ(created.code, 0) << created.describe();
  const std::vector<Expected> asked = {
      {"MemoryMax", "67108864", "memory.max", "67108864"},   {"MemoryLow", "33554432", "memory.low", "33554432"},
      {"MemorySwapMax", "33554432", "memory.swap.max", "33554432"}, {"MemoryHigh", "60000000", "memory.high", "59998208"},
      {"CPUWeight", "174", "cpu.weight", "174"},               {"CPUQuotaPerSecUSec", "500ms", "cpu.max", "25000 50000"},
      {"CPUQuotaPeriodUSec", "50ms", "cpu.max", "25000 50000"}, {"AllowedCPUs", "0", "cpuset.cpus", "0"},
      {"AllowedMemoryNodes", "0", "cpuset.mems", "0"},       {"TasksMax", "42", "pids.max", "42"},
      {"IOWeight", "33", "io.weight", "default 33"},
  };
  holds(asked, "after create");
  EXPECT_EQ(inside({"systemctl", "daemon-reload"}).code, 0);
  EXPECT_EQ(inside({"systemctl", "set-property", "--runtime", "inner-one.scope", "MemoryMin=1M"}).code, 0);
  holds(asked, "after systemd has written them");

  EXPECT_EQ(vpsrun({"update", "--memory", "80M", "--memory-swap", "80M", "--pids-limit", "50", "--cpu-quota", "100000", "--cpu-period", "100000", "one"}).code, 0);
  EXPECT_EQ(inside({"systemctl", "set-property", "--runtime", "inner-one.scope", "MemoryMin=2M"}).code, 0);
  holds({{"MemoryMax", "83886080", "memory.max", "83886080"},
         {"MemorySwapMax", "0", "memory.swap.max", "0"},
         {"TasksMax", "50", "pids.max", "50"},
         {"CPUQuotaPerSecUSec", "1s", "cpu.max", "100000 100000"},
         {"CPUWeight", "174", "cpu.weight", "174"}},
        "after an update");
  EXPECT_EQ(vpsrun({"delete", "--force", "one"}).code, 0);

  remove("/linux/resources/cpu");
  remove("/linux/resources/memory");
  set("/linux/resources/unified", R"({"cpu.max": "30000 100000", "cpuset.cpus": "0", "memory.max": "max", "pids.max": "7"})");
  remove("/linux/resources/pids");
  store_config();
  created = vpsrun({"create", "--bundle", path("bundle"), "one"});
  ASSERT_EQ(created.code, 0) << created.describe();
  EXPECT_EQ(inside({"systemctl", "set-property", "--runtime", "inner-one.scope", "MemoryMin=1M"}).code, 0);
  holds({{"CPUQuotaPerSecUSec", "300ms", "cpu.max", "30000 100000"},
         {"AllowedCPUs", "0", "cpuset.cpus", "0"},
         {"MemoryMax", "infinity", "memory.max", "max"},
         {"TasksMax", "7", "pids.max", "7"}},
        "by the unified map");
  EXPECT_EQ(vpsrun({"delete", "--force", "one"}).code, 0);
}

TEST_F(SystemdCgroups, DeathAndErrorsLeaveNoScope) {
  for (const char* point : {"create.recorded", "create.cgroup", "create.limits", "launch.cloned", "create.launched"}) {
    auto died = inside({"/usr/bin/env", std::string("VPS_FAILPOINTS=") + point + "=kill", program(), "--root", "/run/inner", "--systemd-cgroup", "create",
                        "--bundle", path("bundle"), "one"});
    EXPECT_NE(died.code, 0) << point;
    auto deleted = vpsrun({"delete", "--force", "one"});
    EXPECT_EQ(deleted.code, 0) << point << deleted.describe();
    EXPECT_EQ(property("inner-one.scope", "LoadState"), "not-found") << point;
  }
  set("/linux/cgroupsPath", "\"/a/b\"");
  store_config();
  auto refused = vpsrun({"create", "--bundle", path("bundle"), "one"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("slice:prefix:name"));
}

// A scope of an ordinary user's own systemd. That one runs in a unit that is delegated to the user, as logind starts it.
TEST_F(SystemdCgroups, OfAnOrdinaryUser) {
  constexpr uid_t kUser = 54321;
  const auto id = std::to_string(kUser), home = path("home");
  std::filesystem::copy_file(program(), path("vpsrun"));
  for (const auto& name : {"home", "user", "user/rootfs"}) {
    ASSERT_TRUE(make_dirs(path(name)));
    ASSERT_EQ(::chown(path(name).c_str(), kUser, kUser), 0);
  }
  std::filesystem::copy_file(path("bundle/rootfs/probe"), path("user/rootfs/probe"));
  auto user = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "env", "XDG_RUNTIME_DIR=" + home});
    return inside(words);
  };
  ASSERT_EQ(inside({"sh", "-c", "echo owner:x:" + id + ":" + id + "::/:/bin/sh >>/etc/passwd; echo owner:x:" + id + ": >>/etc/group"}).code, 0);
  auto manager = inside({"systemd-run", "--quiet", "--unit=manager", "--uid=" + id, "-p", "Type=notify", "-p", "Delegate=yes", "-E", "XDG_RUNTIME_DIR=" + home,
                         "/lib/systemd/systemd", "--user", "--unit=basic.target"});
  ASSERT_EQ(manager.code, 0) << manager.describe() << inside({"systemctl", "status", "manager"}).out;
  auto made = user({path("vpsrun"), "spec", "--rootless", "--bundle", path("user")});
  ASSERT_EQ(made.code, 0) << made.describe();
  auto config = read_file(path("user/config.json")).value_or("");
  for (auto [from, to] : {std::pair{R"("terminal": true)", R"("terminal": false)"}, {R"("sh")", R"("/probe", "wait")"}, {R"("linux": {)", R"("linux": {"cgroupsPath": ":inner:two", )"}}) {
    auto at = config.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    config.replace(at, std::string_view(from).size(), to);
  }
  write_file("user/config.json", config);

  // In a unit of that systemd, as a user's session or podman is: it may take up what is in its own part of the tree.
  auto run = user({"systemd-run", "--user", "--quiet", "-p", "Type=oneshot", "-p", "RemainAfterExit=yes", "--unit=starter", "-p", "StandardOutput=file:" + home + "/out",
                   "-p", "StandardError=file:" + home + "/out", path("vpsrun"), "--systemd-cgroup", "run", "-d", "--bundle", path("user"), "two"});
  ASSERT_EQ(run.code, 0) << run.describe() << read_file(home + "/out").value_or("");
  auto shown = user({"systemctl", "--user", "show", "inner-two.scope", "-p", "Slice,ControlGroup,ActiveState"}).out;
  EXPECT_THAT(shown, HasSubstr("Slice=user.slice\n"));
  EXPECT_THAT(shown, HasSubstr("ControlGroup=/system.slice/manager.service/user.slice/inner-two.scope\n"));
  auto state = user({path("vpsrun"), "--systemd-cgroup", "state", "two"}).out;
  EXPECT_THAT(state, HasSubstr("running"));
  EXPECT_EQ(user({path("vpsrun"), "--systemd-cgroup", "delete", "--force", "two"}).code, 0);
  EXPECT_THAT(user({"systemctl", "--user", "show", "inner-two.scope", "-p", "LoadState"}).out, HasSubstr("not-found"));
}

TEST_F(ConformanceTest, SystemdCgroupsWithoutSystemdAreAnError) {
  if (!is_vpsrun()) GTEST_SKIP() << "the words are ours";
  if (path_exists("/run/systemd/private")) GTEST_SKIP() << "systemd runs here";
  set("/linux/cgroupsPath", R"("system.slice:inner:one")");
  store_config();
  auto refused = runtime({"--systemd-cgroup", "create", "--bundle", path("bundle"), id()});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("systemd does not run here"));
  EXPECT_EQ(runtime({"list", "-q"}).out, "");
}

}  // namespace
}  // namespace vps::test
