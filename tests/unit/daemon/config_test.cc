#include "daemon/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace vps::daemon {
namespace {

using testing::HasSubstr;

TEST(ConfigTest, AMissingOrEmptyFileIsTheDefault) {
  test::TempDir dir;
  auto config = load_config(dir / "vpsd.yaml");
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->socket_path(), "/run/vps/vpsd.sock");
  EXPECT_EQ(config->restart, BackoffPolicy());
  ASSERT_TRUE(parse_config("", "x"));
  ASSERT_TRUE(parse_config("# nothing\n", "x"));
}

TEST(ConfigTest, ReadsEveryKey) {
  auto config = parse_config(
      "socket: /s\nsupervisor: /sup\nstateDir: /st\nrunDir: /r\ncgroup: a/b\nlogLevel: debug\n"
      "idmap: {base: 131072, count: 7}\nevents: {keep: 10, maxAge: 48h}\n"
      "restart: {backoff: 5ms, maxBackoff: 1s, resetAfter: 2m}\nstats: {interval: 30s}\noperations: {keep: 3}\n"
      "boot: {parallel: 9}\n",
      "x");
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->socket, "/s");
  EXPECT_EQ(config->supervisor, "/sup");
  EXPECT_EQ(config->roots.state, "/st");
  EXPECT_EQ(config->roots.run, "/r");
  EXPECT_EQ(config->roots.cgroup_name, "a/b");
  EXPECT_EQ(config->log_level, log::Level::kDebug);
  EXPECT_EQ(config->idmap_base, 131072u);
  EXPECT_EQ(config->idmap_count, 7u);
  EXPECT_EQ(config->events.max_events, 10u);
  EXPECT_EQ(config->events.max_age.count(), 48);
  EXPECT_EQ(config->restart, (BackoffPolicy{Milliseconds(5), Milliseconds(1'000), Milliseconds(120'000)}));
  EXPECT_EQ(config->stats_interval.count(), 30'000);
  EXPECT_EQ(config->operations_kept, 3u);
  EXPECT_EQ(config->start_parallel, 9u);
}

struct Bad {
  const char* yaml;
  const char* says;
};
void PrintTo(const Bad& value, std::ostream* out) { *out << value.says; }
class ConfigErrorTest : public testing::TestWithParam<Bad> {};

TEST_P(ConfigErrorTest, OneLineWithFileLineAndKey) {
  auto config = parse_config(GetParam().yaml, "vpsd.yaml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code(), Code::kUsage);
  EXPECT_THAT(config.error().to_string(), HasSubstr(GetParam().says));
  EXPECT_EQ(config.error().to_string().find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    All, ConfigErrorTest,
    testing::Values(Bad{"\nsokcet: /x\n", "vpsd.yaml:2: unknown key sokcet"},
                    Bad{"idmap: {bass: 1}\n", "vpsd.yaml:1: unknown key idmap.bass"},
                    Bad{"socket: x\n", "vpsd.yaml:1: socket: expected an absolute path, found 'x'"},
                    Bad{"socket: /a\nsocket: /b\n", "vpsd.yaml:2: socket stands there twice"},
                    Bad{"socket: [a]\n", "vpsd.yaml:1: socket: expected one value"},
                    Bad{"idmap: 7\n", "vpsd.yaml:1: idmap. expected keys with values"},
                    Bad{"- a\n", "vpsd.yaml:1: expected keys with values"},
                    Bad{"idmap: {base: 65535}\n", "vpsd.yaml:1: idmap.base: expected a number from 65536"},
                    Bad{"idmap: {base: 4294836224, count: 2000}\n", "do not fit below 2^32"},
                    Bad{"idmap: {count: 0}\n", "idmap.count: expected a number from 1"},
                    Bad{"events: {maxAge: 5s}\n", "events.maxAge: expected a duration of at least"},
                    Bad{"restart: {backoff: 2m}\n", "restart.maxBackoff is shorter"},
                    Bad{"restart: {backoff: soon}\n", "restart.backoff: expected a duration"},
                    Bad{"cgroup: ../x\n", "cgroup: expected a name"},
                    Bad{"cgroup: /x\n", "cgroup: expected a name"},
                    Bad{"logLevel: loud\n", "logLevel: expected debug, info, warning or error, found 'loud'"},
                    Bad{"a: b: c\n", "vpsd.yaml:1: "},
                    Bad{"a: [\n", "vpsd.yaml:"}));

}  // namespace
}  // namespace vps::daemon
