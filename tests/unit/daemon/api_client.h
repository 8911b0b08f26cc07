// A small HTTP client over vpsd's socket, for tests.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace vps::daemon::test {

struct Answer {
  int status = 0;  // 0: no answer at all
  std::string text;
  nlohmann::json json;
  [[nodiscard]] std::string code() const {
    return json.is_object() && json.contains("code") ? json["code"].get<std::string>() : "";
  }
};

class ApiClient {
 public:
  explicit ApiClient(std::string socket) : socket_(std::move(socket)) {}

  [[nodiscard]] UniqueFd dial() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, socket_.c_str(), socket_.size() + 1);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return UniqueFd();
    return fd;
  }
  static void send(const UniqueFd& fd, std::string_view method, std::string_view path, std::string_view body) {
    std::string text = std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nHost: vpsd\r\nConnection: close\r\nContent-Length: " +
                       std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
    (void)!::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
  }
  // More of the answer; false at its end or after `patience_ms`.
  static bool receive(const UniqueFd& fd, std::string* text, int patience_ms = 60'000) {
    pollfd item{fd.get(), POLLIN, 0};
    if (::poll(&item, 1, patience_ms) <= 0) return false;
    char buffer[65536];
    ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    text->append(buffer, static_cast<std::size_t>(n));
    return true;
  }

  Answer raw(std::string_view method, std::string_view path, std::string_view body = "") const {
    Answer answer;
    auto fd = dial();
    if (!fd) return answer;
    send(fd, method, path, body);
    std::string text;
    while (receive(fd, &text)) {
    }
    auto end = text.find("\r\n\r\n");
    if (end == std::string::npos || text.size() < 12) return answer;
    answer.status = std::stoi(text.substr(9, 3));
    answer.text = text.substr(end + 4);
    if (text.substr(0, end).find("Transfer-Encoding: chunked") != std::string::npos) answer.text = unchunk(answer.text);
    answer.json = nlohmann::json::parse(answer.text, nullptr, false);
    return answer;
  }
  Answer get(std::string_view path) const { return raw("GET", path); }
  Answer post(std::string_view path, const nlohmann::json& body = nlohmann::json::object()) const { return raw("POST", path, body.dump()); }
  Answer patch(std::string_view path, const nlohmann::json& body) const { return raw("PATCH", path, body.dump()); }
  Answer put(std::string_view path, const nlohmann::json& body) const { return raw("PUT", path, body.dump()); }
  Answer del(std::string_view path) const { return raw("DELETE", path); }

  static std::string unchunk(std::string_view text) {
    std::string out;
    while (true) {
      auto line = text.find("\r\n");
      if (line == std::string_view::npos) return out;
      auto size = std::stoul(std::string(text.substr(0, line)), nullptr, 16);
      if (size == 0 || text.size() < line + 2 + size) return out;
      out += text.substr(line + 2, size);
      text.remove_prefix(std::min(line + 2 + size + 2, text.size()));
    }
  }

 private:
  std::string socket_;
};

}  // namespace vps::daemon::test
