#include "cli/common/http.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <cstring>

namespace vps::cli {
namespace {

namespace http = boost::beast::http;
using Clock = std::chrono::steady_clock;

// Ready for `events`, or EINTR (interrupted) or kTimedOut.
Result<> wait_for(int fd, short events, const Wait& wait) {
  auto deadline = Clock::now() + wait.timeout;
  while (true) {
    std::array<pollfd, 2> items{{{fd, events, 0}, {wait.interrupt_fd, POLLIN, 0}}};
    int timeout = -1;
    if (wait.timeout.count() >= 0) {
      auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
      timeout = static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000'000));
    }
    int n = ::poll(items.data(), wait.interrupt_fd >= 0 ? 2 : 1, timeout);
    if (n < 0 && errno != EINTR) return fail_errno(errno, "poll");
    if (n == 0)
      return fail(Code::kTimedOut, "no answer from vpsd within {} s",
                  std::chrono::duration_cast<std::chrono::seconds>(wait.timeout).count());
    if (items[1].revents != 0) return std::unexpected(Error(Code::kFailed, EINTR, "interrupted"));
    if (n > 0 && items[0].revents != 0) return {};
  }
}

std::unexpected<Error> gone() { return fail(Code::kFailed, "vpsd closed the connection before its answer was complete"); }

Result<> send_all(int fd, std::string_view data, const Wait& wait) {
  while (!data.empty()) {
    ssize_t n = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      data.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      VPS_TRY(wait_for(fd, POLLOUT, wait));
    } else if (errno != EINTR) {
      return fail_errno(errno, "send the request to vpsd");
    }
  }
  return {};
}

}  // namespace

struct HttpStream::Impl {
  UniqueFd socket;
  http::response_parser<http::string_body> parser;
  std::string unread;
  bool any_byte = false;

  // One read(2) and as much parsing as it allows. False: nothing was there to read.
  Result<bool> advance() {
    std::array<char, 16u << 10> chunk{};
    ssize_t n = ::read(socket.get(), chunk.data(), chunk.size());
    if (n < 0) {
      if (errno == EAGAIN || errno == EINTR) return false;
      if (errno == ECONNRESET) return gone();
      return fail_errno(errno, "read vpsd's answer");
    }
    boost::system::error_code error;
    if (n == 0) {
      if (!any_byte) return gone();
      parser.put_eof(error);
      if (error || !parser.is_done()) return gone();
      return true;
    }
    any_byte = true;
    unread.append(chunk.data(), static_cast<std::size_t>(n));
    return parse();
  }

  Result<bool> parse() {
    try {
      while (!unread.empty() && !parser.is_done()) {
        boost::system::error_code error;
        std::size_t used = parser.put(boost::asio::const_buffer(unread.data(), unread.size()), error);
        unread.erase(0, used);
        if (error == http::error::need_more) break;
        if (error) return fail(Code::kFailed, "vpsd's answer is not HTTP: {}", error.message());
      }
    } catch (const std::exception& e) {
      return fail(Code::kFailed, "vpsd's answer: {}", e.what());
    }
    return true;
  }

  Result<> read_header(const Wait& wait) {
    while (!parser.is_header_done()) {
      if (VPS_TRY(advance())) continue;
      VPS_TRY(wait_for(socket.get(), POLLIN, wait));
    }
    return {};
  }

  std::string take_body() { return std::exchange(parser.get().body(), std::string()); }
};

unsigned HttpStream::status() const { return impl_->parser.get().result_int(); }
int HttpStream::fd() const { return impl_->socket.get(); }

Result<std::optional<std::string>> HttpStream::read_ready() {
  auto body = impl_->take_body();
  if (!body.empty()) return std::optional(std::move(body));
  if (impl_->parser.is_done()) return std::optional<std::string>();
  VPS_TRY(impl_->advance());
  body = impl_->take_body();
  if (body.empty() && impl_->parser.is_done()) return std::optional<std::string>();
  return std::optional(std::move(body));
}

Result<std::optional<std::string>> HttpStream::read(const Wait& wait) {
  while (true) {
    auto part = VPS_TRY(read_ready());
    if (!part || !part->empty()) return part;
    VPS_TRY(wait_for(impl_->socket.get(), POLLIN, wait));
  }
}

Result<std::string> HttpStream::read_all(const Wait& wait) {
  std::string all;
  while (true) {
    auto part = VPS_TRY(read(wait));
    if (!part) return all;
    all += *part;
    if (all.size() > kMaxResponse) return fail(Code::kFailed, "vpsd's answer is larger than {} bytes", kMaxResponse);
  }
}

Result<UniqueFd> HttpClient::connect() const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.empty() || path_.size() >= sizeof address.sun_path)
    return fail(Code::kUsage, "socket name '{}' is empty or longer than {} bytes", path_, sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "make a socket");
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EINTR) continue;
    int err = errno;
    // Not the class of the errno: "not found" must mean a VPS that is not there, never a daemon that is not.
    Code code = err == EACCES || err == EPERM ? Code::kNotAllowed : Code::kFailed;
    std::string hint = err == ENOENT || err == ECONNREFUSED ? " (is vpsd running?)" : "";
    return fail(code, "cannot reach vpsd at {}: {}{}", path_, ::strerror(err), hint);
  }
  if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno(errno, "set socket flags");
  return fd;
}

Result<HttpStream> HttpClient::begin(UniqueFd fd, std::string_view method, std::string_view target, std::string_view body,
                                     const Wait& wait, bool bounded) const {
  std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: vpsd\r\nUser-Agent: vpsctl/" VPS_VERSION "\r\n", method, target);
  if (!body.empty() || method == "POST" || method == "PUT" || method == "PATCH")
    head += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
  head += "\r\n";
  head += body;
  VPS_TRY(send_all(fd.get(), head, wait));
  HttpStream stream;
  stream.impl_ = std::make_shared<HttpStream::Impl>();
  stream.impl_->socket = std::move(fd);
  stream.impl_->parser.eager(true);
  if (bounded)
    stream.impl_->parser.body_limit(kMaxResponse);
  else
    stream.impl_->parser.body_limit(boost::none);
  VPS_TRY(stream.impl_->read_header(wait));
  return stream;
}

Result<HttpResponse> HttpClient::request(std::string_view method, std::string_view target, std::string_view body,
                                         const Wait& wait) {
  // A kept connection that vpsd has closed meanwhile (idle, restarted) shows as readable with nothing asked.
  if (kept_) {
    pollfd item{kept_.get(), POLLIN, 0};
    if (::poll(&item, 1, 0) != 0) kept_.reset();
  }
  UniqueFd fd = std::move(kept_);
  if (!fd) fd = VPS_TRY(connect());
  auto stream = VPS_TRY(begin(std::move(fd), method, target, body, wait, true));
  HttpResponse response;
  response.body = VPS_TRY(stream.read_all(wait));
  const auto& message = stream.impl_->parser.get();
  response.status = message.result_int();
  auto type = message[http::field::content_type];
  response.content_type.assign(type.data(), type.size());
  if (message.keep_alive() && stream.impl_->unread.empty()) kept_ = std::move(stream.impl_->socket);
  return response;
}

Result<HttpStream> HttpClient::open_stream(std::string_view target, const Wait& wait) {
  auto fd = VPS_TRY(connect());
  return begin(std::move(fd), "GET", target, {}, wait, false);
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                 c == '_' || c == '~';
    if (plain)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace vps::cli
