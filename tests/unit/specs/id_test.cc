#include "specs/vps/id.h"

#include <gtest/gtest.h>

#include <set>

namespace vps {
namespace {

std::string message(const Result<>& result) { return result ? "ok" : result.error().to_string(); }

TEST(Id, AcceptsWhatTheInterfaceAllows) {
  for (std::string id : {"101", "a", "0", "web-1", "x-", "a--b"}) EXPECT_EQ(message(validate_id(id)), "ok") << id;
  EXPECT_EQ(message(validate_id(std::string(63, 'a'))), "ok");
}

TEST(Id, RefusesEverythingElse) {
  for (std::string id : {"-a", "A", "web.1", "a/b", "..", "a b", "a\n", "ä", "_a"}) {
    auto result = validate_id(id);
    ASSERT_FALSE(result) << id;
    EXPECT_EQ(result.error().code(), Code::kUsage);
  }
  EXPECT_EQ(message(validate_id("")), "an id must not be empty");
  EXPECT_EQ(message(validate_id("Web")), "'Web' is not an id (a-z, 0-9 and -, not starting with -)");
  EXPECT_EQ(message(validate_id("a\nb")), "'a?b' is not an id (a-z, 0-9 and -, not starting with -)");
  EXPECT_EQ(message(validate_id(std::string(64, 'a'))), "id '" + std::string(64, 'a') + "' is longer than 63 characters");
  EXPECT_FALSE(validate_id(std::string_view("a\0b", 3)));
}

TEST(Name, Edges) {
  for (std::string name : {"web", "Web_1.example-x", "7"}) EXPECT_EQ(message(validate_name(name)), "ok") << name;
  EXPECT_EQ(message(validate_name(std::string(63, 'N'))), "ok");
  EXPECT_FALSE(validate_name(std::string(64, 'N')));
  for (std::string name : {".a", "-a", "_a", "a b", "a/b", "a:b"}) EXPECT_FALSE(validate_name(name)) << name;
  EXPECT_EQ(message(validate_name("")), "a name must not be empty");
  EXPECT_EQ(message(validate_name("a/b")),
            "'a/b' is not a name (letters, digits, '.', '_' and '-', starting with a letter or digit)");
}

TEST(Hostname, Rfc1123) {
  for (std::string name : {"web", "web.example.org", "101", "a-b.c", "3com.com"})
    EXPECT_EQ(message(validate_hostname(name)), "ok") << name;
  EXPECT_EQ(message(validate_hostname(std::string(63, 'h'))), "ok");
  EXPECT_FALSE(validate_hostname(std::string(64, 'h'))) << "one label may have 63 only";
  EXPECT_EQ(message(validate_hostname(std::string(31, 'h') + "." + std::string(32, 'h'))), "ok");
  EXPECT_FALSE(validate_hostname(std::string(32, 'h') + "." + std::string(32, 'h'))) << "65 in all";
  for (std::string name : {".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "a_b", "a b"})
    EXPECT_FALSE(validate_hostname(name)) << name;
  EXPECT_EQ(message(validate_hostname("a_b")),
            "'a_b' is not a host name (labels of at most 63 letters, digits and inner '-', joined by '.')");
  EXPECT_EQ(message(validate_hostname("")), "a host name must not be empty");
}

TEST(Uuid, Version4AndNeverTheSame) {
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    auto uuid = make_uuid();
    ASSERT_EQ(uuid.size(), 36u);
    for (std::size_t at : {8u, 13u, 18u, 23u}) EXPECT_EQ(uuid[at], '-') << uuid;
    EXPECT_EQ(uuid[14], '4') << uuid;
    EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos) << uuid;
    EXPECT_EQ(uuid.find_first_not_of("0123456789abcdef-"), std::string::npos);
    EXPECT_TRUE(seen.insert(uuid).second);
  }
}

TEST(Paths, AreFunctionsOfTheId) {
  Roots roots{.config = "/c", .state = "/s", .run = "/r", .cgroup_name = "g"};
  auto paths = vps_paths(roots, "101");
  EXPECT_EQ(paths.state_dir, "/s/containers/101");
  EXPECT_EQ(paths.definition, "/s/containers/101/vps.yaml");
  EXPECT_EQ(paths.record, "/s/containers/101/record.json");
  EXPECT_EQ(paths.disk, "/s/containers/101/disk");
  EXPECT_EQ(paths.console_log, "/s/containers/101/console.log");
  EXPECT_EQ(paths.run_dir, "/r/containers/101");
  EXPECT_EQ(paths.run_state, "/r/containers/101/state.json");
  EXPECT_EQ(paths.bundle_config, "/r/containers/101/config.json");
  EXPECT_EQ(paths.plan, "/r/containers/101/plan.json");
  EXPECT_EQ(paths.supervisor_socket, "/r/containers/101/supervisor.sock");
  EXPECT_EQ(paths.host_dir, "/r/containers/101/host");
  EXPECT_EQ(paths.cgroup_parent, "g/101");
  EXPECT_EQ(paths.cgroup_payload, "g/101/payload");
  EXPECT_EQ(paths.cgroup_supervisor, "g/101/supervisor");
}

}  // namespace
}  // namespace vps
