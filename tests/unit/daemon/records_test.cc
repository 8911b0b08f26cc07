#include "daemon/records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "tests/support/temp_dir.h"

namespace vps::daemon {
namespace {

using testing::HasSubstr;

Record example() {
  return {.id = "101",
          .uuid = "2c2c7a2e-0000-4000-8000-000000000001",
          .template_name = "debian-12",
          .template_digest = "sha256:00ff",
          .created = "2024-03-01T12:00:00.000Z",
          .ids = {1u << 20, 65536},
          .addresses = {{"default", "101", "eth0", *parse_prefix("10.200.0.2/16"), false},
                        {"default", "101", "eth0", *parse_prefix("fd00::2/64"), true}}};
}

TEST(RecordsTest, RoundTrip) {
  auto parsed = parse_record(format_record(example()));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(*parsed, example());
}

TEST(RecordsTest, OlderOnesSayNothingOfAddresses) {
  auto record = parse_record(R"({"schema": 1, "id": "101", "uuid": "u", "template": "t", "templateDigest": "", "created": "", "ids": {"base": 1, "size": 1}})");
  ASSERT_TRUE(record) << record.error().to_string();
  EXPECT_TRUE(record->addresses.empty());
}

TEST(RecordsTest, AddressesAreAList) {
  auto text = [](const char* addresses) {
    return std::string(R"({"schema": 1, "id": "1", "uuid": "u", "template": "t", "templateDigest": "", "created": "", "ids": {"base": 1, "size": 1}, "addresses": )") + addresses + "}";
  };
  EXPECT_TRUE(parse_record(text("[]")));
  for (const char* wrong : {"{}", "7", "[7]", "[{}]", R"([{"network": "n", "interface": "e", "address": 1, "fixed": true}])"})
    EXPECT_EQ(parse_record(text(wrong)).error().code(), Code::kUsage) << wrong;
}

struct Edit {
  const char* from;
  const char* to;
  const char* says;
};
void PrintTo(const Edit& value, std::ostream* out) { *out << value.says; }
class RecordErrorTest : public testing::TestWithParam<Edit> {};

TEST_P(RecordErrorTest, IsRefusedByName) {
  std::string text = format_record(example());
  auto at = text.find(GetParam().from);
  ASSERT_NE(at, std::string::npos) << text;
  text.replace(at, std::string_view(GetParam().from).size(), GetParam().to);
  auto parsed = parse_record(text);
  ASSERT_FALSE(parsed) << text;
  EXPECT_EQ(parsed.error().code(), Code::kUsage);
  EXPECT_THAT(parsed.error().to_string(), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(All, RecordErrorTest,
                         testing::Values(Edit{"{", "[", "not a JSON object"},
                                         Edit{"\"schema\": 1", "\"schema\": 2", "unknown schema version 2"},
                                         Edit{"\"uuid\"", "\"uiud\"", "unknown member 'uiud'"},
                                         Edit{"\"id\": \"101\"", "\"id\": 101", "record.json"},
                                         Edit{"\"id\": \"101\"", "\"id\": \"../x\"", "is not an id"},
                                         Edit{"65536", "-1", "ids.size is not a 32-bit number"},
                                         Edit{"1048576", "4294967296", "ids.base is not a 32-bit number"},
                                         Edit{"1048576", "4294967295", "ends above 2^32"},
                                         Edit{"10.200.0.2/16", "10.200.0.2/99", "record.json: addresses"},
                                         Edit{"\"fixed\": false", "\"fixed\": 0", "record.json"},
                                         Edit{"\"interface\"", "\"interfaze\"", "interface"}));

class RecordsOnDiskTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(make_dirs(paths_.state_dir)); }
  test::TempDir dir_;
  Roots roots_{.config = dir_ / "etc", .state = dir_ / "state", .run = dir_ / "run", .cgroup_name = "t"};
  VpsPaths paths_ = vps_paths(roots_, "101");
};

TEST_F(RecordsOnDiskTest, SavesAndLoads) {
  EXPECT_EQ(load_record(paths_).error().code(), Code::kNotFound);
  ASSERT_TRUE(save_record(paths_, example()));
  EXPECT_EQ(*load_record(paths_), example());
}

TEST_F(RecordsOnDiskTest, Markers) {
  EXPECT_FALSE(path_exists(marker_path(paths_, Marker::kCreating)));
  ASSERT_TRUE(set_marker(paths_, Marker::kCreating));
  EXPECT_TRUE(path_exists(marker_path(paths_, Marker::kCreating)));
  EXPECT_FALSE(path_exists(marker_path(paths_, Marker::kDestroying)));
  ASSERT_TRUE(clear_marker(paths_, Marker::kCreating));
  ASSERT_TRUE(clear_marker(paths_, Marker::kCreating));
  EXPECT_FALSE(path_exists(marker_path(paths_, Marker::kCreating)));
}

TEST_F(RecordsOnDiskTest, ListsIdsAndStrangers) {
  ASSERT_TRUE(make_dirs(roots_.state + "/containers/web"));
  ASSERT_TRUE(make_dirs(roots_.state + "/containers/LOST+found"));
  std::vector<std::string> strangers;
  auto ids = list_container_dirs(roots_, &strangers);
  ASSERT_TRUE(ids);
  EXPECT_EQ(*ids, (std::vector<std::string>{"101", "web"}));
  EXPECT_EQ(strangers, std::vector<std::string>{"LOST+found"});
  Roots none = roots_;
  none.state = dir_ / "nowhere";
  EXPECT_TRUE(list_container_dirs(none, nullptr)->empty());
}

TEST_F(RecordsOnDiskTest, SetsAsideWithoutOverwriting) {
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(write_file_atomic(paths_.record, "rubbish"));
    auto aside = quarantine_file(roots_, "101", paths_.record);
    ASSERT_TRUE(aside) << aside.error().to_string();
    EXPECT_EQ(*read_file(*aside), "rubbish");
    EXPECT_FALSE(path_exists(paths_.record));
  }
  EXPECT_EQ(list_dir(roots_.state + "/quarantine")->size(), 2u);
}

}  // namespace
}  // namespace vps::daemon
