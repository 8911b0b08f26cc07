#include "runtime/exec_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "namespaces/seccomp_compact.h"
#include "specs/oci/json.h"
#include "tests/support/temp_dir.h"

namespace vps::runtime {
namespace {

class ExecSpecTest : public testing::Test {
 protected:
  void SetUp() override {
    spec_.oci_version = "1.3.0";
    spec_.process.emplace().args = {"sh"};
    spec_.process->cwd = "/";
    spec_.root.emplace().path = "/rootfs";
    spec_.mounts.emplace_back().destination = "/proc";
    spec_.linux_.emplace().namespaces = {{"pid", ""}, {"mount", ""}};
    auto& seccomp = spec_.linux_->seccomp.emplace();
    seccomp.default_action = "SCMP_ACT_ERRNO";
    seccomp.architectures = {"SCMP_ARCH_X86_64"};
    add_rule({"read", "write", "exit"}, "SCMP_ACT_ALLOW");
    save();
    directory_ = std::move(*open_dir(dir_ / ""));
  }
  void add_rule(oci::Strings names, const char* action) {
    auto& rule = spec_.linux_->seccomp->syscalls.emplace_back();
    rule.names = std::move(names);
    rule.action = action;
  }
  void save() { ASSERT_TRUE(write_file_atomic(dir_ / "config.json", oci::format_spec(spec_))); }
  ExecSpec read() {
    auto result = read_exec_spec(directory_.get(), "config.json", dir_ / "cache");
    EXPECT_TRUE(result) << (result ? "" : result.error().to_string());
    return result ? std::move(*result) : ExecSpec{};
  }
  std::vector<std::uint64_t> filter() {
    auto compiled = namespaces::compile_seccomp(*spec_.linux_->seccomp);
    if (!compiled) return std::vector<std::uint64_t>{};
    return namespaces::compact_filter(compiled->instructions).value_or(compiled->instructions);
  }
  // Every way leads to the same process and the same filter.
  void expect_right(const ExecSpec& got) {
    EXPECT_EQ(got.spec.process, spec_.process);
    EXPECT_EQ(got.spec.linux_->namespaces, spec_.linux_->namespaces);
    ASSERT_TRUE(got.seccomp);
    EXPECT_EQ(got.seccomp->instructions, filter());
  }
  bool was_short(const ExecSpec& got) { return got.spec.mounts.empty() && got.spec.linux_->seccomp->syscalls.empty(); }

  vps::test::TempDir dir_;
  UniqueFd directory_;
  oci::Spec spec_;
};

TEST_F(ExecSpecTest, TheSecondReadingIsTheShortOne) {
  auto first = read();
  expect_right(first);
  EXPECT_FALSE(was_short(first));
  auto second = read();
  expect_right(second);
  EXPECT_TRUE(was_short(second));
}

TEST_F(ExecSpecTest, AnotherConfigIsNotTakenForTheOldOne) {
  read();
  spec_.linux_->seccomp->syscalls[0].names = {"read"};
  save();
  auto got = read();
  expect_right(got);
  EXPECT_FALSE(was_short(got));
}

TEST_F(ExecSpecTest, DamageMeansTheLongWay) {
  read();
  for (const char* text : {"", "1", "{}", "1 2 3 4.5 -\n{}"}) {
    ASSERT_TRUE(write_file_atomic(dir_ / "config.json.exec", text));
    expect_right(read());
  }
  auto whole = read_file(dir_ / "config.json.exec");
  ASSERT_TRUE(whole);
  ASSERT_TRUE(write_file_atomic(dir_ / "config.json.exec", whole->substr(0, whole->size() / 2)));
  expect_right(read());
  // The filter that it names is gone, or is another's.
  read();
  ASSERT_TRUE(remove_tree(dir_ / "cache"));
  auto got = read();
  expect_right(got);
  EXPECT_FALSE(was_short(got));
}

TEST_F(ExecSpecTest, RulesThatNotifyAndTheListenerStay) {
  spec_.linux_->seccomp->listener_path = "/run/agent.sock";
  add_rule({"mkdir"}, "SCMP_ACT_NOTIFY");
  save();
  read();
  auto got = read();
  ASSERT_EQ(got.spec.linux_->seccomp->syscalls.size(), 1u);
  EXPECT_EQ(got.spec.linux_->seccomp->listener_path, "/run/agent.sock");
  ASSERT_TRUE(got.seccomp);
  EXPECT_TRUE(got.seccomp->needs_listener);
}

TEST_F(ExecSpecTest, WithoutAProfileOrACacheItWorksToo) {
  auto uncached = read_exec_spec(directory_.get(), "config.json", "");
  ASSERT_TRUE(uncached);
  EXPECT_FALSE(uncached->seccomp) << "compiled by the exec itself";
  EXPECT_EQ(uncached->spec.linux_->seccomp, spec_.linux_->seccomp);
  spec_.linux_->seccomp.reset();
  save();
  read();
  auto got = read();
  EXPECT_FALSE(got.seccomp);
  EXPECT_FALSE(got.spec.linux_->seccomp);
  EXPECT_TRUE(got.spec.mounts.empty()) << "the short form";
}

}  // namespace
}  // namespace vps::runtime
