// Interfaces without an end on the host: VPSes on a macvlan, and devices of the host that are lent to a VPS and come back.
#include <gmock/gmock.h>
#include <signal.h>

#include "base/files.h"
#include "base/pidfd.h"
#include "tests/system/network_fixture.h"

namespace vps::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class MacvlanTest : public NetworkTest {
 protected:
  CommandResult ping_from_outside(const std::string& target) const {
    return scene_->internet({"busybox", target.find(':') == std::string::npos ? "ping" : "ping6", "-c", "5", "-A", "-W", "5", target});
  }
};

TEST_F(MacvlanTest, VpsesAreOnTheWireOfTheUplink) {
  ctl({"network", "create", "wire", "--mode", "macvlan", "--uplink", "up0", "--subnet", "198.51.100.0/24", "--subnet", "2001:db8:1::/64", "--gateway",
       "198.51.100.1", "--gateway", "2001:db8:1::1"});
  for (const char* id : {"101", "102"}) {
    make_on(id, "wire");
    ctl({"start", "--wait", id});
  }
  const auto one = addresses("101"), two = addresses("102");
  ASSERT_EQ(one.size(), 2u);
  ASSERT_EQ(two.size(), 2u);
  EXPECT_THAT(one[0], testing::StartsWith("198.51.100."));
  for (const auto& address : two) ping("101", address);
  ping("101", "203.0.113.1");
  ping("101", "2001:db8:2::1");
  for (const auto& address : one) EXPECT_EQ(ping_from_outside(address).code, 0) << ping_from_outside(address).describe();
  // What the host cannot do for it is said.
  EXPECT_THAT(ctl({"create", "103", "-t", "busybox", "--set", "network.interfaces=[{name: eth0, network: wire, rateIn: 5M}]"}, 2).err, HasSubstr("a rate"));
  ctl({"restart", "101"});
  EXPECT_EQ(addresses("101"), one);
  ping("101", two[0]);
  // The link goes with the VPS, and the address with it; the kernel takes its namespace down behind the stop.
  ctl({"stop", "--force", "102"});
  EXPECT_TRUE(eventually([&] { return vpsd_->ctl({"exec", "101", "--", "ping", "-c", "1", "-W", "1", two[0]}).code == 1; }));
  EXPECT_THAT(ctl({"start", "--dry-run", "102"}).out, HasSubstr("no guards, firewall or traffic counters"));
}

TEST_F(MacvlanTest, ANetworkWithoutSubnetsTakesAddressesAsTheyAreNamed) {
  ctl({"network", "create", "wire", "--mode", "macvlan", "--uplink", "up0"});
  ctl({"create", "101", "-t", "busybox", "--network", "wire"}, 2);
  ctl({"create", "101", "-t", "busybox", "--network", "wire", "--ip", "198.51.100.9/24", "--ip", "2001:db8:1::9/64", "--start"});
  ping("101", "198.51.100.1");
  ping("101", "2001:db8:1::1");
  for (const auto& address : addresses("101")) EXPECT_EQ(ping_from_outside(address).code, 0) << ping_from_outside(address).describe();
  EXPECT_THAT(ctl({"firewall", "101", "add", "in", "drop"}).err, HasSubstr("no guards, firewall or traffic counters"));
}

