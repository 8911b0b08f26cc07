// Malformed, oversized and hostile requests straight on the API's socket: one clear error each, and vpsd lives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "base/files.h"
#include "tests/support/vpsd_fixture.h"

namespace vps::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class ApiInputTest : public VpsdTest {
 protected:
  ApiInputTest() : VpsdTest({"busybox"}) {}

  UniqueFd connect() {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, vpsd_->socket().c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
    return fd;
  }
  // Sends the bytes and reads until vpsd closes, stays silent for a moment, or has sent a whole answer.
  std::string send_raw(std::string_view bytes) {
    auto fd = connect();
    while (!bytes.empty()) {
      ssize_t n = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) break;  // vpsd has seen enough
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    (void)::shutdown(fd.get(), SHUT_WR);
    std::string answer;
    char buffer[65536];
    for (;;) {
      pollfd wait{fd.get(), POLLIN, 0};
      if (::poll(&wait, 1, 20'000) <= 0) break;
      ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
      if (n <= 0) break;
      answer.append(buffer, static_cast<std::size_t>(n));
    }
    return answer;
  }
  std::string post(const std::string& path, const std::string& body, const std::string& method = "POST") {
    return send_raw(method + " " + path + " HTTP/1.1\r\nHost: vpsd\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: " +
                    std::to_string(body.size()) + "\r\n\r\n" + body);
  }
};

TEST_F(ApiInputTest, MalformedBodiesAreUsageErrors) {
  const std::string definition = R"({"definition": {"id": "101", "template": "busybox", "network": "none"})";
  for (const std::string& body : std::vector<std::string>{
           "", "{", "[]", "null", "\"text\"", "{\"definition\": 5}", "{\"definition\": {}}", definition,
           R"({"definition": {"id": "101", "template": "busybox"}, "unknown": 1})",
           R"({"definition": {"id": "../x", "template": "busybox"}})",
           R"({"definition": {"id": "101", "template": "../../etc"}})",
           R"({"definition": {"id": 101, "template": "busybox", "resources": {"memory": {"limit": {}}}}})",
           std::string("{\"definition\": \"\xff\xfe\"}"), std::string(1000, '[') + std::string(1000, ']')}) {
    auto answer = post("/v1/containers", body);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 4")) << body;
    EXPECT_THAT(answer, HasSubstr("\"message\"")) << body;
    EXPECT_THAT(answer, HasSubstr("\"usage\"")) << body;
  }
  EXPECT_EQ(json({"list", "-a"}).size(), 0u);
}

TEST_F(ApiInputTest, DepthIsLimited) {
  std::string body = "{\"definition\": ";
  for (int i = 0; i < 40; ++i) body += "{\"a\": ";
  body += "1" + std::string(41, '}');
  EXPECT_THAT(post("/v1/containers", body), StartsWith("HTTP/1.1 400"));
}

TEST_F(ApiInputTest, SizeIsLimited) {
  auto answer = post("/v1/containers", "{\"yaml\": \"" + std::string(2u << 20, 'x') + "\"}");
  EXPECT_THAT(answer, testing::AnyOf(StartsWith("HTTP/1.1 4"), testing::IsEmpty()));
  // A length that is only claimed must not make vpsd set memory aside for it, or wait for ever.
  EXPECT_THAT(send_raw("POST /v1/containers HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n{}"), testing::AnyOf(StartsWith("HTTP/1.1 4"), testing::IsEmpty()));
  (void)json({"list"});
}

TEST_F(ApiInputTest, WhatIsNoHttpIsTurnedAway) {
  for (const std::string& bytes : {std::string("\0\1\2\3", 4), std::string("GET\r\n\r\n"), std::string("GET / HTTP/9.9\r\n\r\n"), std::string(200'000, 'A'),
                                   "GET /v1/containers HTTP/1.1\r\nX: " + std::string(200'000, 'b') + "\r\n\r\n"})
    (void)send_raw(bytes);
  (void)json({"list"});
}

TEST_F(ApiInputTest, UnknownPathsAndMethods) {
  EXPECT_THAT(post("/v1/nothing", "{}"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(post("/", "{}", "GET"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(post("/v1/containers", "{}", "BREW"), StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(post("/v1/containers/999", "", "GET"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(post("/v1/containers/..%2f..%2fetc", "", "GET"), StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(post("/v1/containers/101%00", "", "GET"), StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(post("/v1/operations/op-99999?wait=x", "", "GET"), StartsWith("HTTP/1.1 4"));
  (void)json({"list"});
}

TEST_F(ApiInputTest, SilentAndVanishingClientsDoNotHoldAnybodyUp) {
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 50; ++i) silent.push_back(connect());
  for (int i = 0; i < 50; ++i) {
    auto fd = connect();
    (void)::send(fd.get(), "GET /v1/events?follow=1&since=0 HTTP/1.1\r\nHost: x\r\n\r\n", 54, MSG_NOSIGNAL);
  }
  ctl({"list"}, 0, {.timeout = std::chrono::seconds(20)});
}

}  // namespace
}  // namespace vps::test
