#include "runtime/hooks.h"

#include <gmock/gmock.h>

#include "base/files.h"
#include "tests/support/temp_dir.h"

namespace vps::runtime {
namespace {

oci::Hook shell(std::string script, std::optional<int> timeout = {}) {
  return {.path = "/bin/sh", .args = {"sh", "-c", std::move(script)}, .env = {"KEY=value"}, .timeout = timeout};
}

TEST(Hooks, GetStateEnvironmentAndOrder) {
  test::TempDir dir;
  oci::Spec spec;
  spec.annotations["a"] = "b";
  auto state = hook_state(spec, "c1", "/bundle", 42, "creating");
  auto done = run_hooks({shell("cat > " + (dir / "state")), shell("echo \"$KEY\" > " + (dir / "env") + "; test -s " + (dir / "state"))}, state);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(*read_file(dir / "env"), "value\n");
  EXPECT_EQ(*read_file(dir / "state"),
            R"({"annotations":{"a":"b"},"bundle":"/bundle","id":"c1","ociVersion":"1.3.0","pid":42,"status":"creating"})");
}

TEST(Hooks, FailuresNameTheHookAndShowItsWords) {
  auto failed = run_hooks({shell("echo no such disk >&2; exit 7")}, "{}");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().to_string(), "/bin/sh: exit code 7: no such disk");
  auto killed = run_hooks({shell("kill -9 $$")}, "{}");
  EXPECT_EQ(killed.error().to_string(), "/bin/sh: killed by signal 9");
  auto missing = run_hooks({{.path = "/nonexistent", .args = {}, .env = {}, .timeout = {}}}, "{}");
  EXPECT_EQ(missing.error().to_string(), "/nonexistent: cannot execute: No such file or directory");
}

TEST(Hooks, TimeoutKillsTheHook) {
  auto late = run_hooks({shell("exec sleep 60", 1)}, "{}");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Code::kTimedOut);
}

TEST(Hooks, AHookNeedNotReadItsState) {
  std::string state(100'000, 'x');
  EXPECT_TRUE(run_hooks({shell("exit 0")}, state));
}

}  // namespace
}  // namespace vps::runtime
