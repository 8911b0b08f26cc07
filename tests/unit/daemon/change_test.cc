// Changing definitions: in force and saved, or neither.
#include "daemon/change.h"

#include "tests/unit/daemon/daemon_fixture.h"

namespace vps::daemon::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ChangeTest : public DaemonTest {
 protected:
  // The files that a running VPS's group has; its fake supervisor makes none.
  void make_group(const std::string& id) {
    const std::string group = host_.unified_root + "/" + paths(id).cgroup_payload;
    ASSERT_TRUE(make_dirs(group));
    for (const auto& [file, value] : std::map<std::string, std::string>{
             {"cgroup.procs", ""},        {"cgroup.controllers", "cpu cpuset io memory pids\n"}, {"cgroup.events", "populated 0\nfrozen 0\n"},
             {"memory.max", "67108864\n"}, {"memory.current", "1000\n"}, {"memory.swap.max", "max\n"}, {"memory.low", "0\n"},
             {"memory.high", "max\n"},     {"memory.min", "0\n"},        {"pids.max", "max\n"},        {"cpu.max", "max 100000\n"},
             {"cpu.weight", "100\n"},      {"cpuset.cpus", "\n"},        {"io.max", ""},               {"io.weight", "default 100\n"},
             {"memory.oom.group", "0\n"},  {"cgroup.subtree_control", ""}, {"memory.reclaim", ""},     {"memory.swap.current", "0\n"}})
      ASSERT_TRUE(write_file_atomic(group + "/" + file, value));
  }
  // The kernel's files go with their group; these have to be taken away by hand.
  void drop_group(const std::string& id) { (void)remove_tree(host_.unified_root + "/" + paths(id).cgroup_parent); }
  void TearDown() override {
    drop_group("101");
    DaemonTest::TearDown();
  }
  std::string kernel(const std::string& id, const std::string& file) {
    auto text = read_file(host_.unified_root + "/" + paths(id).cgroup_payload + "/" + file);
    if (!text) return text.error().to_string();
    while (text->ends_with('\n')) text->pop_back();
    return *text;
  }
  Answer set(const std::string& id, const std::vector<std::string>& assignments, const std::string& mode = "both") {
    return api_.patch("/v1/containers/" + id, {{"set", assignments}, {"mode", mode}});
  }
  void running_vps() {
    create("101", {{"resources", {{"memory", {{"limit", "64M"}}}}}}, true);
    make_group("101");
  }
};

TEST_F(ChangeTest, LiveAndSaved) {
  running_vps();
  auto answer = set("101", {"ram=128M", "resources.pids.limit=100"});
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_EQ(answer.json["changes"][0]["key"], "resources.memory.limit");
  EXPECT_EQ(answer.json["changes"][0]["effect"], "live");
  EXPECT_THAT(answer.json["restartRequired"], IsEmpty());
  EXPECT_EQ(kernel("101", "memory.max"), "134217728");
  EXPECT_EQ(kernel("101", "pids.max"), "100");
  EXPECT_THAT(*read_file(paths("101").definition), HasSubstr("128M"));
  EXPECT_EQ(show("101")["definition"]["resources"]["memory"]["limit"], "128M");
  EXPECT_TRUE(has_event("101", "vps.changed"));
}

TEST_F(ChangeTest, ALimitThatIsUnsetIsLifted) {
  running_vps();
  ASSERT_EQ(set("101", {"resources.memory.limit="}).status, 200);
  EXPECT_EQ(kernel("101", "memory.max"), "max");
  EXPECT_FALSE(show("101")["definition"].contains("resources"));
}

TEST_F(ChangeTest, SavedOnlyIsSaidToWait) {
  running_vps();
  auto answer = set("101", {"ram=256M"}, "saved");
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_EQ(kernel("101", "memory.max"), "67108864");
  EXPECT_EQ(answer.json["restartRequired"], json({"resources.memory.limit"}));
  EXPECT_EQ(show("101")["status"]["restartRequired"], json({"resources.memory.limit"}));
  drop_group("101");
  act("101", "restart");
  EXPECT_THAT(show("101")["status"]["restartRequired"], IsEmpty());
}

TEST_F(ChangeTest, LiveOnlyIsForgottenAtTheNextStart) {
  running_vps();
  auto answer = set("101", {"ram=256M"}, "live");
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_EQ(kernel("101", "memory.max"), "268435456");
  EXPECT_THAT(*read_file(paths("101").definition), HasSubstr("64M"));
  EXPECT_EQ(show("101")["definition"]["resources"]["memory"]["limit"], "64M");
  restart();
  make_group("101");
  // The next change starts from what is in force.
  EXPECT_EQ(set("101", {"resources.pids.limit=7"}, "live").json["changes"].size(), 1u);
  auto refused = set("101", {"hostname=x.example"}, "live");
  EXPECT_EQ(refused.code(), "usage");
  EXPECT_THAT(refused.text, HasSubstr("next start"));
  drop_group("101");
  act("101", "stop");
  EXPECT_EQ(set("101", {"ram=1G"}, "live").code(), "wrong_state");
}

TEST_F(ChangeTest, WhatNeedsARestartIsNamed) {
  running_vps();
  auto answer = set("101", {"hostname=new.example", "labels.customer=42"});
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_EQ(answer.json["restartRequired"], json({"hostname"}));
  EXPECT_EQ(api_.get("/v1/containers").json[0]["restartRequired"], true);
  restart();
  EXPECT_EQ(show("101")["status"]["restartRequired"], json({"hostname"})) << "also after a restart of vpsd";
}

