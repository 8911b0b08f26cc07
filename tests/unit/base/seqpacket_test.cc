#include "base/seqpacket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/files.h"
#include "tests/support/temp_dir.h"

namespace vps {
namespace {

using test::TempDir;

struct Pair {
  Pair() {
    auto made = Seqpacket::make_pair();
    if (made) {
      a = std::move(made->first);
      b = std::move(made->second);
    }
  }
  Seqpacket a, b;
};

std::size_t open_fds() { return list_dir("/proc/self/fd")->size(); }

TEST(Seqpacket, PacketsKeepTheirBorders) {
  Pair pair;
  ASSERT_TRUE(pair.a.send(1, "first"));
  ASSERT_TRUE(pair.a.send(2, ""));
  ASSERT_TRUE(pair.a.send(3, std::string("\0x", 2)));
  for (auto [type, body] : {std::pair<std::uint32_t, std::string>{1, "first"}, {2, ""}, {3, std::string("\0x", 2)}}) {
    auto packet = pair.b.receive();
    ASSERT_TRUE(packet && packet->has_value());
    EXPECT_EQ((*packet)->type, type);
    EXPECT_EQ((*packet)->body, body);
    EXPECT_TRUE((*packet)->fds.empty());
  }
}

TEST(Seqpacket, TheEnd) {
  Pair pair;
  ASSERT_TRUE(pair.a.send(1, "last words"));
  pair.a.close();
  auto packet = pair.b.receive();
  ASSERT_TRUE(packet && packet->has_value()) << "what was sent before the end arrives";
  auto end = pair.b.receive();
  ASSERT_TRUE(end);
  EXPECT_FALSE(end->has_value());
  EXPECT_EQ(pair.b.send(1, "x").error().err(), EPIPE) << "and no SIGPIPE";
}

TEST(Seqpacket, LimitsOfSize) {
  Pair pair;
  std::string largest(kMaxPacket - sizeof(std::uint32_t), 'x');
  ASSERT_TRUE(pair.a.send(9, largest));
  auto packet = pair.b.receive();
  ASSERT_TRUE(packet && packet->has_value());
  EXPECT_EQ((*packet)->body, largest);
  auto refused = pair.a.send(9, largest + "x");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kUsage);
}

TEST(Seqpacket, MalformedPackets) {
  Pair pair;
  std::string oversized(kMaxPacket + sizeof(std::uint32_t) + 1, 'x');
  ASSERT_EQ(::send(pair.a.fd(), oversized.data(), oversized.size(), 0), static_cast<ssize_t>(oversized.size()));
  ASSERT_EQ(::send(pair.a.fd(), "ab", 2, 0), 2);
  ASSERT_TRUE(pair.a.send(5, "good"));
  EXPECT_EQ(pair.b.receive().error().to_string(), "malformed message") << "longer than anyone may send";
  EXPECT_EQ(pair.b.receive().error().to_string(), "malformed message") << "shorter than its type";
  auto packet = pair.b.receive();
  ASSERT_TRUE(packet && packet->has_value()) << "the next one is not affected";
  EXPECT_EQ((*packet)->type, 5u);
}

TEST(Seqpacket, DescriptorsArriveCloseOnExec) {
  Pair pair;
  TempDir dir;
  ASSERT_TRUE(write_file_atomic(dir / "file", "content"));
  {
    auto file = open_path(dir / "file", O_RDONLY);
    ASSERT_TRUE(file);
    std::array<int, 2> fds{file->get(), file->get()};
    ASSERT_TRUE(pair.a.send(4, "two", fds));
  }
  auto before = open_fds();
  {
    auto packet = pair.b.receive();
    ASSERT_TRUE(packet && packet->has_value());
    ASSERT_EQ((*packet)->fds.size(), 2u);
    for (const auto& fd : (*packet)->fds) EXPECT_NE(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(*read_fd((*packet)->fds[0].get()), "content");
    EXPECT_EQ(open_fds(), before + 2);
  }
  EXPECT_EQ(open_fds(), before) << "the packet owned them";
}

TEST(Seqpacket, ManyDescriptors) {
  Pair pair;
  std::vector<int> fds(kMaxPacketFds, STDERR_FILENO);
  ASSERT_TRUE(pair.a.send(4, "", fds));
  auto packet = pair.b.receive();
  ASSERT_TRUE(packet && packet->has_value());
  EXPECT_EQ((*packet)->fds.size(), kMaxPacketFds);
  fds.push_back(STDERR_FILENO);
  EXPECT_EQ(pair.a.send(4, "", fds).error().code(), Code::kUsage);
}

TEST(Seqpacket, DescriptorsOfAMalformedPacketAreClosed) {
  Pair pair;
  auto before = open_fds();
  iovec part{const_cast<char*>("x"), 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  cmsghdr* message = CMSG_FIRSTHDR(&header);
  message->cmsg_level = SOL_SOCKET;
  message->cmsg_type = SCM_RIGHTS;
  message->cmsg_len = CMSG_LEN(sizeof(int));
  *reinterpret_cast<int*>(CMSG_DATA(message)) = STDERR_FILENO;
  ASSERT_EQ(::sendmsg(pair.a.fd(), &header, 0), 1);
  EXPECT_FALSE(pair.b.receive());
  EXPECT_EQ(open_fds(), before);
}

TEST(Seqpacket, NonBlocking) {
  Pair pair;
  ASSERT_TRUE(pair.b.set_nonblocking(true));
  EXPECT_EQ(pair.b.receive().error().err(), EAGAIN);
  ASSERT_TRUE(pair.a.set_nonblocking(true));
  Result<> sent;
  for (int i = 0; i < 100000 && sent; ++i) sent = pair.a.send(1, std::string(4096, 'x'));
  ASSERT_FALSE(sent) << "a peer that does not read fills the socket";
  EXPECT_EQ(sent.error().err(), EAGAIN);
}

TEST(Seqpacket, ListenConnectAndPeer) {
  TempDir dir;
  auto path = dir / "socket";
  EXPECT_EQ(Seqpacket::connect(path).error().code(), Code::kNotFound);
  auto listener = Seqpacket::listen(path, 0600);
  ASSERT_TRUE(listener);
  struct stat st{};
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
  auto client = Seqpacket::connect(path);
  ASSERT_TRUE(client);
  auto server = Seqpacket::accept(listener->get());
  ASSERT_TRUE(server);
  auto peer = server->peer();
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->pid, ::getpid());
  EXPECT_EQ(peer->uid, ::getuid());
  ASSERT_TRUE(client->send(8, "hello"));
  EXPECT_EQ((*server->receive())->body, "hello");

  // What an earlier run left behind is replaced.
  listener->reset();
  ASSERT_TRUE(path_exists(path));
  EXPECT_EQ(Seqpacket::connect(path).error().err(), ECONNREFUSED);
  EXPECT_TRUE(Seqpacket::listen(path, 0600));
}

TEST(Seqpacket, PathsLongerThanSunPath) {
  TempDir dir;
  std::string deep = dir.path();
  for (int i = 0; i < 5; ++i) deep += "/" + std::string(50, 'd');
  ASSERT_TRUE(make_dirs(deep));
  auto before = open_fds();
  {
    auto listener = Seqpacket::listen(deep + "/socket", 0600);
    ASSERT_TRUE(listener) << listener.error().to_string();
    EXPECT_TRUE(Seqpacket::connect(deep + "/socket"));
  }
  EXPECT_EQ(open_fds(), before);
  EXPECT_FALSE(Seqpacket::listen(deep + "/" + std::string(100, 's'), 0600));
}

}  // namespace
}  // namespace vps
