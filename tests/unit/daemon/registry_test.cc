#include "daemon/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vps::daemon {
namespace {

class RegistryTest : public testing::Test {
 protected:
  Result<> add(const std::string& id, const std::string& name = "", const std::string& uuid = "") {
    return registry_.add(std::make_shared<Container>(Roots(), id, BackoffPolicy()), name, uuid);
  }
  std::string find(const std::string& reference) {
    auto found = registry_.find(reference);
    return found ? (*found)->id : std::string(code_name(found.error().code()));
  }
  Registry registry_;
};

TEST_F(RegistryTest, FindsByIdNameAndUuid) {
  ASSERT_TRUE(add("101", "web", "uuid-1"));
  EXPECT_EQ(find("101"), "101");
  EXPECT_EQ(find("web"), "101");
  EXPECT_EQ(find("uuid-1"), "101");
  EXPECT_EQ(find("nobody"), "not_found");
  EXPECT_TRUE(registry_.uuid_taken("uuid-1"));
  registry_.remove("101");
  for (const char* each : {"101", "web", "uuid-1"}) EXPECT_EQ(find(each), "not_found");
  registry_.remove("101");
}

TEST_F(RegistryTest, NothingIsTakenTwice) {
  ASSERT_TRUE(add("101", "web", "uuid-1"));
  EXPECT_EQ(add("101").error().code(), Code::kExists);
  EXPECT_EQ(add("102", "web").error().code(), Code::kExists);
  EXPECT_EQ(add("102", "", "uuid-1").error().code(), Code::kExists);
  EXPECT_EQ(add("102", "101").error().code(), Code::kExists) << "a name that is another's id";
  EXPECT_EQ(add("web").error().code(), Code::kExists) << "an id that is another's name";
  EXPECT_EQ(find("102"), "not_found") << "what was refused leaves nothing";
  EXPECT_TRUE(add("102", "102")) << "its own id as its name";
}

TEST_F(RegistryTest, Rename) {
  ASSERT_TRUE(add("101", "web"));
  ASSERT_TRUE(add("102", "db"));
  EXPECT_EQ(registry_.rename("101", "db").error().code(), Code::kExists);
  EXPECT_EQ(registry_.rename("101", "102").error().code(), Code::kExists);
  EXPECT_EQ(find("web"), "101");
  ASSERT_TRUE(registry_.rename("101", "www"));
  ASSERT_TRUE(registry_.rename("101", "www"));
  EXPECT_EQ(find("web"), "not_found");
  EXPECT_EQ(find("www"), "101");
  ASSERT_TRUE(registry_.rename("101", ""));
  EXPECT_EQ(find("www"), "not_found");
  EXPECT_EQ(registry_.rename("999", "x").error().code(), Code::kNotFound);
}

TEST_F(RegistryTest, ListsNumbersByValue) {
  for (const char* id : {"web", "10", "9", "100", "a1", "1-a", "09"}) ASSERT_TRUE(add(id));
  std::vector<std::string> ids;
  for (const auto& each : registry_.list()) ids.push_back(each->id);
  EXPECT_EQ(ids, (std::vector<std::string>{"09", "9", "10", "100", "1-a", "a1", "web"}));
}

}  // namespace
}  // namespace vps::daemon