// lan0 (host) and lan1 (internet) are the two ends of a wire; the host's is lent.
class DeviceTest : public NetworkTest {
 protected:
  void SetUp() override {
    NetworkTest::SetUp();
    if (IsSkipped()) return;
    host({"ip", "link", "add", "lan0", "mtu", "1420", "address", "02:00:00:00:77:01", "type", "veth", "peer", "name", "lan1"});
    host({"ip", "address", "add", "192.0.2.1/24", "dev", "lan0"});
    host({"ip", "address", "add", "2001:db8:9::1/64", "dev", "lan0", "nodad"});
    host({"ip", "link", "set", "lan0", "up"});
    host({"ip", "link", "set", "lan1", "netns", scene_->internet_pid()});
    internet({"ip", "address", "add", "192.0.2.9/24", "dev", "lan1"});
    internet({"ip", "address", "add", "2001:db8:9::9/64", "dev", "lan1", "nodad"});
    internet({"ip", "link", "set", "lan1", "up"});
    ctl({"network", "create", "lan", "--mode", "host-device", "--uplink", "lan0", "--subnet", "192.0.2.0/24", "--subnet", "2001:db8:9::/64"});
    before_ = device();
  }
  void TearDown() override {
    if (vpsd_ && vpsd_->running()) (void)vpsd_->ctl({"destroy", "--force", "101"});
    if (scene_) (void)NetworkScene::host({"ip", "link", "delete", "lan0"});
    NetworkTest::TearDown();
  }
  static void host(const Argv& argv) {
    auto done = NetworkScene::host(argv);
    ASSERT_TRUE(done) << done.error().to_string();
  }
  void internet(const Argv& argv) const {
    auto done = scene_->internet(argv);
    ASSERT_EQ(done.code, 0) << done.describe();
  }
  // Name, MAC, MTU, whether it is up, and addresses; empty while it is elsewhere.
  static std::string device() {
    auto text = NetworkScene::host({"ip", "-o", "-j", "address", "show", "dev", "lan0"});
    auto list = text ? Json::parse(*text) : Result<Json>(std::unexpected(text.error()));
    if (!list) return {};
    std::string picture;
    for (const auto& link : list->items()) {
      if (link.string("/ifname").empty()) continue;
      picture += fmt::format("{} {} {}", link.string("/ifname"), link.string("/address"), link.number("/mtu"));
      for (const auto& flag : link.items("/flags")) picture += flag.string("") == "UP" ? " up" : "";
      for (const auto& address : link.items("/addr_info"))
        if (address.string("/scope") == "global") picture += fmt::format(" {}/{}", address.string("/local"), address.number("/prefixlen"));
    }
    return picture;
  }
  void lend() {
    make_on("101", "lan");
    ctl({"start", "--wait", "101"});
    EXPECT_EQ(device(), "");
  }
  void expect_back() {
    EXPECT_TRUE(eventually([&] { return device() == before_; })) << device() << "\ninstead of\n" << before_;
    EXPECT_TRUE(eventually([&] { return NetworkScene::host({"busybox", "ping", "-c", "1", "-W", "1", "192.0.2.9"}).has_value(); }));
    EXPECT_TRUE(eventually([&] { return list_dir(vpsd_->run_dir() + "/net/held").value_or(std::vector<std::string>{}).empty(); }));
  }
  void expect_ended() {
    EXPECT_TRUE(eventually([&] { auto state = state_of("101"); return state == "stopped" || state == "failed"; })) << state_of("101");
    expect_back();
  }
  pid_t pid_of(const std::string& path) { return static_cast<pid_t>(json({"show", "101"}).number(path)); }
  static void kill_process(pid_t pid) {
    auto process = PidFd::open(pid);
    ASSERT_TRUE(process);
    ASSERT_TRUE(process->signal(SIGKILL));
  }
  std::string before_;
};

TEST_F(DeviceTest, IsLentWithItsConfigurationAndBackAfterAStopAndADestroy) {
  lend();
  const auto mine = addresses("101");
  ASSERT_EQ(mine.size(), 2u);
  ping("101", "192.0.2.9");
  ping("101", "2001:db8:9::9");
  EXPECT_EQ(ctl({"exec", "101", "--", "cat", "/sys/class/net/eth0/address", "/sys/class/net/eth0/mtu"}).out, "02:00:00:00:77:01\n1420\n");
  auto shown = ctl({"show", "101"}).out;
  EXPECT_THAT(shown, HasSubstr(mine[0]));
  auto interface = json({"show", "101"}).items("/interfaces").at(0);
  EXPECT_EQ(interface.string("/mode"), "host-device");
  EXPECT_EQ(interface.string("/hostLink"), "lan0");
  // A restart takes it in again; a new vpsd knows that it is where it belongs.
  ctl({"restart", "101"});
  ping("101", "192.0.2.9");
  ASSERT_TRUE(vpsd_->kill());
  restart_vpsd();
  ping("101", "192.0.2.9");
  EXPECT_THAT(ctl({"events"}).out, Not(HasSubstr("network.failed")));
  ctl({"stop", "--force", "101"});
  expect_back();
  ctl({"start", "--wait", "101"});
  EXPECT_EQ(device(), "");
  ctl({"destroy", "--force", "101"});
  expect_back();
}

