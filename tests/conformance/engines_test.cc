// What engines ask for beside the specification, or against it, as they were seen to do it.
#include <signal.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/conformance/fixture.h"
#include "tests/support/pty.h"

namespace vps::test {
namespace {

using testing::HasSubstr;

class Engines : public ConformanceTest {};

// buildah: every capability in the ambient set, none in the inheritable one.
TEST_F(Engines, AmbientCapabilitiesThatCannotBeAreLeftOut) {
  set("/process/capabilities/ambient", R"(["CAP_KILL", "CAP_CHOWN"])");
  set("/process/capabilities/inheritable", R"(["CAP_CHOWN"])");
  look({"status:CapAmb", "status:CapEff"});
  auto seen = report();
  EXPECT_EQ(seen["status:CapAmb"], "0000000000000001");
  EXPECT_EQ(seen["status:CapEff"], "0000000008000021");
}

// podman: tmpcopyup on every --tmpfs, also with a mode and an owner of its own.
TEST_F(Engines, CopiedUpTmpfsKeepsWhatItsOptionsName) {
  ASSERT_TRUE(make_dirs(rootfs("/etc/below")));
  add_mount("/etc", "tmpfs", "tmpfs", {"tmpcopyup", "mode=1770", "uid=7"});
  look({"stat:/etc", "stat:/etc/below"});
  auto seen = report();
  EXPECT_THAT(seen["stat:/etc"], HasSubstr("1770 7:0"));
  EXPECT_THAT(seen["stat:/etc/below"], HasSubstr("755 0:0"));
}

// docker run -it, then tty(1): the name that people know.
TEST_F(Engines, TheTerminalHasAPtyName) {
  set("/process/terminal", "true");
  look({"link:/proc/self/fd/0", "stat:/dev/console"});
  store_config();
  auto pty = Pty::start({VPS_TEST_BIN_DIR "/vpsrun", "--root", path("run"), "run", "--bundle", path("bundle"), id()});
  ASSERT_TRUE(pty) << pty.error().to_string();
  auto seen = pty->read_until("stat:/dev/console=char");
  ASSERT_TRUE(seen) << seen.error().to_string();
  EXPECT_THAT(*seen, HasSubstr("link:/proc/self/fd/0=/dev/pts/0"));
  EXPECT_EQ(pty->finish()->code, 0);
}

// buildah --cgroup-parent P: P itself as the container's cgroup, where others live already.
TEST_F(Engines, ProcessesOfOthersInTheCgroupAreLeftAlone) {
  auto stranger = Process::start({"sleep", "1000"});
  ASSERT_TRUE(stranger);
  // In the hierarchies that have one: the v2 tree, wherever it is mounted.
  std::string tree = path_exists("/sys/fs/cgroup/unified") ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";
  auto group = tree + "/" + cgroup_name() + "/c";
  ASSERT_TRUE(make_dirs(group));
  auto dir = open_dir(group);
  ASSERT_TRUE(dir);
  ASSERT_TRUE(write_kernel_file_at(dir->get(), "cgroup.procs", std::to_string(stranger->pid())));
  look({});
  store_config();
  for (const char* failpoints : {"", "create.recorded=kill", "create.recorded=error:EIO"}) {
    auto created = runtime({"create", "--bundle", path("bundle"), id()}, {.env = {{"VPS_FAILPOINTS", failpoints}}});
    EXPECT_NE(created.code, 0) << failpoints;
    EXPECT_EQ(runtime({"delete", "--force", id()}).code, 0) << failpoints;
    EXPECT_EQ(runtime({"list", "-q"}).out, "") << failpoints;
    auto process = PidFd::open(stranger->pid());
    EXPECT_TRUE(process && process->alive()) << failpoints;
    EXPECT_TRUE(path_exists(group)) << failpoints;
  }
  ASSERT_TRUE(stranger->signal(SIGKILL));
  ASSERT_TRUE(stranger->finish());
  EXPECT_TRUE(eventually([&] { return ::rmdir(group.c_str()) == 0; }));
}

}  // namespace
}  // namespace vps::test
