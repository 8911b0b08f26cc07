// podman as an ordinary user runs it: the runtime is root of the user's namespace and of nothing else.
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/interop/podman.h"

namespace vps::test {
namespace {

using testing::HasSubstr;

class PodmanOfAUser : public Podman {
 protected:
  void SetUp() override {
    Podman::SetUp();
    if (IsSkipped()) return;
    if (::access("/usr/bin/newuidmap", X_OK) != 0) GTEST_SKIP() << "newuidmap is not installed (tools/packages.sh install interop)";
    for (const auto& folder : {home(), runtime_dir()}) {
      ASSERT_TRUE(make_dirs(folder, 0700));
      ASSERT_EQ(::chown(folder.c_str(), kUserId, kUserId), 0);
    }
    // A build tree may lie where the user cannot reach it.
    runtime_ = engine().path("runtime") + "/" + (Engine::is_vpsrun() ? "vpsrun" : "runc");
    ASSERT_TRUE(make_dirs(engine().path("runtime")));
    run_expecting(0, {"cp", Engine::runtime(), runtime_});
    own(0, {"import", engine().layer(), kImage});
  }
  void TearDown() override {
    // What holds the user's namespace between two commands.
    if (!IsSkipped()) own(0, {"system", "migrate"});
    Podman::TearDown();
  }
  static std::string home() { return engine().path("home"); }
  static std::string runtime_dir() { return engine().path("user"); }
  CommandResult own(int code, const Argv& words, const CommandOptions& options = {}) {
    Argv all{"/usr/bin/setpriv", "--reuid", std::to_string(kUserId), "--regid", std::to_string(kUserId), "--clear-groups", "/usr/bin/env", "-i", "-C", home(),
             "HOME=" + home(), "XDG_RUNTIME_DIR=" + runtime_dir(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "CONTAINERS_CONF=" + engine().path("containers.conf"),
             "/usr/bin/podman", "--cgroup-manager", "cgroupfs", "--runtime", runtime_};
    all.insert(all.end(), words.begin(), words.end());
    return run_expecting(code, all, options);
  }

 private:
  std::string runtime_;
};

TEST_F(PodmanOfAUser, RunsWithTheUsersOwnIds) {
  EXPECT_EQ(own(0, {"run", "--rm", "--network", "none", kImage, "id", "-u"}).out, "0\n");
  auto kept = own(0, {"run", "--rm", "--network", "none", "--userns", "keep-id", kImage, "sh", "-c", "id -u; grep -c . /proc/self/uid_map; echo x >/tmp/mine && stat -c %u /tmp/mine"});
  EXPECT_EQ(kept.out, fmt::format("{0}\n3\n{0}\n", kUserId));
  own(7, {"run", "--rm", "--network", "none", kImage, "sh", "-c", "echo x >/dev/null && test -c /dev/null && exit 7"});
}

TEST_F(PodmanOfAUser, ExecKillAndRemove) {
  own(0, {"run", "-d", "--name", "mine", "--network", "none", kImage, "sleep", "1000"});
  EXPECT_EQ(own(5, {"exec", "mine", "sh", "-c", "cat /proc/1/comm; exit 5"}).out, "sleep\n");
  own(0, {"kill", "mine"});
  EXPECT_EQ(own(0, {"wait", "mine"}).out, "137\n");
  own(0, {"rm", "mine"});
  if (Engine::is_vpsrun()) {
    EXPECT_THAT(list_dir(runtime_dir() + "/vpsrun").value_or(std::vector<std::string>{"?"}), testing::IsEmpty());
  }
}

}  // namespace
}  // namespace vps::test