TEST_F(ChangeTest, WhenSavingFailsTheKernelGetsTheOldLimitsBack) {
  running_vps();
  auto before = *read_file(paths("101").definition);
  for (const char* step : {"live", "saved"}) {
    SCOPED_TRACE(step);
    ASSERT_TRUE(failpoint::configure(fmt::format("daemon.change.{}=error:ENOSPC", step)));
    auto answer = set("101", {"ram=128M", "resources.pids.limit=100", "name=other"});
    ASSERT_TRUE(failpoint::configure(""));
    EXPECT_EQ(answer.status, 507) << answer.text;
    EXPECT_EQ(kernel("101", "memory.max"), "67108864");
    EXPECT_EQ(kernel("101", "pids.max"), "max");
    EXPECT_EQ(*read_file(paths("101").definition), before);
    EXPECT_EQ(show("101")["definition"]["resources"]["memory"]["limit"], "64M");
    EXPECT_EQ(state("other"), "not_found");
  }
}

TEST_F(ChangeTest, ABadValueChangesNothing) {
  running_vps();
  auto before = *read_file(paths("101").definition);
  for (const char* bad : {"ram=12 apples", "nonsense=1", "id=102", "template=sysd", "resources.pids.limit=-1", "ram"}) {
    auto answer = set("101", {"hostname=good.example", bad});
    EXPECT_EQ(answer.code(), "usage") << bad << answer.text;
  }
  EXPECT_EQ(*read_file(paths("101").definition), before);
  EXPECT_EQ(api_.patch("/v1/containers/101", {{"set", json::array()}}).code(), "usage");
  EXPECT_EQ(set("101", {"ram=1G"}, "sometimes").code(), "usage");
}

TEST_F(ChangeTest, ReplacingTheWholeDefinition) {
  create("101", {{"name", "web"}, {"labels", {{"a", "1"}}}});
  auto yaml = api_.get("/v1/containers/101?format=yaml").text;
  auto same = api_.put("/v1/containers/101", {{"yaml", yaml}, {"file", "x.yaml"}});
  EXPECT_EQ(same.status, 200) << same.text;
  EXPECT_THAT(same.json["changes"], IsEmpty());
  auto dry = api_.put("/v1/containers/101", {{"definition", {{"id", "101"}, {"template", "plain"}}}, {"dryRun", true}});
  EXPECT_EQ(dry.json["changes"].size(), 2u) << dry.text;
  EXPECT_EQ(show("101")["definition"]["name"], "web");
  auto put = api_.put("/v1/containers/101", {{"definition", {{"id", "101"}, {"template", "plain"}}}});
  EXPECT_EQ(put.status, 200) << put.text;
  EXPECT_FALSE(show("101")["definition"].contains("name"));
  EXPECT_EQ(api_.put("/v1/containers/101", {{"definition", {{"id", "102"}, {"template", "plain"}}}}).code(), "usage");
  EXPECT_EQ(api_.put("/v1/containers/101", {{"definition", {{"id", "101"}, {"template", "sysd"}}}}).code(), "usage");
  auto bad = api_.put("/v1/containers/101", {{"yaml", "id: '101'\ntemplate: plain\nbogus: 1\n"}, {"file", "my.yaml"}});
  EXPECT_EQ(bad.code(), "usage");
  EXPECT_THAT(bad.text, HasSubstr("my.yaml:3"));
}

TEST(LiftedLimitsTest, NamesWhatIsNotThereAnyMore) {
  oci::Resources from;
  from.memory.emplace().limit = 100;
  from.memory->swap = 200;
  from.cpu.emplace().quota = 5'000;
  from.cpu->period = 100'000;
  from.cpu->cpus = "1";
  from.pids.emplace().limit = 10;
  from.block_io.emplace().throttle_read_bps = {{8, 0, 1000}, {8, 16, 1000}};
  from.unified = {{"cpu.weight", "50"}, {"memory.low", "4096"}, {"memory.swap.max", "0"}};
  oci::Resources to;
  to.block_io.emplace().throttle_read_bps = {{8, 16, 500}};
  auto lifted = with_lifted_limits(from, to, 4);
  EXPECT_EQ(lifted.memory->limit, -1);
  EXPECT_EQ(lifted.memory->swap, -1);
  EXPECT_EQ(lifted.cpu->quota, -1);
  EXPECT_EQ(lifted.cpu->cpus, "0-3");
  EXPECT_EQ(lifted.pids->limit, -1);
  ASSERT_EQ(lifted.block_io->throttle_read_bps.size(), 2u);
  EXPECT_EQ(lifted.block_io->throttle_read_bps[0].rate, 500u);
  EXPECT_EQ(lifted.block_io->throttle_read_bps[1].rate, 0u);
  EXPECT_EQ(lifted.unified, (oci::StringMap{{"cpu.weight", "100"}, {"memory.low", "0"}, {"memory.swap.max", "max"}}));
  auto nothing = with_lifted_limits({}, {}, 4);
  EXPECT_FALSE(nothing.memory || nothing.cpu || nothing.pids || nothing.block_io);
}

}  // namespace
}  // namespace vps::daemon::test
