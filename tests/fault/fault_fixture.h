// What the two walks over failpoints share.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "tests/support/network_scene.h"
#include "tests/support/vpsd_fixture.h"

namespace vps::test {

struct FaultPoint {
  std::string name;    // "daemon.create.disk"
  std::string action;  // "error:EIO" or "kill"
};

inline void PrintTo(const FaultPoint& point, std::ostream* out) { *out << point.name << "=" << point.action; }
// "daemon_create_disk_kill": what gtest allows in a name.
inline std::string fault_point_name(const testing::TestParamInfo<FaultPoint>& info) {
  std::string text = info.param.name + "_" + info.param.action.substr(0, info.param.action.find(':'));
  for (char& c : text)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return text;
}

// In a network namespace of the test's own, which plays the host.
class FaultTest : public VpsdTest, public testing::WithParamInterface<FaultPoint> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    auto scene = NetworkScene::enter();
    ASSERT_TRUE(scene) << scene.error().to_string();
    scene_ = std::move(*scene);
    VpsdTest::SetUp();
  }
  void TearDown() override {
    if (vpsd_ && vpsd_->running()) {
      for (const char* id : {"bystander", "101"})
        if (vpsd_->ctl({"show", id}).code == 0) ctl({"destroy", "--force", id});
      for (const char* network : {"mesh", "default"})
        if (vpsd_->ctl({"network", "show", network}).code == 0) ctl({"network", "delete", network});
    }
    VpsdTest::TearDown();
    if (!scene_) return;
    const std::vector<std::string> wanted = {"up0"};
    EXPECT_TRUE(eventually([&] { return link_names().value_or(std::vector<std::string>{}) == wanted; }))
        << "links left: " << ::testing::PrintToString(link_names().value_or(std::vector<std::string>{}));
    scene_.reset();
  }
  std::unique_ptr<NetworkScene> scene_;

  // busybox's init takes two seconds to end; this one ends at once, and there are over a hundred steps to walk.
  inline static const std::string kInit = R"(init=["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"])";
  void make_prompt_vps(const std::string& id, bool start = true, Argv more = {}) {
    more.insert(more.end(), {"--set", kInit});
    make_vps(id, start, more);
  }

  // vpsd (and, through it, the supervisors) anew with the failpoint set.
  void arm() {
    ASSERT_TRUE(vpsd_->stop());
    restart_vpsd({{"VPS_FAILPOINTS", GetParam().name + "=" + GetParam().action}});
  }
  // Without failpoints again, whether the armed vpsd still lives or not.
  void disarm() {
    if (vpsd_->running()) {
      ASSERT_TRUE(vpsd_->stop());
    } else if (vpsd_->pid() > 0) {
      ASSERT_TRUE(vpsd_->wait_exit());
    }
    restart_vpsd();
  }
  // Whatever happened before: a whole life has to work now, and leave nothing (TearDown looks).
  void whole_life(const std::string& id) {
    if (vpsd_->ctl({"show", id}).code == 0) ctl({"destroy", "--force", id});
    make_prompt_vps(id);
    EXPECT_EQ(ctl({"exec", id, "--", "echo", "works"}).out, "works\n");
    ctl({"set", id, "ram=96M"});
    ctl({"stop", id});
    ctl({"destroy", id});
  }
};

}  // namespace vps::test
