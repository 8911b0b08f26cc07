#include "runtime/resctrl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "tests/support/temp_dir.h"

namespace vps::runtime {
namespace {

using testing::HasSubstr;

// A tree as the kernel has it. The files of a group that is made come from the kernel, so only groups that are there can be entered.
class Resctrl : public testing::Test {
 protected:
  void SetUp() override {
    group("");
    group("/shared");
  }
  void group(const std::string& name) {
    ASSERT_TRUE(make_dirs(root() + name + "/mon_groups"));
    ASSERT_TRUE(write_file_atomic(root() + name + "/schemata", "    L3:0=ff;1=ff\n    MB:0=100\n"));
    ASSERT_TRUE(write_file_atomic(root() + name + "/tasks", ""));
  }
  [[nodiscard]] std::string root() const { return temp_.path() + "/resctrl"; }
  test::TempDir temp_;
};

TEST_F(Resctrl, ProcessJoinsTheGroupThatIsNamed) {
  oci::IntelRdt rdt;
  rdt.clos_id = "shared";
  ASSERT_TRUE(enter_resctrl(root(), rdt, "id", 77));
  EXPECT_EQ(read_file(root() + "/shared/tasks").value_or(""), "77");
  rdt.schemata = {"L3:0=ff;1=ff", "MB:0=100"};
  EXPECT_TRUE(enter_resctrl(root(), rdt, "id", 78)) << "they are what is there";
  rdt.schemata = {"L3:0=f"};
  auto differs = enter_resctrl(root(), rdt, "id", 79);
  ASSERT_FALSE(differs);
  EXPECT_THAT(differs.error().message(), HasSubstr("other schemata"));
  EXPECT_TRUE(leave_resctrl(root(), rdt, "id"));
  EXPECT_TRUE(path_exists(root() + "/shared")) << "it is not ours";
}

TEST_F(Resctrl, ErrorsLeaveNoGroup) {
  oci::IntelRdt rdt;
  rdt.clos_id = "missing";
  EXPECT_EQ(enter_resctrl(root(), rdt, "id", 77).error().code(), Code::kNotFound);
  rdt.clos_id.clear();
  rdt.l3_cache_schema = "L3:0=f";
  EXPECT_FALSE(enter_resctrl(root(), rdt, "id", 77)) << "no kernel makes its files here";
  EXPECT_FALSE(path_exists(root() + "/id"));
  EXPECT_TRUE(leave_resctrl(root(), rdt, "id")) << "already gone";
  EXPECT_EQ(enter_resctrl(temp_.path(), rdt, "id", 77).error().code(), Code::kUnavailable);
}

TEST_F(Resctrl, SchemataChangeAndTellWhatTheyWere) {
  oci::IntelRdt rdt;
  rdt.clos_id = "shared";
  rdt.l3_cache_schema = "L3:0=f";
  rdt.mem_bw_schema = "MB:0=20";
  EXPECT_EQ(resctrl_schemata(rdt), "L3:0=f\nMB:0=20\n");
  auto before = change_resctrl(root(), rdt, "id", resctrl_schemata(rdt));
  ASSERT_TRUE(before);
  EXPECT_THAT(*before, HasSubstr("MB:0=100"));
  EXPECT_THAT(read_file(root() + "/shared/schemata").value_or(""), testing::StartsWith("L3:0=f\nMB:0=20\n"));
}

}  // namespace
}  // namespace vps::runtime
