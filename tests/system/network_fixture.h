// A vpsd in the scene of tests/support/network_scene.h: the test process's own namespace plays the host, another one the internet. After
// every test all networks and VPSes are gone, and so must be their links and rules.
#pragma once

#include <fmt/core.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/network_scene.h"
#include "tests/support/vpsd_fixture.h"

namespace vps::test {

class NetworkTest : public VpsdTest {
 protected:
  explicit NetworkTest(std::vector<std::string> templates = {"busybox"}) : VpsdTest(std::move(templates)) {}
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    auto scene = NetworkScene::enter();
    ASSERT_TRUE(scene) << scene.error().to_string();
    scene_ = std::move(*scene);
    VpsdTest::SetUp();
  }
  // vpsd keeps a socket of the filter's.
  void warm_up() override {
    ctl({"network", "create", "warm", "--subnet", "10.254.0.0/24"});
    ctl({"network", "delete", "warm"});
  }
  void TearDown() override {
    if (vpsd_ && vpsd_->running()) {
      if (auto list = vpsd_->json({"list", "-a"}))
        for (const auto& vps : list->items()) ctl({"destroy", "--force", vps.string("/id")});
      if (auto networks = vpsd_->json({"network", "list"}))
        for (const auto& network : networks->items()) ctl({"network", "delete", network.string("/name")});
    }
    VpsdTest::TearDown();
    if (!scene_) return;
    EXPECT_TRUE(eventually([] { return link_names().value_or(std::vector<std::string>{}) == std::vector<std::string>{"up0"}; }))
        << "links left: " << ::testing::PrintToString(link_names().value_or(std::vector<std::string>{}));
    auto rules = NetworkScene::host({"nft", "list", "ruleset"});
    EXPECT_EQ(rules.value_or("?"), "");
    scene_.reset();
  }

  void make_connected(const std::string& id, const Argv& more = {}) {
    Argv arguments = {"create", id, "--template", "busybox", "--ip", "auto"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    ctl(arguments);
    ctl({"start", "--wait", id});
  }
  std::vector<std::string> addresses(const std::string& id) {
    std::vector<std::string> found;
    for (const auto& vps : json({"list", "-a"}).items()) {
      if (vps.string("/id") != id) continue;
      for (const auto& address : vps.items("/addresses")) found.push_back(address.string(""));
    }
    return found;
  }
  // One packet and its answer; duplicate address detection of IPv6 takes a moment.
  CommandResult ping(const std::string& id, const std::string& target, int expected = 0) {
    const char* program = target.find(':') == std::string::npos ? "ping" : "ping6";
    return ctl({"exec", id, "--", program, "-c", expected == 0 ? "5" : "1", "-A", "-W", expected == 0 ? "5" : "1", target}, expected);
  }

  // As make_connected, on that network only.
  void make_on(const std::string& id, const std::string& network, const std::string& more = "addresses: [auto]") {
    ctl({"create", id, "--template", "busybox", "--set", fmt::format("network.interfaces=[{{name: eth0, network: {}, {}}}]", network, more)});
  }

  std::unique_ptr<NetworkScene> scene_;
};

}  // namespace vps::test
