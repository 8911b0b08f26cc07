// vpsrun for an ordinary user: a user namespace of the user's own, cgroups that are delegated or none.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "tests/conformance/fixture.h"

namespace vps::test {
namespace {

using testing::HasSubstr;

constexpr uid_t kUser = 54321;

class Rootless : public ConformanceTest {
 protected:
  void SetUp() override {
    ConformanceTest::SetUp();
    if (!is_vpsrun()) GTEST_SKIP() << "the bundle is made by vpsrun's spec --rootless";
    // The build tree may be out of the user's reach.
    std::filesystem::copy_file(program(), path("vpsrun"));
    for (const char* name : {"home", "bundle", "bundle/rootfs", "bundle/rootfs/tmp"}) {
      ASSERT_TRUE(make_dirs(path(name)));
      ASSERT_EQ(::chown(path(name).c_str(), kUser, kUser), 0);
    }
    auto made = user({"spec", "--rootless", "--bundle", path("bundle")});
    ASSERT_EQ(made.code, 0) << made.describe();
    edit(R"("terminal": true)", R"("terminal": false)");
  }
  void TearDown() override {
    auto left = user({"list", "-q"}).out;
    while (left.ends_with('\n')) left.pop_back();
    if (!left.empty()) (void)user({"delete", "--force", left});
    ConformanceTest::TearDown();
  }

  CommandResult user(std::vector<std::string> words) {
    words.insert(words.begin(), {"setpriv", "--reuid", std::to_string(kUser), "--regid", std::to_string(kUser), "--clear-groups", "env",
                                 "XDG_RUNTIME_DIR=" + path("home"), path("vpsrun")});
    auto result = vps::test::run(words);
    return result ? *result : CommandResult{};
  }
  // Detached from our pipes.
  CommandResult user_detached(std::vector<std::string> words) {
    words.insert(words.begin(), {"/bin/sh", "-c", "exec \"$@\" </dev/null >" + path("out") + " 2>&1", "sh", "setpriv", "--reuid", std::to_string(kUser), "--regid",
                                 std::to_string(kUser), "--clear-groups", "env", "XDG_RUNTIME_DIR=" + path("home"), path("vpsrun")});
    auto result = vps::test::run(words);
    return result ? *result : CommandResult{};
  }
  void edit(const std::string& from, const std::string& to) {
    auto text = read_file(path("bundle/config.json")).value_or("");
    auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from << " in " << text;
    text.replace(at, from.size(), to);
    write_file("bundle/config.json", text);
  }
  void args(const std::string& json) { edit(R"("sh")", json); }
};

TEST_F(Rootless, RunsAsRootOfItsOwnNamespace) {
  args(R"("/probe", "id", "status:CapEff", "write:/tmp/x", "write:/x", "list:/dev", "read:/proc/self/uid_map", "device:/dev/d")");
  auto result = user({"run", "--bundle", path("bundle"), id()});
  ASSERT_EQ(result.code, 0) << result.describe();
  auto seen = parse_report(result.out);
  EXPECT_EQ(seen["id"], "0:0 ");
  EXPECT_EQ(seen["write:/x"], "error EROFS");
  EXPECT_THAT(seen["list:/dev"], HasSubstr("null"));
  EXPECT_THAT(seen["read:/proc/self/uid_map"], HasSubstr(std::to_string(kUser)));
  EXPECT_EQ(seen["device:/dev/d"], "error EPERM");
  EXPECT_EQ(user({"list", "-q"}).out, "");
  EXPECT_EQ(user({"--cgroup-manager", "disabled", "run", "--bundle", path("bundle"), id()}).code, 0);
}

TEST_F(Rootless, WholeLife) {
  args(R"("/probe", "wait")");
  auto created = user_detached({"create", "--bundle", path("bundle"), "--pid-file", path("home/pid"), id()});
  ASSERT_EQ(created.code, 0) << read_file(path("out")).value_or("");
  EXPECT_EQ(user({"start", id()}).code, 0);
  EXPECT_THAT(user({"state", id()}).out, HasSubstr("running"));
  ASSERT_TRUE(eventually([&] { return read_file(path("out")).value_or("").find("waiting") != std::string::npos; }));
  auto done = user({"exec", "--env", "A=b", id(), "/probe", "id", "env:A", "pid", "exit:7"});
  EXPECT_EQ(done.code, 7) << done.describe();
  EXPECT_EQ(parse_report(done.out)["id"], "0:0 ");
  EXPECT_EQ(parse_report(done.out)["env:A"], "b");
  EXPECT_EQ(user({"delete", id()}).code, 1) << "it runs";
  EXPECT_EQ(user({"kill", id(), "TERM"}).code, 0);
  EXPECT_TRUE(eventually([&] { return user({"state", id()}).out.find("stopped") != std::string::npos; }));
  EXPECT_EQ(user({"delete", id()}).code, 0);
  auto again = user_detached({"run", "-d", "--bundle", path("bundle"), id()});
  EXPECT_EQ(again.code, 0) << read_file(path("out")).value_or("");
  EXPECT_EQ(user({"delete", "--force", id()}).code, 0);
}

// Limits need a cgroup that somebody has delegated: here the test, in the v2 tree, with the user's processes in it.
TEST_F(Rootless, CgroupsAreThoseThatAreDelegated) {
  args(R"("/probe", "read:/proc/self/cgroup")");
  edit(R"("linux": {)", R"("linux": {"resources": {"pids": {"limit": 50}}, )");
  auto refused = user({"run", "--bundle", path("bundle"), id()});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("cgroup"));
  auto base = std::string(path_exists("/sys/fs/cgroup/unified") ? "/sys/fs/cgroup/unified/" : "/sys/fs/cgroup/") + cgroup_name();
  ASSERT_TRUE(make_dirs(base + "/own"));
  for (const char* file : {"", "/cgroup.procs", "/cgroup.subtree_control", "/own", "/own/cgroup.procs"})
    ASSERT_EQ(::chown((base + file).c_str(), kUser, kUser), 0) << file;
  edit(R"("resources": {"pids": {"limit": 50}}, )", "");
  auto result = vps::test::run({"/bin/sh", "-c", "echo $$ >" + base + "/own/cgroup.procs && exec \"$@\"", "sh", "setpriv", "--reuid", std::to_string(kUser), "--regid",
                                std::to_string(kUser), "--clear-groups", "env", "XDG_RUNTIME_DIR=" + path("home"), path("vpsrun"), "run", "--bundle", path("bundle"), id()});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->code, 0) << result->describe();
  EXPECT_THAT(result->out, HasSubstr("0::/" + cgroup_name() + "/own/vpsrun/" + id()));
  EXPECT_FALSE(path_exists(base + "/own/vpsrun/" + id()));
  ::rmdir((base + "/own/vpsrun").c_str());
  ::rmdir((base + "/own").c_str());
}

}  // namespace
}  // namespace vps::test
