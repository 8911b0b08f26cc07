#include "runtime/supervisor/console.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <pty.h>
#include <termios.h>

#include "base/files.h"
#include "runtime/supervisor/protocol.h"
#include "tests/support/temp_dir.h"

namespace vps::supervisor {
namespace {

using std::chrono::milliseconds;

class ConsoleTest : public testing::Test {
 protected:
  void SetUp() override {
    int master = -1;
    int slave = -1;
    ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
    slave_.reset(slave);
    termios raw{};
    ::tcgetattr(slave, &raw);
    ::cfmakeraw(&raw);
    ::tcsetattr(slave, TCSANOW, &raw);
    ASSERT_TRUE(console_.attach_master(UniqueFd(master)));
  }
  void settle() {
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(loop_.step(milliseconds(5)));
  }
  Seqpacket attach(bool readonly) {
    auto pair = Seqpacket::make_pair();
    console_.add_reader(std::move(pair->second), readonly);
    (void)pair->first.set_nonblocking(true);
    return std::move(pair->first);
  }
  // Everything that the reader has received: the role first, then the output in one piece.
  static std::pair<std::string, std::string> received(const Seqpacket& reader) {
    std::pair<std::string, std::string> got;
    while (true) {
      auto packet = reader.receive();
      if (!packet || !*packet) return got;
      auto type = static_cast<Message>((*packet)->type);
      if (type == Message::kAttached) got.first = (*packet)->body;
      if (type == Message::kSessionOutput) got.second += (*packet)->body;
    }
  }

  test::TempDir dir_;
  EventLoop loop_ = std::move(*EventLoop::create());
  Console console_{loop_, dir_ / "console.log", 64};
  UniqueFd slave_;
};

TEST_F(ConsoleTest, LogsReplaysAndFollows) {
  ASSERT_TRUE(write_all(slave_.get(), "boot\n"));
  settle();
  auto reader = attach(false);
  EXPECT_EQ(received(reader), std::pair(std::string("writer"), std::string("boot\n")));
  ASSERT_TRUE(write_all(slave_.get(), "login: "));
  settle();
  EXPECT_EQ(received(reader).second, "login: ");
  EXPECT_EQ(*read_file(dir_ / "console.log"), "boot\nlogin: ");
}

TEST_F(ConsoleTest, OneWriterAtATime) {
  auto readonly = attach(true);
  auto first = attach(false);
  auto second = attach(false);
  EXPECT_EQ(received(readonly).first, "reader");
  EXPECT_EQ(received(first).first, "writer");
  EXPECT_EQ(received(second).first, "reader");
  auto type = [&](const Seqpacket& from, std::string_view text) {
    ASSERT_TRUE(from.send(static_cast<std::uint32_t>(Message::kSessionInput), text));
    settle();
  };
  type(second, "no");
  type(readonly, "no");
  type(first, "yes");
  std::string got(16, '\0');
  auto n = ::read(slave_.get(), got.data(), got.size());
  EXPECT_EQ(got.substr(0, static_cast<std::size_t>(n)), "yes");
  first.close();
  settle();
  type(second, "now");
  n = ::read(slave_.get(), got.data(), got.size());
  EXPECT_EQ(got.substr(0, static_cast<std::size_t>(n)), "now");
}

TEST_F(ConsoleTest, LogIsBounded) {
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(write_all(slave_.get(), fmt::format("line {:03}\n", i)));
    settle();
  }
  auto current = read_file(dir_ / "console.log")->size();
  auto older = read_file(dir_ / "console.log.1")->size();
  EXPECT_LE(current, 64u + 9u);
  EXPECT_LE(older, 64u + 9u);
  auto replay = received(attach(true)).second;
  EXPECT_THAT(replay, testing::EndsWith("line 039\n"));
}

TEST_F(ConsoleTest, ReadersAreToldWhyItEnds) {
  auto reader = attach(false);
  console_.close_readers("the VPS has ended (poweroff)");
  (void)reader.receive();
  auto packet = reader.receive();
  ASSERT_TRUE(packet && *packet);
  EXPECT_EQ(decode_session_error((*packet)->body)->message, "the VPS has ended (poweroff)");
  EXPECT_FALSE(*reader.receive());
}

}  // namespace
}  // namespace vps::supervisor
