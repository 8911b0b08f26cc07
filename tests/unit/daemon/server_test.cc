#include "daemon/api/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <latch>
#include <cstring>

#include <thread>

#include "base/files.h"
#include "tests/support/temp_dir.h"

namespace vps::daemon::api {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

UniqueFd dial(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return UniqueFd();
  return fd;
}

void say(const UniqueFd& fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t n = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

// Until the peer closes, or `until` has come.
std::string hear(const UniqueFd& fd, std::string_view until = "") {
  std::string text;
  char buffer[4096];
  pollfd item{fd.get(), POLLIN, 0};
  while (::poll(&item, 1, 20'000) > 0) {
    ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (n <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
    if (!until.empty() && text.find(until) != std::string::npos) return text;
  }
  return text + "(nothing more came)";
}

class ServerTest : public testing::Test {
 protected:
  void SetUp() override { options_.socket = dir_ / "s"; }
  void start(Server::Handle handle = {}) {
    if (!handle)
      handle = [](Request request, Stream&) {
        Reply reply;
        reply.body = fmt::format("{} {} {}", method_name(request.method), request.path, request.body.size());
        return reply;
      };
    auto server = Server::start(options_, workers_, std::move(handle));
    ASSERT_TRUE(server) << server.error().to_string();
    server_ = std::move(*server);
  }
  std::string ask(std::string_view text) {
    auto fd = dial(options_.socket);
    say(fd, text);
    return hear(fd);
  }
  test::TempDir dir_;
  ServerOptions options_ = [] {
    ServerOptions options;
    options.owner = ::getuid();
    return options;
  }();
  Workers workers_{64};
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, AnswersAndClosesWhenAsked) {
  start();
  auto answer = ask("GET /v1/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("GET /v1/x 0"));
  struct stat st{};
  ASSERT_EQ(::stat(options_.socket.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
}

TEST_F(ServerTest, KeepsTheConnectionAndPipelines) {
  start();
  auto fd = dial(options_.socket);
  say(fd, "GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyz");
  auto answer = hear(fd, "POST /b 3");
  EXPECT_THAT(answer, HasSubstr("GET /a 0"));
  EXPECT_THAT(answer, HasSubstr("POST /b 3"));
  say(fd, "DELETE /c HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(hear(fd, "DELETE /c 0"), HasSubstr("DELETE /c 0"));
  EXPECT_EQ(server_->connections(), 1u);
}

TEST_F(ServerTest, ExpectContinue) {
  start();
  auto fd = dial(options_.socket);
  say(fd, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(hear(fd, "\r\n\r\n"), StartsWith("HTTP/1.1 100"));
  say(fd, "xyz");
  EXPECT_THAT(hear(fd), HasSubstr("POST /b 3"));
}

TEST_F(ServerTest, MalformedRequestsAreAnsweredAndTheServerLives) {
  options_.max_body = 1000;
  options_.max_header = 2000;
  start();
  EXPECT_THAT(ask("rubbish\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(ask("GET /a HTTP/9.9\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(ask("GET /%zz HTTP/1.1\r\nConnection: close\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(ask("BREW /a HTTP/1.1\r\nConnection: close\r\n\r\n"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(ask("POST /a HTTP/1.1\r\nContent-Length: 1001\r\n\r\n" + std::string(1001, 'x')), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(ask("POST /a HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(ask("POST /a HTTP/1.1\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n" + std::string(1000, 'x')),
              HasSubstr("POST /a 1000"));
  EXPECT_THAT(ask("POST /a HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nxxxx"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(ask("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(ask("GET /a HTTP/1.1\r\nX: " + std::string(3000, 'x') + "\r\n\r\n"), StartsWith("HTTP/1.1 431"));
  { auto fd = dial(options_.socket); }  // says nothing at all
  EXPECT_THAT(ask("GET /a HTTP/1.1\r\nConnection: close\r\n\r\n"), HasSubstr("GET /a 0"));
}

TEST_F(ServerTest, SlowClientsTimeOut) {
  options_.request_time = Milliseconds(50);
  options_.idle_time = Milliseconds(50);
  start();
  for (const char* text : {"", "GET /a HT", "POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"}) EXPECT_EQ(ask(text), "") << text;
  EXPECT_THAT(ask("GET /a HTTP/1.1\r\n\r\n"), HasSubstr("GET /a 0")) << "answered, then idle for too long";
}

TEST_F(ServerTest, OthersAreNotServed) {
  options_.owner = ::getuid() + 1;
  start([](Request, Stream&) -> Reply { ADD_FAILURE() << "must not be reached"; return {}; });
  auto answer = ask("GET /a HTTP/1.1\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(answer, HasSubstr("not_allowed"));
}

TEST_F(ServerTest, TooManyConnectionsAreToldSo) {
  options_.max_connections = 2;
  start();
  auto a = dial(options_.socket);
  auto b = dial(options_.socket);
  say(a, "GET /a HTTP/1.1\r\n\r\n");
  say(b, "GET /b HTTP/1.1\r\n\r\n");
  EXPECT_THAT(hear(a, "GET /a 0"), HasSubstr("GET /a 0"));
  EXPECT_THAT(hear(b, "GET /b 0"), HasSubstr("GET /b 0"));
  EXPECT_THAT(ask("GET /c HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 503"));
  a.reset();
  while (server_->connections() > 1) std::this_thread::yield();
  EXPECT_THAT(ask("GET /c HTTP/1.1\r\nConnection: close\r\n\r\n"), HasSubstr("GET /c 0"));
}

TEST_F(ServerTest, StreamsInPieces) {
  start([](Request, Stream& stream) -> Reply {
    EXPECT_TRUE(stream.begin("text/plain"));
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(stream.write("piece" + std::to_string(i)));
    return {.streamed = true};
  });
  auto fd = dial(options_.socket);
  say(fd, "GET /a HTTP/1.1\r\n\r\n");
  auto answer = hear(fd, "0\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Transfer-Encoding: chunked"));
  for (const char* piece : {"6\r\npiece0\r\n", "6\r\npiece1\r\n", "6\r\npiece2\r\n"}) EXPECT_THAT(answer, HasSubstr(piece));
  say(fd, "GET /b HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(hear(fd), HasSubstr("piece2"));
}

TEST_F(ServerTest, AHandlerLearnsThatItsClientLeft) {
  std::latch inside(1);
  std::latch left(1);
  start([&](Request request, Stream& stream) -> Reply {
    std::stop_callback callback(request.gone, [&] { left.count_down(); });
    inside.count_down();
    left.wait();
    EXPECT_FALSE(stream.begin("text/plain"));
    return {.streamed = true};
  });
  {
    auto fd = dial(options_.socket);
    say(fd, "GET /a HTTP/1.1\r\n\r\n");
    inside.wait();
  }
  left.wait();
  server_->stop();  // the handler still uses what is declared here
}

TEST_F(ServerTest, AReaderThatDoesNotReadIsDropped) {
  options_.request_time = Milliseconds(100);
  std::latch dropped(1);
  start([&](Request, Stream& stream) -> Reply {
    std::string piece(1u << 20, 'x');
    if (stream.begin("text/plain"))
      while (stream.write(piece)) {
      }
    dropped.count_down();
    return {.streamed = true};
  });
  auto fd = dial(options_.socket);
  say(fd, "GET /a HTTP/1.1\r\n\r\n");
  dropped.wait();
  server_->stop();
}

TEST_F(ServerTest, StopEndsWaitingHandlersAndRemovesTheSocket) {
  std::latch inside(1);
  start([&](Request request, Stream&) -> Reply {
    std::latch gone(1);
    std::stop_callback callback(request.gone, [&] { gone.count_down(); });
    inside.count_down();
    gone.wait();
    return {};
  });
  auto fd = dial(options_.socket);
  say(fd, "GET /a HTTP/1.1\r\n\r\n");
  inside.wait();
  server_->stop();
  EXPECT_FALSE(path_exists(options_.socket));
  EXPECT_EQ(hear(fd), "");
}

TEST_F(ServerTest, ASecondServerOnTheSameSocketIsRefusedAndAStaleSocketReplaced) {
  start();
  auto second = Server::start(options_, workers_, [](Request, Stream&) { return Reply(); });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kBusy);
  server_->stop();
  {
    UniqueFd stale(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, options_.socket.c_str(), options_.socket.size() + 1);
    ASSERT_EQ(::bind(stale.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  start();
  EXPECT_THAT(ask("GET /a HTTP/1.1\r\nConnection: close\r\n\r\n"), HasSubstr("GET /a 0"));
}

TEST_F(ServerTest, TooLongASocketPathIsAUsageError) {
  options_.socket = dir_ / std::string(200, 'x');
  auto server = Server::start(options_, workers_, [](Request, Stream&) { return Reply(); });
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().code(), Code::kUsage);
}

TEST_F(ServerTest, ManyClientsAtOnce) {
  start();
  std::atomic<int> good = 0;
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 50; ++i)
      clients.emplace_back([&] {
        for (int k = 0; k < 10; ++k)
          if (ask("GET /a HTTP/1.1\r\nConnection: close\r\n\r\n").find("GET /a 0") != std::string::npos) ++good;
      });
  }
  EXPECT_EQ(good, 500);
}

}  // namespace
}  // namespace vps::daemon::api
