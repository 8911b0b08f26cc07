// Errors and sudden death at every step of making a network and a port: nothing stays that cleaning up does not clear.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/failpoint.h"
#include "netns/failpoints.h"
#include "tests/support/command.h"
#include "tests/support/forked.h"
#include "tests/support/net_fixture.h"

namespace vps::netns {
namespace {

using test::Namespace;
using test::prefix;

constexpr int kKilled = 128 + SIGKILL, kRefused = 3;

class NetCrash : public test::NetTest {
 protected:
  // A port of each kind that leaves something on the host, with every limit.
  static net::VpsPlan plan() {
    net::VpsPlan plan;
    plan.id = "101";
    plan.ports = {bridge_port(101), routed_port(150), net::PortPlan{}};
    plan.ports[0].rate_in = plan.ports[0].rate_out = BitRate{1'000'000};
    plan.ports[0].packets_per_second = 1000;
    plan.ports[2].mode = net::Mode::kHostDevice;
    plan.ports[2].host_link = "lan0";
    plan.ports[2].guest_link = "lan";
    plan.ports[2].addresses = {prefix("192.0.2.50/24")};
    return plan;
  }
  void SetUp() override {
    NetTest::SetUp();
    if (IsSkipped()) return;
    test::wire(host_, "lan0", {"192.0.2.1/24"}, internet_, "lan0", {"192.0.2.9/24"});
  }
  // In a process of its own, as a launch worker.
  template <class Work>
  int with_failpoint(std::string_view step, std::string_view action, Work&& work) {
    return test::in_child([&] {
      if (test::failed(failpoint::configure(fmt::format("{}={}", step, action)))) return 99;
      return host_.in([&] { return work() ? 0 : kRefused; });
    });
  }
};

TEST_F(NetCrash, AnErrorAtAnyStepOfAPortUndoesAllOfIt) {
  network(bridge_network());
  network(routed_network());
  auto before = picture();
  auto guest = Namespace::make();
  for (auto step : kPortSteps) {
    EXPECT_EQ(with_failpoint(step, "error:ENOSPC", [&] { return attach_ports(where_, plan(), guest.fd()); }), kRefused) << step;
    host_.within([&] { EXPECT_TRUE(sweep_orphans(where_)) << step; });  // the shaping device, which ports share
    EXPECT_EQ(picture(), before) << step;
    EXPECT_THAT(link_names(guest), testing::ElementsAre("lo")) << step;
  }
  attach(plan(), guest);
  EXPECT_TRUE(test::exchange(guest, host_, "10.77.0.1"));
}

TEST_F(NetCrash, SuddenDeathAtAnyStepOfAPortIsClearedByTheVpssName) {
  network(bridge_network());
  network(routed_network());
  auto before = picture();
  for (auto step : kPortSteps) {
    {
      auto guest = Namespace::make();
      EXPECT_EQ(with_failpoint(step, "kill", [&] { return attach_ports(where_, plan(), guest.fd()); }), kKilled) << step;
      // A virtual device would die with the namespace.
      host_.within([&] { EXPECT_TRUE(return_devices(where_, plan(), guest.fd())) << step; });
      if (step != "port.announce") detach(plan());
    }
    // At the last step the namespace has died first, and detaching finds the rest.
    detach(plan());
    EXPECT_TRUE(test::eventually([&] { return picture() == before; })) << step << testing::PrintToString(picture());
  }
  auto guest = Namespace::make();
  attach(plan(), guest);
  EXPECT_TRUE(test::exchange(guest, host_, "10.77.0.1"));
}

TEST_F(NetCrash, ErrorsAndDeathAtAnyStepOfANetworkAreMendedByTheNextTryOrRemoved) {
  auto routed = routed_network();
  auto before = picture();
  for (auto action : {"error:ENOSPC", "kill"})
    for (auto step : kNetworkSteps)
      for (bool again : {false, true}) {
        auto make_both = [&] { return ensure_network(where_, bridge_network()) && ensure_network(where_, routed); };
        EXPECT_EQ(with_failpoint(step, action, make_both), action == std::string_view("kill") ? kKilled : kRefused) << step;
        if (again) {
          network(bridge_network());
          network(routed);
          auto guest = Namespace::make();
          attach(vps("101", bridge_port(101)), guest);
          EXPECT_TRUE(test::exchange(guest, host_, "fd77::1")) << step;
          detach(vps("101", bridge_port(101)));
        }
        host_.within([&] {
          for (const auto& plan : {bridge_network(), routed}) {
            auto removed = remove_network(where_, plan);
            EXPECT_TRUE(removed) << removed.error().to_string();
          }
        });
        EXPECT_EQ(picture(), before) << step;
        EXPECT_EQ(host_.sysctl("ipv6/conf/eth0/proxy_ndp"), "0") << step;
      }
}

}  // namespace
}  // namespace vps::netns