TEST_F(DeviceTest, OnlyOneCanHaveIt) {
  lend();
  make_on("102", "lan");
  EXPECT_THAT(ctl({"start", "102"}, 7).err, HasSubstr("the device lan0 is with VPS 101"));
  EXPECT_EQ(state_of("102"), "failed");
  ping("101", "192.0.2.9");
  for (const Argv& mode : {Argv{"host-device"}, {"macvlan"}, {"routed"}})
    EXPECT_THAT(ctl({"network", "create", "again", "--mode", mode[0], "--uplink", "lan0"}, 4).err, HasSubstr("it is that of network lan"));
  ctl({"network", "create", "gone", "--mode", "host-device", "--uplink", "lan7"}, 3);
  ctl({"stop", "--force", "101"});
  ctl({"start", "--wait", "102"});
  ping("102", "192.0.2.9");
  ctl({"destroy", "--force", "102"});
  expect_back();
}

TEST_F(DeviceTest, IsBackWhenItsInitDiesAndWhateverItsTenantDidToIt) {
  lend();
  ctl({"set", "101", "restart=never"});
  kill_process(pid_of("/status/pid"));
  expect_ended();
  ctl({"start", "--wait", "101"});
  // Renamed by its tenant, and named anew on the way home.
  ctl({"exec", "101", "--", "sh", "-c", "ip link set eth0 down; ip link set eth0 name wan0; ip link set wan0 mtu 1000 address 02:00:00:00:00:99"});
  ctl({"stop", "--force", "101"});
  expect_back();
}

TEST_F(DeviceTest, IsBackWhoeverIsKilled) {
  lend();
  ctl({"set", "101", "restart=never"});
  ASSERT_TRUE(vpsd_->kill());
  restart_vpsd();
  kill_process(pid_of("/status/pid"));
  expect_ended();

  ctl({"start", "--wait", "101"});
  kill_process(pid_of("/status/supervisorPid"));
  expect_ended();

  ctl({"start", "--wait", "101"});
  const auto supervisor = pid_of("/status/supervisorPid");
  ASSERT_TRUE(vpsd_->kill());
  kill_process(supervisor);
  EXPECT_EQ(device(), "") << "nobody is there who could have brought it back";
  restart_vpsd();
  expect_ended();
  ctl({"start", "--wait", "101"});
  ping("101", "192.0.2.9");
}

TEST_F(DeviceTest, AStartThatFailsOrDiesHalfwayGivesItBack) {
  make_on("101", "lan");
  for (const char* point : {"port.hold", "port.record", "port.link", "port.inside", "launch.network", "launch.started"})
    for (const char* how : {"error:EIO", "kill"}) {
      SCOPED_TRACE(fmt::format("{}={}", point, how));
      ASSERT_TRUE(vpsd_->stop());
      restart_vpsd({{"VPS_FAILPOINTS", fmt::format("{}={}", point, how)}});
      EXPECT_NE(vpsd_->ctl({"start", "101"}).code, 0);
      expect_back();
    }
  ASSERT_TRUE(vpsd_->stop());
  restart_vpsd();
  ctl({"start", "--wait", "101"});
  ping("101", "192.0.2.9");
}

// The name has been given away meanwhile: the device stays where it is safe, and comes back when the name is free.
TEST_F(DeviceTest, WaitsForItsName) {
  lend();
  host({"ip", "link", "add", "lan0", "type", "bridge"});
  auto stopped = vpsd_->ctl({"stop", "--force", "101"});
  EXPECT_NE(stopped.code, 0);
  EXPECT_THAT(stopped.err, HasSubstr("lan0"));
  host({"ip", "link", "delete", "lan0"});
  ctl({"start", "--wait", "101"});
  ping("101", "192.0.2.9");
  ctl({"stop", "--force", "101"});
  expect_back();
}

}  // namespace
}  // namespace vps::test
