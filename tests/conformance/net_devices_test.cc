// linux.netDevices: devices of the host that a container has for its life (runtime-spec config-linux.md "Network Devices"). The
// test's own network namespace plays the host's.
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>

#include "base/fd.h"
#include "base/files.h"
#include "tests/conformance/fixture.h"

namespace vps::test {
namespace {

using testing::HasSubstr;

class NetDevices : public ConformanceTest {
 protected:
  void SetUp() override {
    ConformanceTest::SetUp();
    if (!is_vpsrun()) GTEST_SKIP() << "newer than the runtimes that the tests are held against";
    home_.reset(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    ip({"link", "add", "vd0", "type", "veth", "peer", "name", "vd1"});
    ip({"addr", "add", "10.9.0.1/24", "dev", "vd0"});
    ip({"-6", "addr", "add", "fd00:9::1/64", "dev", "vd0", "nodad"});
    ip({"addr", "add", "10.9.1.1/24", "dev", "vd1", "scope", "link"});
  }
  void TearDown() override {
    ConformanceTest::TearDown();
    if (home_) ::setns(home_.get(), CLONE_NEWNET);
  }
  static void ip(std::vector<std::string> words) {
    words.insert(words.begin(), "ip");
    auto result = vps::test::run(words);
    ASSERT_TRUE(result && result->code == 0) << (result ? result->describe() : result.error().to_string());
  }
  static bool is_here(const char* name) { return ::if_nametoindex(name) != 0; }
  static std::string addresses(const std::string& name) { return vps::test::run({"ip", "-o", "addr", "show", "dev", name})->out; }

 private:
  UniqueFd home_;
};

TEST_F(NetDevices, ComeInWithTheirAddressesAndGoBack) {
  set("/linux/netDevices", R"({"vd0": {"name": "eth7"}, "vd1": {}})");
  start_waiting();
  EXPECT_FALSE(is_here("vd0"));
  EXPECT_FALSE(is_here("vd1"));
  auto seen = exec({}, {"addresses:eth7", "addresses:vd1", "link:/sys/class/net/vd0"});
  EXPECT_EQ(seen["addresses:eth7"], "up 10.9.0.1/24 fd00:9::1/64");
  EXPECT_EQ(seen["addresses:vd1"], "up") << "what is not of global scope stays behind";
  EXPECT_EQ(runtime({"delete", "--force", id()}).code, 0);
  EXPECT_TRUE(is_here("vd1"));
  ASSERT_TRUE(is_here("vd0")) << "under its own name";
  EXPECT_THAT(addresses("vd0"), testing::AllOf(HasSubstr("10.9.0.1/24"), HasSubstr("fd00:9::1/64")));
}

TEST_F(NetDevices, GoBackWhenTheContainerHasEndedByItself) {
  set("/linux/netDevices", R"({"vd0": {}})");
  look({"addresses:vd0"});
  EXPECT_EQ(report()["addresses:vd0"], "up 10.9.0.1/24 fd00:9::1/64");
  EXPECT_TRUE(is_here("vd0"));
  use_user_namespace();
  EXPECT_EQ(report()["addresses:vd0"], "up 10.9.0.1/24 fd00:9::1/64") << "with a user namespace as well";
  EXPECT_TRUE(is_here("vd0"));
}

TEST_F(NetDevices, AllOrNone) {
  set("/linux/netDevices", R"({"vd0": {}, "vd9": {}})");
  look({});
  auto result = run();
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("vd9"));
  EXPECT_TRUE(is_here("vd0"));
  set("/linux/netDevices", R"({"vd0": {"name": "lo"}})");
  EXPECT_EQ(run().code, 1) << "the name is taken";
  EXPECT_TRUE(is_here("vd0"));
  EXPECT_THAT(addresses("vd0"), HasSubstr("10.9.0.1/24"));
}

TEST_F(NetDevices, NameThatIsTakenMeanwhileStopsDeleteUnlessForced) {
  set("/linux/netDevices", R"({"vd0": {}})");
  start_waiting();
  ip({"link", "add", "vd0", "type", "veth", "peer", "name", "vd3"});
  EXPECT_EQ(runtime({"kill", id(), "KILL"}).code, 0);
  ASSERT_TRUE(eventually([&] { return state().string("/status") == "stopped"; }));
  auto refused = runtime({"delete", id()});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("vd0"));
  ip({"link", "delete", "vd3"});
  EXPECT_EQ(runtime({"delete", id()}).code, 0);
  EXPECT_TRUE(is_here("vd0"));
  EXPECT_TRUE(is_here("vd1"));
}

TEST_F(NetDevices, DeleteGivesBackWhatADeadRuntimeTook) {
  set("/linux/netDevices", R"({"vd0": {"name": "eth7"}})");
  look({"wait"});
  store_config();
  for (const char* point : {"launch.cloned", "launch.id-map", "launch.rootfs", "create.launched", "init.ready"}) {
    auto created = runtime({"create", "--bundle", path("bundle"), id()}, {.env = {{"VPS_FAILPOINTS", std::string(point) + "=kill"}}});
    EXPECT_NE(created.code, 0) << point;
    EXPECT_EQ(runtime({"delete", "--force", id()}).code, 0) << point;
    EXPECT_TRUE(is_here("vd0")) << point;
  }
}

}  // namespace
}  // namespace vps::test
