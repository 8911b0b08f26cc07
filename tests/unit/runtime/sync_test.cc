#include "runtime/sync.h"

#include <gmock/gmock.h>

#include <cerrno>

namespace vps::runtime {
namespace {

struct Ends {
  SyncChannel parent, child;
};
Ends make_ends() {
  auto pair = Seqpacket::make_pair();
  return {SyncChannel(std::move(pair->first)), SyncChannel(std::move(pair->second))};
}

TEST(SyncChannel, FailureIsLegalAtEveryWait) {
  auto ends = make_ends();
  ends.child.send_failure({.step = "mounts", .error = Error(Code::kNotAllowed, EPERM, "mount proc on /proc")});
  auto got = ends.parent.expect(SyncMessage::kReady);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().to_string(), "mounts: mount proc on /proc: Operation not permitted");
  EXPECT_EQ(got.error().code(), Code::kNotAllowed);
}

TEST(SyncChannel, LogLinesPassThrough) {
  auto ends = make_ends();
  std::string seen;
  log::set_sink([&](log::Level level, std::string_view text) { seen = fmt::format("{} {}", log::level_name(level), text); },
                log::Level::kDebug);
  ends.child.send_log(log::Level::kInfo, "hello");
  ASSERT_TRUE(ends.child.send(SyncMessage::kReady));
  EXPECT_TRUE(ends.parent.expect(SyncMessage::kReady));
  EXPECT_EQ(seen, "info hello");
  log::set_sink({}, log::Level::kWarning);
}

TEST(SyncChannel, EndOfFileAndWrongMessages) {
  auto ends = make_ends();
  ASSERT_TRUE(ends.child.send(SyncMessage::kWantMounts));
  auto wrong = ends.parent.expect(SyncMessage::kReady);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message(), "expected ready, got want-mounts");
  ends.child.close();
  auto end = ends.parent.expect(SyncMessage::kReady);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().err(), EPIPE);
}

TEST(SyncFailure, RefusesTruncation) {
  auto whole = encode(Failure{.step = "s", .error = Error(Code::kFailed, "x")});
  EXPECT_TRUE(decode_failure(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(decode_failure(std::string_view(whole).substr(0, size)));
}

}  // namespace
}  // namespace vps::runtime
